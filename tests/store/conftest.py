"""Records for the journal's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from trading_assets.core.records.market import Quote
from trading_assets.core.records.operations import OpsError

START = datetime(2026, 11, 2, 13, 59, 58, tzinfo=UTC)


class MakeQuote(Protocol):
    def __call__(self, number: int, *, seconds: float = 0.0, bid: float = 1.1, account: str = "demo") -> Quote: ...


class MakeError(Protocol):
    def __call__(self, message: str, *, seconds: float = 0.0, account: str = "demo") -> OpsError: ...


@pytest.fixture(scope="session")
def quote() -> MakeQuote:
    """Makes a quote, numbered by `server_msc`, known `seconds` after 13:59:58."""

    def make(number: int, *, seconds: float = 0.0, bid: float = 1.1, account: str = "demo") -> Quote:
        at = START + timedelta(seconds=seconds)
        return Quote(
            tenant="market", account=account, event_at=at, known_at=at, chain_id="chain", symbol="EURUSD", bid=bid,
            ask=1.2, server_msc=number, clock_rule="utc",
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def ops_error() -> MakeError:
    """Makes a record of the ops stream with a text, known `seconds` after 13:59:58."""

    def make(message: str, *, seconds: float = 0.0, account: str = "demo") -> OpsError:
        at = START + timedelta(seconds=seconds)
        return OpsError(
            tenant="t", account=account, event_at=at, known_at=at, chain_id="chain", component="test", message=message
        )

    return make


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Root of a journal."""
    return tmp_path / "raw"
