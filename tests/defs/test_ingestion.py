"""How the lake follows the journals: what has grown is pending, what was ingested is not, and nothing is forgotten."""

from __future__ import annotations

import itertools
import json
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trading_assets.core.records.market import Quote
from trading_assets.core.records.operations import OpsError
from trading_assets.core.records.record import Record, Stream
from trading_assets.defs.due import days_before
from trading_assets.store.home import Home
from trading_assets.store.ingestion import mark_ingested, marked_reached, pending_days, stretches
from trading_assets.store.journal import Journal

DAY = date(2026, 1, 5)
STREAMS: tuple[Stream, ...] = ("market", "trading", "ops")


@given(days=st.sets(st.dates(date(2026, 1, 1), date(2026, 2, 10)), max_size=30))
def test_stretches_hold_exactly_the_days_and_are_as_few_as_can_be(days: set[date]) -> None:
    runs = stretches(days)
    held = [first + timedelta(days=n) for first, last in runs for n in range((last - first).days + 1)]
    assert held == sorted(days)
    assert all(before[1] + timedelta(days=1) < after[0] for before, after in itertools.pairwise(runs))


def segment(home: Home, stream: Stream, day: date, name: str = "live-00000001.ndjson") -> Path:
    folder = home.raw / "tenant=t" / "account=a" / f"stream={stream}" / f"date={day}" / "hour=07"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def grow(path: Path, size: int) -> None:
    with path.open("ab") as file:
        file.write(b"x" * size)


class Following(RuleBasedStateMachine):
    """Journals that grow and are ingested in any order, against a plain model of which days are behind."""

    @initialize(folder=st.just(None))
    def start(self, folder: None) -> None:  # noqa: ARG002 - hypothesis gives it
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.home = Home(Path(self.folder.name))
        self.behind: set[tuple[Stream, date]] = set()

    @rule(stream=st.sampled_from(STREAMS), day=st.integers(0, 5), size=st.integers(1, 500))
    def a_journal_grows(self, stream: Stream, day: int, size: int) -> None:
        grow(segment(self.home, stream, DAY + timedelta(days=day)), size)
        self.behind.add((stream, DAY + timedelta(days=day)))

    @rule(stream=st.sampled_from(STREAMS), days=st.sets(st.integers(0, 5), max_size=6))
    def a_stream_is_ingested(self, stream: Stream, days: set[int]) -> None:
        done = {DAY + timedelta(days=day) for day in days}
        mark_ingested(self.home, stream, done)
        self.behind -= {(stream, day) for day in done}

    @rule(day=st.integers(0, 5))
    def a_torn_file_is_moved_aside(self, day: int) -> None:
        at = DAY + timedelta(days=day)
        if any(known == at and stream == "market" for stream, known in self.behind):
            grow(segment(self.home, "market", at, "live-00000002.torn.ndjson"), 9)

    @invariant()
    def what_is_pending_is_what_is_behind(self) -> None:
        if hasattr(self, "home"):
            assert pending_days(self.home) == sorted({day for _, day in self.behind})

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


Following.TestCase.settings = hypothesis_settings(max_examples=25, stateful_step_count=15, deadline=None)
TestFollowing = Following.TestCase


def test_a_lost_mark_costs_work_and_never_data(tmp_path: Path) -> None:
    home = Home(tmp_path)
    grow(segment(home, "market", DAY), 10)
    mark_ingested(home, "market", [DAY])
    assert pending_days(home) == []
    (home.cursors / "ingestion.json").unlink()
    assert pending_days(home) == [DAY]


@pytest.mark.parametrize("content", [b"", b"{", b'{"market": {"2026-01', b"[1]", b"\xff"])
def test_a_spoilt_mark_is_a_lost_one(tmp_path: Path, content: bytes) -> None:
    home = Home(tmp_path)
    grow(segment(home, "market", DAY), 10)
    mark_ingested(home, "market", [DAY])
    (home.cursors / "ingestion.json").write_bytes(content)
    (home.cursors / "reached.json").write_bytes(content)
    assert pending_days(home) == [DAY]
    assert marked_reached(home) == {}


def test_marks_of_one_stream_leave_those_of_the_others(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for stream in STREAMS:
        grow(segment(home, stream, DAY), 10)
        mark_ingested(home, stream, [DAY])
    marks = json.loads((home.cursors / "ingestion.json").read_text())
    assert marks == {stream: {DAY.isoformat(): 10} for stream in STREAMS}


@pytest.mark.parametrize("kind", [Quote, OpsError])
async def test_a_day_is_pending_once_the_journal_has_a_record_of_it(
    tmp_path: Path, record_of: object, kind: type[Record]
) -> None:
    home = Home(tmp_path)
    at = datetime.fromisoformat("2026-01-06T23:59:00+00:00")
    async with Journal.open(home.raw, "test") as journal:
        await journal.append([record_of(kind, tenant="t", account="a", event_at=at, known_at=at)])  # type: ignore[operator]
    assert pending_days(home) == [at.date()]
    mark_ingested(home, kind.STREAM, [at.date()])
    assert pending_days(home) == []


def test_a_range_knows_which_days_before_it_are_not_in_the_lake(tmp_path: Path) -> None:
    home, later = Home(tmp_path), DAY + timedelta(days=9)
    grow(segment(home, "market", DAY), 10)
    grow(segment(home, "ops", DAY + timedelta(days=1)), 10)
    grow(segment(home, "market", later), 10)
    assert days_before(home, DAY) == []
    assert days_before(home, later) == [DAY]
    mark_ingested(home, "market", [DAY])
    assert days_before(home, later) == []
