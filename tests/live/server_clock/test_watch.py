"""The broker's clock: found from history by the real daemon and the simulated terminal, watched, and doubted aloud."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_terminal import (
    PATIENCE_S,
    START,
    TOKEN,
    RunningDaemon,
    ScriptedTerminal,
    daemon_at,
    price_at,
    records,
    settings_text,
)

from live.desk.desk import Desk
from live.paper.feed import Feed, from_files
from live.paper.terminal import Setup, Terminal
from trading_assets.core.errors import TradingError
from trading_assets.core.market.clock import HOUR_MS, ClockRule
from trading_assets.core.market.timeframes import from_ms, to_ms
from trading_assets.core.messages import Processed, Refusal
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.market import Bar, Quarantine, Quote
from trading_assets.core.records.operations import Finding
from trading_assets.core.records.trading import BreakerEvent, ClockVerdict, Session

DATA = Path(__file__).parents[4] / "shared" / "data"
H1 = DATA / "h1" / "mt5" / "EURJPYh1.csv.gz"
M5 = DATA / "m5" / "mt5" / "EURUSD_M5_2023.csv.gz"


@lru_cache(maxsize=1)
def recorded(path: Path) -> Feed:
    if not path.exists():
        pytest.skip(f"there is no ../shared/data/{path.relative_to(DATA)}")
    return from_files([path], [], "eu", None)


def between(feed: Feed, begin: datetime, end: datetime, rule: str = "eu") -> Feed:
    """The quotes of a span, from a server under another rule."""
    part = slice(feed.index_at(begin), feed.index_at(end))
    cut = {f.name: value[part] for f in fields(feed) if isinstance(value := getattr(feed, f.name), np.ndarray)}
    clock = ClockRule.parse(rule)
    return replace(feed, **(cut | {"clock": clock, "server_msc": clock.to_server_ms(cut["at_ms"])}))


async def played(home: Path, feed: Feed, begin: datetime, port: int) -> dict[str, Any]:
    """Play a feed in lockstep from the beginning of a day's session on; what lies before is history."""
    days = np.unique((feed.at_ms + 2 * HOUR_MS) // (24 * HOUR_MS))
    days = days[days < (to_ms(begin) + 2 * HOUR_MS) // (24 * HOUR_MS)]
    setup = Setup(
        url=f"ws://127.0.0.1:{port}", token=TOKEN, state=home / "terminal", step_minutes=60, history_days=len(days), patience_s=0.5
    )  # fmt: skip
    return await Terminal(feed, setup).run()


def configure(home: Path, clock: str, symbol: str = "EURJPY") -> None:
    (home / "settings.toml").write_text(settings_text(symbols=(symbol,)).replace('clock = "utc"', f'clock = "{clock}"'))


def changes(home: Path) -> list[str]:
    return [event.change for event in records(home, BreakerEvent) if event.breaker == "clock"]


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        # Servers of this broker end the week at 17:00 in New York and begin it at their own midnight.
        ("eu", datetime(2019, 3, 29, 21, tzinfo=UTC), datetime(2019, 3, 31, 21, tzinfo=UTC)),
        ("us", datetime(2019, 3, 8, 22, tzinfo=UTC), datetime(2019, 3, 10, 22, tzinfo=UTC)),
        ("eu", datetime(2019, 10, 25, 21, tzinfo=UTC), datetime(2019, 10, 27, 22, tzinfo=UTC)),
        ("us", datetime(2019, 11, 1, 21, tzinfo=UTC), datetime(2019, 11, 3, 22, tzinfo=UTC)),
    ],
)
async def test_a_change_of_daylight_saving_is_survived_under_a_rule_that_was_found(
    home: Path, rule: str, before: datetime, after: datetime
) -> None:
    """The clock changes between the last bar of the week and the first of the next."""
    configure(home, "auto")
    feed = between(recorded(H1), before - timedelta(days=420), after + timedelta(hours=30), rule)
    begin = before - timedelta(hours=20)
    async with daemon_at(home) as daemon:
        assert (await played(home, feed, begin, daemon.port))["done"]
    first, *_ = records(home, ClockVerdict)
    assert (first.clock_rule, first.origin, first.is_accepted) == (rule, "detected", True)
    assert {session.clock_rule for session in records(home, Session)} == {rule}
    quotes = records(home, Quote)
    assert [quote.event_at for quote in quotes] == [from_ms(int(at)) for at in feed.at_ms[-len(quotes) :]]
    assert {quote.clock_rule for quote in quotes} == {rule}
    bars = [bar for bar in records(home, Bar) if bar.timeframe == "H1"]
    assert max(bar.close_at for bar in bars if bar.close_at < after) == before
    assert min(bar.open_at for bar in bars if bar.open_at >= before) == after
    assert not changes(home)


async def test_a_real_file_across_the_autumn_change_gives_the_bars_of_its_own_week(home: Path) -> None:
    configure(home, "auto", "EURUSD")
    before, after = datetime(2023, 10, 27, 21, tzinfo=UTC), datetime(2023, 10, 29, 22, tzinfo=UTC)
    feed = between(recorded(M5), datetime(2023, 1, 1, tzinfo=UTC), after + timedelta(hours=2))
    async with daemon_at(home) as daemon:
        assert (await played(home, feed, before - timedelta(hours=3), daemon.port))["done"]
    assert records(home, ClockVerdict)[0].clock_rule == "eu"
    bars = [bar for bar in records(home, Bar) if bar.timeframe == "M5"]
    assert before - max(bar.close_at for bar in bars if bar.close_at < after) <= timedelta(minutes=10)
    assert min(bar.open_at for bar in bars if bar.open_at >= before) - after <= timedelta(minutes=10)


async def test_history_of_one_summer_fits_two_rules_and_the_session_is_refused(home: Path) -> None:
    configure(home, "auto")
    begin = datetime(2019, 9, 10, 12, tzinfo=UTC)
    feed = between(recorded(H1), datetime(2019, 4, 8, tzinfo=UTC), begin + timedelta(days=1))
    async with daemon_at(home) as daemon:
        with pytest.raises(TradingError, match="clock"):
            await played(home, feed, begin, daemon.port)
    verdict = records(home, ClockVerdict)[0]
    assert not verdict.is_accepted
    assert verdict.clock_rule == ""
    assert {"eu", "us"} < set(verdict.fitting_rules)
    assert (
        "eu, us and +3 all fit the 22 weekends of its history; set `clock` in the account's settings" in verdict.problem
    )
    assert not records(home, Quote, Session)


async def test_a_rule_found_once_is_kept_for_a_later_run_that_could_not_find_it(home: Path) -> None:
    configure(home, "auto")
    begin = datetime(2019, 9, 10, 12, tzinfo=UTC)
    whole = between(recorded(H1), datetime(2018, 8, 1, tzinfo=UTC), begin + timedelta(hours=3))
    async with daemon_at(home) as daemon:
        await played(home, whole, begin, daemon.port)
    short = between(recorded(H1), datetime(2019, 6, 3, tzinfo=UTC), begin + timedelta(hours=26))
    async with daemon_at(home) as daemon:
        await played(home / "second", short, begin + timedelta(hours=24), daemon.port)
    assert [(one.origin, one.clock_rule) for one in records(home, ClockVerdict)][-1] == ("recorded", "eu")


async def test_a_wrong_rule_stops_entries_until_a_person_sets_the_right_one(home: Path) -> None:
    begin = datetime(2019, 9, 10, 12, tzinfo=UTC)
    feed = between(recorded(H1), datetime(2018, 8, 1, tzinfo=UTC), begin + timedelta(hours=6))
    configure(home, "us")
    async with daemon_at(home) as daemon:
        await played(home, feed, begin, daemon.port)
    assert changes(home) == ["trip"]
    (finding,) = (one for one in records(home, Finding) if one.check == "live.server_clock.watch")
    assert finding.observed == "the rule us does not fit the 57 weekends of the server's history, eu would"
    decisions = records(home, Decision)
    assert decisions
    assert all("breaker clock" in " ".join(decision.reasons) or decision.action == "NONE" for decision in decisions)
    configure(home, "eu")
    later = between(recorded(H1), datetime(2018, 8, 1, tzinfo=UTC), begin + timedelta(hours=28))
    async with daemon_at(home) as daemon:
        await played(home / "second", later, begin + timedelta(hours=24), daemon.port)
    assert changes(home) == ["trip", "reset"]


async def test_a_wrong_rule_shows_in_replay_after_two_weeks_in_which_it_matters(home: Path) -> None:
    configure(home, "us")
    feed = between(recorded(H1), datetime(2019, 1, 21, tzinfo=UTC), datetime(2019, 3, 24, 23, tzinfo=UTC))
    async with daemon_at(home) as daemon:
        await played(home, feed, datetime(2019, 3, 21, 12, tzinfo=UTC), daemon.port)
    assert changes(home) == ["trip"]
    (event,) = (one for one in records(home, BreakerEvent) if one.breaker == "clock")
    assert event.event_at >= datetime(2019, 3, 24, 20, tzinfo=UTC)


# --- real time ------------------------------------------------------------------------------------------------------


class SetClock:
    """System time as a test sets it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def observe(self, at: datetime) -> None:
        """The stream does not move it."""


async def quoted(terminal: ScriptedTerminal, desk: Desk, clock: SetClock, *, ahead: timedelta) -> None:
    """Send a window of fresh quotes whose server time is ahead of the system's clock, and let it be judged."""
    for _ in range(4):
        clock.at += timedelta(seconds=5)
        at, seen = clock.at + ahead, desk.account.feed.accepted + desk.account.feed.refused
        await terminal.ticks([(at, price_at(at), price_at(at) + 0.0001)])
        await until(lambda seen=seen: desk.account.feed.accepted + desk.account.feed.refused > seen)  # type: ignore[misc]
        desk.account.clock_watch.look()


@pytest.fixture
def clock() -> SetClock:
    return SetClock(START)


@asynccontextmanager
async def in_real_time(daemon: RunningDaemon, terminal: ScriptedTerminal) -> AsyncIterator[Desk]:
    """A session by the clock whose terminal answers what it is asked."""
    await terminal.hello(lockstep=False)
    answering = asyncio.create_task(terminal.until(Processed))
    desk = daemon.desk()
    await until(lambda: desk.is_open)
    # Time does not pass for the measure of seconds (`test_offset`): here the rule is judged.
    desk.account.clock_watch.offset._now_s = lambda: 0.0
    yield desk
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)


async def until(is_so: Callable[[], bool]) -> None:
    """Let the daemon in this process work until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - the daemon has no event for it
            await asyncio.sleep(0)


async def test_fresh_quotes_an_hour_off_trip_the_breaker_and_the_right_hour_resets_it(
    home: Path, clock: SetClock
) -> None:
    async with (
        daemon_at(home, clock=clock) as daemon,
        daemon.terminal() as terminal,
        in_real_time(daemon, terminal) as desk,
    ):
        await quoted(terminal, desk, clock, ahead=timedelta(0))
        assert not desk.account.books.risk.is_tripped("clock")
        # A server two minutes off is no contradiction, an hour is, and once is not enough.
        await quoted(terminal, desk, clock, ahead=timedelta(minutes=2))
        assert not desk.account.books.risk.is_tripped("clock")
        await quoted(terminal, desk, clock, ahead=timedelta(hours=1))
        assert not desk.account.books.risk.is_tripped("clock")
        await quoted(terminal, desk, clock, ahead=timedelta(hours=1))
        assert desk.account.books.risk.is_tripped("clock")
        await quoted(terminal, desk, clock, ahead=timedelta(hours=1))
        clock.at += timedelta(hours=1)
        await quoted(terminal, desk, clock, ahead=timedelta(seconds=1))
        assert not desk.account.books.risk.is_tripped("clock")
    assert changes(home) == ["trip", "reset"]
    (finding,) = (one for one in records(home, Finding) if one.check == "live.server_clock.watch")
    assert "the rule utc puts the server at UTC+0 now, its quotes say UTC+1" in finding.observed
    assert [one.offset_minutes for one in records(home, ClockVerdict) if one.occasion == "quotes"] == [0, 60, 0]


async def test_silence_is_no_evidence(home: Path, clock: SetClock) -> None:
    """Over a holiday the clock goes on and no quote comes."""
    async with (
        daemon_at(home, clock=clock) as daemon,
        daemon.terminal() as terminal,
        in_real_time(daemon, terminal) as desk,
    ):
        await quoted(terminal, desk, clock, ahead=timedelta(0))
        for _ in range(100):
            clock.at += timedelta(hours=1)
            desk.account.clock_watch.look()
        assert not desk.account.books.risk.is_tripped("clock")
    assert not changes(home)


async def test_a_terminal_that_gives_no_history_is_refused_with_a_sentence(home: Path, clock: SetClock) -> None:
    text = (
        settings_text()
        .replace('clock = "utc"', 'clock = "auto"')
        .replace("answer_timeout_s = 2.0", "answer_timeout_s = 0.01")
    )
    (home / "settings.toml").write_text(text)
    async with daemon_at(home, clock=clock) as daemon, daemon.terminal() as terminal:
        terminal.answers_history = False
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await terminal.hello(lockstep=False)
        assert await terminal.closed() == 1008
    (refusal,) = (message for message in terminal.received if isinstance(message, Refusal))
    assert "the terminal gave no H1 history of EURUSD; set `clock` in the account's settings" in refusal.text


async def test_quotes_of_the_repeated_hour_never_move_time_back(home: Path) -> None:
    """They are read as the hour's first occurrence: what repeats it is quarantined, and time goes on after it."""
    configure(home, "eu", "EURUSD")
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        switch = datetime(2024, 10, 27, 1, tzinfo=UTC)
        eu = ClockRule.parse("eu")
        real = [switch + timedelta(minutes=minute) for minute in range(-60, 120, 5)]
        terminal.now = terminal.history_ends = from_ms(eu.to_server(real[0]))
        await terminal.hello()
        for at in real:
            server = from_ms(eu.to_server(at))
            price = price_at(at)
            await terminal.ticks([(server, price, price + 0.0001)])
            # Time passes also without quotes: the first of the two hours ends before the second begins.
            await terminal.settle(server + timedelta(minutes=5) - timedelta(milliseconds=1))
    quotes = records(home, Quote)
    times = [quote.event_at for quote in quotes]
    assert times == sorted(times)
    assert [at for at in times if at >= switch + timedelta(hours=1)] == real[24:]
    assert not [at for at in times if switch <= at < switch + timedelta(hours=1)]
    refused = [one for one in records(home, Quarantine) if one.reason in ("time_backwards", "late", "duplicate")]
    assert len(refused) == 12
    known = [record.known_at for record in records(home, Quote)]
    assert known == sorted(known)
    assert to_ms(times[-1]) == eu.to_server(times[-1]) - 2 * HOUR_MS
