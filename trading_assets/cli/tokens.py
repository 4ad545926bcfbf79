"""`trading token`: makes tokens for terminals, lists them, revokes them. A running daemon follows within a second.

A token is printed once and kept nowhere; its sha256 rests under `tokens/` of the home (`store.tokens`).
"""

from __future__ import annotations

import secrets
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from trading_assets.core.errors import InputError
from trading_assets.store.home import Home
from trading_assets.store.tokens import ID_LENGTH, Token, put_token, read_token, revoke_token, token_marks, token_sha256

_OF_SETTINGS = "settings-"


def new_token(home: Home, account: str, name: str | None, settings: Path | None) -> dict[str, Any]:
    """Make a token for an account; the answer holds it, once. Raises InputError for an account that is not in the settings."""
    tenant, accounts = _settings(home, settings)
    if account not in accounts:
        raise InputError(
            "making a token for", account, "the settings name no such account", f"they name {', '.join(accounts)}"
        )
    if name is not None and name.startswith(_OF_SETTINGS):
        raise InputError("naming token", name, "such names stand for tokens of the settings", "choose another")
    secret = secrets.token_urlsafe(32)
    token = Token(
        name=name or f"{account}-{secrets.token_hex(3)}",
        tenant=tenant,
        account=account,
        sha256=token_sha256(secret),
        made_at=datetime.now(UTC),
    )
    put_token(home.tokens, token)
    return {"name": token.name, "account": account, "token_id": token.token_id, "token": secret}


def list_tokens(home: Home, settings: Path | None) -> dict[str, Any]:
    """Return what is known of every token: those made here, and those of the settings."""
    _, accounts = _settings(home, settings)
    made = [read_token(path) for path in token_marks(home.tokens)]
    revoked = {token.sha256: token.revoked_at for token in made if token.revoked_at is not None}
    rows = [_row(token) for token in made if not token.name.startswith(_OF_SETTINGS)]
    for account, digest in accounts.items():
        if digest:
            rows.append(
                {
                    "name": f"{_OF_SETTINGS}{account}",
                    "account": account,
                    "token_id": digest[:ID_LENGTH],
                    "made_at": None,
                    "revoked_at": revoked.get(digest),
                    "is_valid": digest not in revoked,
                }
            )
    return {"tokens": rows}


def revoke(home: Home, name: str, settings: Path | None) -> dict[str, Any]:
    """Revoke a token, for good; one of the settings too. Raises InputError for one that is not there."""
    now = datetime.now(UTC)
    if not name.startswith(_OF_SETTINGS):
        return _row(revoke_token(home.tokens, name, now))
    tenant, accounts = _settings(home, settings)
    digest = accounts.get(name.removeprefix(_OF_SETTINGS), "")
    if not digest:
        raise InputError("revoking token", name, "the settings hold none for it", "see `trading token list`")
    token = Token(
        name=name, tenant=tenant, account=name.removeprefix(_OF_SETTINGS), sha256=digest, made_at=now, revoked_at=now
    )
    if not (home.tokens / f"{name}.json").exists():
        put_token(home.tokens, token)
    return _row(token)


def tokens_report(result: dict[str, Any]) -> None:
    """Print the tokens, one a line."""
    for row in result["tokens"]:
        state = "valid" if row["is_valid"] else f"revoked {row['revoked_at']:%Y-%m-%d %H:%M} UTC"
        click.echo(f"{row['name']:<30} {row['account']:<20} {row['token_id']}  {state}")
    if not result["tokens"]:
        click.echo("There are none; make one with `trading token new ACCOUNT`.")


def _row(token: Token) -> dict[str, Any]:
    return {
        "name": token.name,
        "account": token.account,
        "token_id": token.token_id,
        "made_at": token.made_at,
        "revoked_at": token.revoked_at,
        "is_valid": token.revoked_at is None,
    }


def _settings(home: Home, given: Path | None) -> tuple[str, dict[str, str]]:
    """Return the tenant, and each account with the sha256 of its token in the settings."""
    path = given or home.root / "settings.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "name the home of a daemon with --home, or its settings with --settings"
        raise InputError("reading settings", path, error.strerror or str(error), hint) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("reading settings", path, f"this is not TOML ({error})", "correct the file") from error
    accounts = {
        str(one.get("name", "")): str(one.get("token_sha256", "")).lower()
        for one in content.get("accounts", [])
        if isinstance(one, dict)
    }
    return str(content.get("tenant", "default")), accounts
