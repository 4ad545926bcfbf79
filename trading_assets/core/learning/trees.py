"""LightGBM's trees: trained into a text, read from a text. The one place that knows the package.

It takes a second to import, with scikit-learn behind it, so it is imported when trees are used: a daemon under the rules
alone, and whoever only asks the record, do without. What the trees are trained on and what they mean is `meta_model` and
`base_models`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def trained(
    settings: Mapping[str, object],
    trees: int,
    matrix: np.ndarray,
    is_win: np.ndarray,
    weights: np.ndarray | None = None,
) -> str:
    """Train so many trees on a matrix (n, k) and outcomes (n,); return them as LightGBM's text."""
    import lightgbm as lgb

    rows = lgb.Dataset(
        matrix, label=is_win.astype(np.float32), weight=weights, params=dict(settings), free_raw_data=True
    )
    return str(lgb.train(dict(settings), rows, num_boost_round=trees).model_to_string())


def booster(text: str) -> Any:
    """Return the trees of a text, ready to score; its type is LightGBM's own."""
    import lightgbm as lgb

    return lgb.Booster(model_str=text)
