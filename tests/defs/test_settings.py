"""The environment of the asset graph: what it may say, and what is said about it when it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trading_assets.core.errors import InputError
from trading_assets.core.records.market import Bar
from trading_assets.defs.settings import DEFAULT_FIRST_DATE, AssetSettings
from trading_assets.store.home import Home
from trading_assets.store.journal import Journal


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TRADING_FIRST_DATE", "TRADING_MLFLOW_URL", "TRADING_RETRAIN_ROWS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRADING_HOME", str(tmp_path))


def test_the_first_day_is_the_journals_first_one(tmp_path: Path) -> None:
    assert AssetSettings.from_environment().first_date == DEFAULT_FIRST_DATE
    for day in ("2024-03-05", "2024-03-04"):
        (tmp_path / "raw" / "tenant=t" / "account=a" / "stream=market" / f"date={day}").mkdir(parents=True)
    assert AssetSettings.from_environment().first_date == date(2024, 3, 4)


def test_the_first_day_is_noted_and_only_moves_earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = tmp_path / "raw" / "tenant=t" / "account=a" / "stream=market"
    (days / "date=2024-03-05").mkdir(parents=True)
    assert AssetSettings.from_environment().first_date == date(2024, 3, 5)
    (days / "date=2024-03-05").rename(days / "date=2024-03-09")
    assert AssetSettings.from_environment().first_date == date(2024, 3, 5)
    (days / "date=2024-03-02").mkdir()
    assert AssetSettings.from_environment().first_date == date(2024, 3, 2)
    # No day of the journal is out of reach, whatever the environment says.
    monkeypatch.setenv("TRADING_FIRST_DATE", "2024-12-31")
    assert AssetSettings.from_environment().first_date == date(2024, 3, 2)


async def test_the_first_day_is_the_first_one_that_a_terminals_history_tells_of(
    tmp_path: Path, record_of: Callable[..., Any]
) -> None:
    open_at, heard_at = datetime(2026, 1, 12, 8, tzinfo=UTC), datetime(2026, 1, 30, 12, tzinfo=UTC)
    bar = record_of(
        Bar, tenant="t", account="a", event_at=heard_at, known_at=heard_at, source="history", timeframe="M5",
        open_at=open_at, close_at=open_at + timedelta(minutes=5),
    )  # fmt: skip
    async with Journal.open(Home(tmp_path).raw, "test") as journal:
        await journal.append([bar])
    # Nothing has looked at the journal before: the graph is built with the partitions its first ingestion needs.
    assert AssetSettings.from_environment().first_date == open_at.date()


def test_the_first_day_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_FIRST_DATE", "2025-12-31")
    assert AssetSettings.from_environment().first_date == date(2025, 12, 31)


@pytest.mark.parametrize("text", ["yesterday", "31.12.2025", "2025-13-01"])
def test_a_first_day_that_is_none_is_one_sentence(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TRADING_FIRST_DATE", text)
    with pytest.raises(InputError) as refused:
        AssetSettings.from_environment()
    assert str(refused.value) == f"reading TRADING_FIRST_DATE: {text!r} is not a date; write it as 2026-01-31."


@pytest.mark.parametrize("text", ["many", "-5", "1e3"])
def test_a_number_of_rows_that_is_none_is_one_sentence(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TRADING_RETRAIN_ROWS", text)
    with pytest.raises(InputError, match=f"reading TRADING_RETRAIN_ROWS: '{text}' is not a number of rows"):
        AssetSettings.from_environment()
