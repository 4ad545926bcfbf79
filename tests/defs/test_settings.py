"""The environment of the asset graph: what it may say, and what is said about it when it is wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from trading_assets.core.errors import InputError
from trading_assets.defs.settings import DEFAULT_FIRST_DATE, AssetSettings


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
