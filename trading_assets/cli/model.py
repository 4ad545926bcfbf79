"""`trading model card`: where the card of a model lies. What stands on it lives in `core.learning.model_card`."""

from __future__ import annotations

import webbrowser
from typing import Any

from trading_assets.core.errors import InputError
from trading_assets.core.learning.model_card import CARD_FILE
from trading_assets.store.home import Home


def card(home: Home, model_version: str, opened: bool = False) -> dict[str, Any]:
    """Return the path of a model's card, and show it when asked. Raises InputError for a model without one."""
    path = (home.models / model_version / CARD_FILE).resolve()
    if not path.is_file():
        known = sorted(one.parent.name for one in home.models.glob(f"meta-*/{CARD_FILE}"))
        raise InputError(
            "opening the card of",
            f"model {model_version}",
            "there is none here",
            f"use one of: {', '.join(known) or 'none yet'}",
        )
    return {"model_version": model_version, "path": str(path), "is_shown": opened and webbrowser.open(path.as_uri())}
