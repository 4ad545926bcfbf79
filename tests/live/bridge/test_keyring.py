"""Tokens at rest and at the door: several an account, bound to tenant and account, revoked while the daemon runs."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from live.bridge.keyring import Keyring
from trading_assets.core.errors import InputError
from trading_assets.store.tokens import Token, put_token, read_token, revoke_token, token_sha256

NOW = datetime(2024, 1, 9, tzinfo=UTC)


def make(folder: Path, name: str, secret: str, account: str = "paper", tenant: str = "tests") -> Path:
    token = Token(name=name, tenant=tenant, account=account, sha256=token_sha256(secret), made_at=NOW)
    return put_token(folder, token)


def keyring(folder: Path, told: list[str] | None = None, digest: str = "") -> Keyring:
    ring = Keyring(
        "tests", {"paper": digest, "live": token_sha256("of-live")}, folder, (told if told is not None else []).append
    )
    ring.look()
    return ring


def test_each_of_several_tokens_opens_its_own_account(tmp_path: Path) -> None:
    make(tmp_path, "one", "first")
    make(tmp_path, "two", "second")
    ring = keyring(tmp_path, digest=token_sha256("third").upper())
    assert [ring.judge(secret).account for secret in ("first", "second", "third", "of-live")] == [
        "paper", "paper", "paper", "live",
    ]  # fmt: skip


def test_a_token_is_compared_whole_and_an_empty_one_opens_nothing(tmp_path: Path) -> None:
    make(tmp_path, "one", "first")
    make(tmp_path, "nothing", "")
    ring = keyring(tmp_path)
    assert ring.judge("first ").account is None
    assert "missing" in ring.judge("").problem
    assert ring.judge("\ud800").account is None


def test_a_token_of_another_tenant_or_of_an_account_not_served_here_says_so(tmp_path: Path) -> None:
    make(tmp_path, "theirs", "foreign", tenant="others")
    make(tmp_path, "gone", "moved", account="elsewhere")
    ring = keyring(tmp_path)
    assert "another tenant" in ring.judge("foreign").problem
    assert "not connected here" in ring.judge("moved").problem


def test_a_revoked_token_opens_nothing_from_the_next_look_on_and_stays_revoked(tmp_path: Path) -> None:
    make(tmp_path, "one", "first")
    ring = keyring(tmp_path)
    verdict = ring.judge("first")
    assert ring.opens("paper", verdict.token_id)
    first = revoke_token(tmp_path, "one", NOW)
    assert revoke_token(tmp_path, "one", datetime(2025, 1, 1, tzinfo=UTC)) == first
    assert ring.look()
    assert not ring.look()
    assert "revoked" in ring.judge("first").problem
    assert not ring.opens("paper", verdict.token_id)


def test_a_token_of_the_settings_can_be_revoked_too(tmp_path: Path) -> None:
    ring = keyring(tmp_path, digest=token_sha256("first"))
    assert ring.judge("first").account == "paper"
    make(tmp_path, "settings-paper", "first")
    revoke_token(tmp_path, "settings-paper", NOW)
    ring.look()
    assert ring.judge("first").account is None


def test_a_damaged_file_is_told_once_and_changes_nothing_of_what_is_known(tmp_path: Path) -> None:
    told: list[str] = []
    path = make(tmp_path, "one", "first")
    ring = keyring(tmp_path, told)
    whole = path.read_bytes()
    path.write_bytes(whole[:20])
    ring.look()
    ring.look()
    assert ring.judge("first").account == "paper"
    assert len(told) == 1
    assert "damaged" in told[0]
    path.write_bytes(whole)
    ring.look()
    path.unlink()
    ring.look()
    assert ring.judge("first").account is None


def test_a_name_is_given_once_and_must_be_one(tmp_path: Path) -> None:
    path = make(tmp_path, "one", "first")
    assert b"first" not in path.read_bytes()
    assert read_token(path).token_id == token_sha256("first")[:12]
    with pytest.raises(InputError, match="choose another"):
        make(tmp_path, "one", "second")
    for name in ("../one", "", ".hidden", "a/b"):
        with pytest.raises(InputError):
            make(tmp_path, name, "third")
    with pytest.raises(InputError, match="these are there: one"):
        revoke_token(tmp_path, "two", NOW)


def test_a_file_that_could_not_be_read_is_read_again_although_nothing_shows_that_it_changed(tmp_path: Path) -> None:
    path = make(tmp_path, "one", "first")
    whole, status = path.read_bytes(), path.stat()
    path.write_bytes(b"?" * len(whole))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    told: list[str] = []
    ring = keyring(tmp_path, told)
    assert ring.judge("first").account is None
    assert len(told) == 1
    path.write_bytes(whole)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    ring.look()
    assert ring.judge("first").account == "paper"
