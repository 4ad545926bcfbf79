"""Retention: old ingested market segments go, receipts stay, the chain is proved, and stopping it anywhere harms nothing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trading_assets.core.errors import StateError
from trading_assets.core.market.bars import BarValues
from trading_assets.store import files, journal_bars, journal_compress, journal_receipts, journal_retention
from trading_assets.store.home import Home
from trading_assets.store.ingestion import mark_ingested, pending_days, whole_days
from trading_assets.store.journal import Journal, JournalReport, read_groups, verify
from trading_assets.store.journal_bars import bar_lines
from trading_assets.store.journal_disk import WriterLock
from trading_assets.store.journal_retention import retain

START = datetime(2026, 11, 2, 13, 59, 58, tzinfo=UTC)
DAY = START.date()
LATER = DAY + timedelta(days=30)
HOURS = 30
FIRST_DAY = 11
"""From 13:59 on the first day into the second, and how many of them are of the first."""


def bar(hour: int) -> Any:
    at = START.replace(minute=0, second=0) + timedelta(hours=hour)
    values = BarValues(
        symbol="EURUSD", timeframe="H1", open_at=at, close_at=at + timedelta(hours=1), open=1.1, high=1.1, low=1.1, close=1.1,
        ask_open=1.2, ask_high=1.2, ask_low=1.2, ask_close=1.2, tick_count=1, spread_min_points=1, spread_max_points=1,
        spread_sum_points=1, source="quotes",
    )  # fmt: skip
    return values.to_record(tenant="market", account="demo", known_at=START + timedelta(hours=hour), chain_id="chain")


@pytest.fixture
def home(tmp_path: Path, quote: Any, ops_error: Any) -> Home:
    """A segment an hour in two streams over two days; the first day is ingested."""

    async def write(raw: Path) -> None:
        async with Journal.open(raw, sync=lambda _: None) as journal:
            for hour in range(HOURS):
                journal.buffer([quote(hour, seconds=3600 * hour), bar(hour)])
                await journal.append([ops_error(str(hour), seconds=3600 * hour)])

    home = Home(tmp_path)
    asyncio.run(write(home.raw))
    mark_ingested(home, "market", [DAY])
    mark_ingested(home, "ops", [DAY])
    return home


def segments(home: Home, stream: str) -> list[Path]:
    return sorted(home.raw.glob(f"**/stream={stream}/**/*.ndjson*"))


def counted(report: JournalReport) -> tuple[int, int]:
    return report.records + report.removed_records, report.segments + report.removed_segments


def test_old_ingested_market_segments_go_and_the_chain_is_still_proved(home: Home) -> None:
    before = verify(home.raw)
    done = retain(home, LATER, market_days=7)
    assert (done.removed, done.problems) == (FIRST_DAY, ())
    assert done.compressed == 2 * HOURS - 2 - FIRST_DAY
    report = verify(home.raw)
    assert report.faults == []
    assert (report.removed_segments, report.ends) == (FIRST_DAY, before.ends)
    assert counted(report) == counted(before)
    assert {path.parents[1].name for path in segments(home, "market")} == {f"date={DAY + timedelta(days=1)}"}
    assert len(segments(home, "ops")) == HOURS, "only market segments are ever removed"
    assert retain(home, LATER, market_days=7) == journal_retention.Retained()


@pytest.mark.parametrize("days", [29, 30])
def test_a_day_is_kept_as_long_as_it_was_asked_for(home: Home, days: int) -> None:
    assert retain(home, LATER, market_days=days).removed == (FIRST_DAY if days == 29 else 0)


def test_what_the_lake_does_not_have_is_never_removed(home: Home) -> None:
    (home.cursors / "ingestion.json").unlink()
    assert retain(home, LATER, market_days=1).removed == 0
    mark_ingested(home, "market", [DAY + timedelta(days=1)])
    assert retain(home, LATER, market_days=1).removed == 0, "only the beginning of a chain is removed"


def test_the_last_segment_of_a_chain_is_never_removed(home: Home) -> None:
    mark_ingested(home, "market", [DAY, DAY + timedelta(days=1)])
    assert retain(home, LATER, market_days=1).removed == HOURS - 1
    assert len(segments(home, "market")) == 1


def test_neither_compression_nor_removal_makes_a_day_pending_again(home: Home) -> None:
    pending = pending_days(home)
    retain(home, LATER, market_days=400)
    assert pending_days(home) == pending
    retain(home, LATER, market_days=1)
    assert pending_days(home) == pending == [DAY + timedelta(days=1)]


def test_a_day_that_was_removed_is_not_read_into_the_lake_again(home: Home, quote: Any) -> None:
    days = [DAY, DAY + timedelta(days=1)]
    retain(home, LATER, market_days=1)
    assert whole_days(home, "market", days) == days[1:]
    assert whole_days(home, "ops", days) == days

    async def write_late() -> None:
        async with Journal.open(home.raw, "late") as journal:
            await journal.append([quote(99)])

    asyncio.run(write_late())
    with pytest.raises(StateError, match="grown after retention"):
        whole_days(home, "market", days)


def test_the_bars_of_a_removed_day_stay(home: Home) -> None:
    before = bar_lines(home.raw, "market", "demo", DAY)
    assert len(before) == FIRST_DAY
    retain(home, LATER, market_days=1)
    assert not list(read_groups(home.raw, stream="market", dates=[DAY]))
    assert bar_lines(home.raw, "market", "demo", DAY) == before


def test_an_altered_segment_is_neither_removed_nor_compressed_and_the_rest_goes_on(home: Home) -> None:
    first = segments(home, "market")[0]
    first.write_bytes(first.read_bytes().replace(b"1.2", b"1.3", 1))
    done = retain(home, LATER, market_days=1)
    assert done.removed == 0
    assert all("do not give the sha256" in problem for problem in done.problems)
    assert done.problems
    assert done.compressed == HOURS - 1, "the other stream's"


def test_a_segment_with_bytes_after_its_last_seal_is_not_removed(home: Home) -> None:
    # A mark says that the lake has all of the day; what no seal holds has been read by nobody.
    first = segments(home, "market")[0]
    first.write_bytes(first.read_bytes() + b'{"type":"quote"}\n')
    mark_ingested(home, "market", [DAY])
    done = retain(home, LATER, market_days=1)
    assert done.removed == 0
    assert "bytes after its last seal" in " ".join(done.problems)
    assert first.exists()
    assert not list(home.raw.glob("**/*.removed"))


def test_spoilt_receipts_stop_removal_and_are_named(home: Home) -> None:
    retain(home, LATER, market_days=1)
    (path,) = home.raw.glob("**/*.removed")
    lines = path.read_bytes().splitlines(keepends=True)
    mark_ingested(home, "market", [DAY + timedelta(days=1)])
    for content, words in (
        (b"".join(lines[:3] + lines[4:]), "is due"),
        (b"".join(lines).replace(b'"groups":1', b'"groups":2', 1), "not what was written"),
        (b"x\n", "no receipt"),
    ):
        path.write_bytes(content)
        faults = verify(home.raw).faults
        assert faults[0].segment == path.relative_to(home.raw).as_posix()
        assert words in faults[0].observed
        done = retain(home, LATER, market_days=1)
        assert done.removed == 0
        assert words in " ".join(done.problems)
    path.unlink()
    assert "it is missing" in verify(home.raw).faults[0].observed


def test_a_file_put_back_under_a_receipt_is_taken_when_it_is_the_one(home: Home, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(home.raw, copy)
    retain(home, LATER, market_days=1)
    first = min(copy.glob("**/stream=market/**/*.ndjson"))
    target = home.raw / first.relative_to(copy)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(first, target)
    assert verify(home.raw).faults == []
    target.write_bytes(target.read_bytes() + b"x")
    (fault,) = verify(home.raw).faults
    assert fault.segment == target.relative_to(home.raw).as_posix()
    # What verification names is not removed as a leftover either; the one that is the receipt's is.
    assert retain(home, LATER, market_days=1).problems
    assert target.exists()
    shutil.copy(first, target)
    assert retain(home, LATER, market_days=1).problems == ()
    assert not target.exists()


def test_only_one_retention_runs_at_a_time(home: Home) -> None:
    lock = WriterLock(home.raw, "retention")
    with pytest.raises(StateError, match="already writes"):
        retain(home, LATER, market_days=1)
    lock.release()


class Killed(BaseException):
    """A kill: nothing that follows is carried out."""


@pytest.mark.parametrize("is_after", [False, True])
def test_killed_at_any_step_it_leaves_a_journal_that_holds_and_the_next_pass_finishes(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_after: bool
) -> None:
    before = verify(home.raw)
    steps, dies_at = 0, -1

    def step(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            nonlocal steps
            steps += 1
            is_last = steps == dies_at
            if is_last and not is_after:
                raise Killed
            result = real(*arguments, **named)
            if is_last:
                raise Killed
            return result

        return wrapped

    for module in (journal_retention, journal_compress, files):
        monkeypatch.setattr(module, "sync_folder", step(files.sync_folder))
    monkeypatch.setattr(files, "write_synced", step(files.write_synced))
    for module in (journal_compress, journal_receipts, journal_bars):
        monkeypatch.setattr(module, "replace_atomically", step(files.replace_atomically))
    monkeypatch.setattr(Path, "unlink", step(Path.unlink))
    kept = tmp_path / "kept"
    shutil.copytree(home.root / "raw", kept)
    done, dies_at = False, 0
    while not done:
        dies_at += 13  # a stride that meets every kind of step
        shutil.rmtree(home.raw)
        shutil.copytree(kept, home.raw)
        steps = 0
        try:
            retain(home, LATER, market_days=7)
            done = True
        except Killed:
            pass
        steps = -1_000_000
        report = verify(home.raw)
        assert report.faults == []
        assert counted(report) == counted(before)
        assert pending_days(home) == [DAY + timedelta(days=1)]
        retain(home, LATER, market_days=7)
        report = verify(home.raw)
        assert (report.faults, report.removed_segments) == ([], FIRST_DAY)
        assert not [path for path in home.raw.rglob("*") if path.name.endswith(".tmp")]
    assert dies_at > 50


def test_a_stale_extract_is_made_again_and_a_spoilt_one_is_not_believed(home: Home) -> None:
    before = bar_lines(home.raw, "market", "demo", DAY, is_kept=True)
    (path,) = home.raw.glob("**/bars.extract")
    path.write_bytes(path.read_bytes().replace(b"1.1", b"9.9", 1))
    assert bar_lines(home.raw, "market", "demo", DAY) == before
    path.unlink()
    assert bar_lines(home.raw, "market", "demo", date(2020, 1, 1)) == []
