"""Which days the journals are about: history told today of days long before, counted once however often it is looked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from trading_assets.core.records.market import Bar, Quote
from trading_assets.store.history_days import first_day, told_days
from trading_assets.store.home import Home
from trading_assets.store.ingestion import mark_history, pending_history
from trading_assets.store.journal import Journal

AT = datetime(2026, 1, 30, 12, tzinfo=UTC)


def bar(record_of: Callable[..., Any], open_at: datetime, source: str = "history", account: str = "a") -> Any:
    return record_of(
        Bar, tenant="t", account=account, event_at=AT, known_at=AT, source=source, timeframe="M5", open_at=open_at,
        close_at=open_at + timedelta(minutes=5),
    )  # fmt: skip


async def test_history_is_due_on_the_days_it_is_about_until_its_bars_are_made(
    tmp_path: Path, record_of: Callable[..., Any]
) -> None:
    home, long_ago, friday = Home(tmp_path), datetime(2025, 11, 3, 8, tzinfo=UTC), datetime(2026, 1, 23, 8, tzinfo=UTC)
    async with Journal.open(home.raw, "test") as journal:
        quote = record_of(Quote, tenant="t", account="a", event_at=AT, known_at=AT)
        await journal.append(
            [quote, bar(record_of, long_ago), quote, bar(record_of, friday), bar(record_of, AT, "quotes")]
        )
        assert told_days(home) == {long_ago.date(): 1, friday.date(): 1}
        assert first_day(home) == long_ago.date()
        assert pending_history(home) == {long_ago.date(), friday.date()}
        mark_history(home, {long_ago.date(): 1, friday.date(): 1, date(2026, 1, 1): 0})
        assert pending_history(home) == set()
        # Told more of a day, by another terminal as well: that day alone is due.
        await journal.append([quote, bar(record_of, friday + timedelta(minutes=5))])
        await journal.append([bar(record_of, friday, account="b")])
        assert told_days(home)[friday.date()] == 3
        assert pending_history(home) == {friday.date()}
        assert told_days(home) == {long_ago.date(): 1, friday.date(): 3}
    (home.cursors / "history_days.json").unlink()
    assert told_days(home) == {long_ago.date(): 1, friday.date(): 3}


async def test_what_is_not_sealed_is_nobodys_yet(tmp_path: Path, record_of: Callable[..., Any]) -> None:
    home = Home(tmp_path)
    async with Journal.open(home.raw, "test") as journal:
        await journal.append([bar(record_of, AT - timedelta(days=3))])
    (segment,) = home.raw.rglob("*.ndjson")
    whole = segment.read_bytes()
    line = next(line for line in whole.splitlines(keepends=True) if line.startswith(b'{"type":"bar"'))
    segment.write_bytes(whole + line)
    assert told_days(home) == {AT.date() - timedelta(days=3): 1}
    segment.write_bytes(whole + line + line[:40])
    assert told_days(home) == {AT.date() - timedelta(days=3): 1}
