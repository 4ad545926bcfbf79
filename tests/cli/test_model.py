"""`trading model card`: the path of a model's card, or one sentence that names the models that have one."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading_assets.cli.model import card
from trading_assets.core.errors import InputError
from trading_assets.core.learning.model_card import CARD_FILE
from trading_assets.store.home import Home


def test_the_path_of_a_card_is_told_and_nothing_is_shown_unasked(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.models / "meta-1").mkdir(parents=True)
    (home.models / "meta-1" / CARD_FILE).write_text("<!doctype html>")
    found = card(home, "meta-1")
    assert Path(found["path"]).read_text() == "<!doctype html>"
    assert found["is_shown"] is False


def test_a_card_is_shown_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    (home.models / "meta-1").mkdir(parents=True)
    (home.models / "meta-1" / CARD_FILE).write_text("<!doctype html>")
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: shown.append(address) or True)
    assert card(home, "meta-1", opened=True)["is_shown"] is True
    assert shown == [(home.models / "meta-1" / CARD_FILE).resolve().as_uri()]


def test_an_unknown_model_is_answered_with_those_that_have_a_card(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(InputError, match=r"there is none here; use one of: none yet"):
        card(home, "meta-9")
    (home.models / "meta-1").mkdir(parents=True)
    (home.models / "meta-1" / CARD_FILE).write_text("")
    with pytest.raises(InputError, match=r"use one of: meta-1\."):
        card(home, "meta-9")
