"""`trading token`: shown once, listed without it, revoked for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading_assets.cli.tokens import list_tokens, new_token, revoke
from trading_assets.core.errors import InputError
from trading_assets.store.home import Home
from trading_assets.store.tokens import token_sha256


@pytest.fixture
def home(tmp_path: Path) -> Home:
    text = f'tenant = "t"\n[[accounts]]\nname = "paper"\ntoken_sha256 = "{token_sha256("old")}"\n'
    (tmp_path / "settings.toml").write_text(text)
    return Home(tmp_path)


def test_a_token_is_told_once_and_rests_as_its_hash(home: Home) -> None:
    made = new_token(home, "paper", "desk", None)
    resting = b"".join(path.read_bytes() for path in home.root.rglob("*") if path.is_file())
    assert made["token"].encode() not in resting
    assert token_sha256(made["token"]).encode() in resting
    assert [row["name"] for row in list_tokens(home, None)["tokens"]] == ["desk", "settings-paper"]


def test_a_revoked_token_is_listed_as_such_also_one_of_the_settings(home: Home) -> None:
    new_token(home, "paper", "desk", None)
    revoke(home, "desk", None)
    revoke(home, "settings-paper", None)
    revoke(home, "settings-paper", None)
    assert [row["is_valid"] for row in list_tokens(home, None)["tokens"]] == [False, False]


def test_what_is_not_in_the_settings_gets_a_sentence(home: Home) -> None:
    for wrong in ("other", ""):
        with pytest.raises(InputError, match="name no such account"):
            new_token(home, wrong, None, None)
    with pytest.raises(InputError, match="choose another"):
        new_token(home, "paper", "settings-x", None)
    with pytest.raises(InputError, match="hold none"):
        revoke(home, "settings-other", None)
