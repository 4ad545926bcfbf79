"""What an open journal keeps in memory while a process writes for weeks: what is being written to, and little more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trading_assets.core.records.operations import OpsError
from trading_assets.store import journal, journal_disk
from trading_assets.store.journal import Journal, read_records, verify

START = datetime(2026, 3, 2, tzinfo=UTC)


async def test_hours_that_are_over_are_forgotten_and_written_all_the_same(
    tmp_path: Path, record_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_KEYS_KEPT", 4)
    monkeypatch.setattr(journal_disk, "_NAMES_KEPT", 8)
    async with Journal.open(tmp_path / "raw") as opened:
        for hour in range(30):
            at = START + timedelta(hours=hour)
            await opened.append([record_of(OpsError, tenant="t", account="a", event_at=at, known_at=at)])
        assert len(opened._keys) <= 5
        assert len(opened._thread._names._known) <= 8
    assert len(list(read_records(tmp_path / "raw"))) == 30
    assert verify(tmp_path / "raw").faults == []
