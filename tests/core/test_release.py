from __future__ import annotations

import pytest

from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.release import RULES_ONLY, Release


def test_before_the_first_release_the_rules_decide_alone() -> None:
    feature_set = FEATURE_SETS["intraday"]
    assert (RULES_ONLY.release_id, RULES_ONLY.model_version, RULES_ONLY.blend) == ("rules-only", None, 0.0)
    assert RULES_ONLY.normaliser(feature_set).is_identity
    assert RULES_ONLY.normaliser(feature_set) is RULES_ONLY.normaliser(feature_set)
    assert RULES_ONLY.mismatch(feature_set, ()) is None


def test_a_model_without_a_manifest_is_not_a_release() -> None:
    class Model:
        def win_probability(self, matrix: object) -> object:
            return matrix

    with pytest.raises(ValueError, match="both a manifest and a model"):
        Release(None, Model())  # type: ignore[arg-type]
