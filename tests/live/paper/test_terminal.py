"""The whole terminal against a scripted daemon on a real socket."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from live.paper.faults import Faults
from live.paper.feed import Feed
from live.paper.state import State
from live.paper.terminal import Setup, Terminal
from trading_assets.core.errors import InputError, UnavailableError
from trading_assets.core.ids import ulid_time
from trading_assets.core.market.timeframes import from_ms, to_ms
from trading_assets.core.messages import (
    Bars,
    Deals,
    DealUpdate,
    Goodbye,
    Halt,
    Hello,
    OrderCommand,
    OrderUpdate,
    PositionUpdate,
    Query,
    Resync,
    Snapshot,
    Subscribe,
    TerminalError,
    TerminalHeartbeat,
    Ticks,
)

from .conftest import TOKEN, ScriptedDaemon, listening, order, trades_by_the_clock

Make = Callable[..., Setup]


async def played(feed: Feed, setup: Setup, **more: Any) -> dict[str, Any]:
    return await Terminal(feed, setup, **more).run()


def saved_deals(setup: Setup) -> list[Any]:
    state = State(setup.state)
    deals = state.load_book().deals
    state.close()
    return deals


def quotes_of(daemon: ScriptedDaemon) -> list[tuple[str, int, float, float]]:
    return [(batch.symbol, *tick_of(tick)) for batch in daemon.of(Ticks) for tick in batch.ticks]


def tick_of(tick: Any) -> tuple[int, float, float]:
    return tick.time_msc, tick.bid, tick.ask


@dataclass(frozen=True)
class Whole:
    """What a run that nothing interrupted left and sent."""

    deals: list[Any]
    quotes: set[tuple[str, int, float, float]]
    tickets: set[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole(market: Feed, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    async with listening(ScriptedDaemon(trade=trades_by_the_clock)) as daemon:
        given = Setup(url=daemon.url, token=TOKEN, state=tmp_path_factory.mktemp("whole") / "state", patience_s=2.0)
        await played(market, given)
    return Whole(saved_deals(given), set(quotes_of(daemon)), set(daemon.deal_tickets()))


async def test_lockstep_sends_every_quote_once_and_a_heartbeat_at_each_steps_end(market: Feed, setup: Make):
    async with listening(ScriptedDaemon()) as daemon:
        summary = await played(market, setup(daemon))
    assert summary["done"] is True
    assert summary["quotes"] == len(market) == len(quotes_of(daemon))
    assert sorted(quotes_of(daemon)) == sorted(
        zip(
            (market.symbols[i] for i in market.instrument),
            market.server_msc.tolist(),
            market.bid.tolist(),
            market.ask.tolist(),
            strict=True,
        )
    )
    reached = 0
    for message in daemon.received:
        if isinstance(message, TerminalHeartbeat):
            assert message.server_time_msc % 300_000 == 0
            reached = message.server_time_msc
        elif isinstance(message, Ticks):
            times = [tick.time_msc for tick in message.ticks]
            assert times == sorted(times)
            assert times[0] >= reached
            assert ulid_time(message.chain_id) == market.clock.to_utc(times[0])
    hello = daemon.of(Hello)[0]
    assert (hello.lockstep, hello.ends_at_msc) == (True, reached)
    assert isinstance(daemon.received[-1], Goodbye)


async def test_trades_come_back_as_order_deal_and_position_and_the_account_follows(market: Feed, setup: Make):
    async with listening(ScriptedDaemon(trade=trades_by_the_clock)) as daemon:
        summary = await played(market, setup(daemon, close_at_end=True))
    deals = [update.deal for update in daemon.of(DealUpdate)]
    assert {deal.reason for deal in deals} == {"EXPERT", "SL", "TP", "CLIENT"}
    net = sum((deal.profit + deal.commission + deal.swap for deal in deals), Decimal(0))
    assert Decimal(summary["balance"]) == 10_000 + net == daemon.of(DealUpdate)[-1].account.balance
    assert summary["positions"] == 0
    assert {update.position.ticket for update in daemon.of(PositionUpdate)} == {deal.position_id for deal in deals}
    assert all(update.chain_id for update in daemon.of(DealUpdate) if update.deal.reason in ("SL", "TP"))
    heartbeats = [beat for beat in daemon.of(TerminalHeartbeat) if beat.account is not None]
    assert heartbeats[-1].account.balance == Decimal(summary["balance"])


async def test_a_stop_is_told_right_after_the_quote_that_triggered_it(market: Feed, setup: Make):
    async with listening(ScriptedDaemon(trade=trades_by_the_clock)) as daemon:
        await played(market, setup(daemon))
    last_quote: dict[str, Any] = {}
    stops = 0
    for message in daemon.received:
        if isinstance(message, Ticks):
            last_quote[message.symbol] = message.ticks[-1]
        elif isinstance(message, DealUpdate) and message.deal.reason == "SL":
            stops += 1
            quote = last_quote[message.deal.symbol]
            assert quote.time_msc == message.deal.time_msc
            # A long leaves at the bid, a short at the ask, slipped against the client.
            worse = quote.bid - message.deal.price if message.deal.kind == "SELL" else message.deal.price - quote.ask
            assert -1e-9 < worse < 0.0002
    assert stops > 5


async def test_the_same_seed_gives_the_same_messages(market: Feed, setup: Make, tmp_path: Path):
    runs = []
    for number in range(2):
        async with listening(ScriptedDaemon(trade=trades_by_the_clock)) as daemon:
            await played(market, setup(daemon, state=tmp_path / str(number)))
        runs.append(daemon.received)
    assert runs[0] == runs[1]


async def test_a_run_stopped_and_continued_makes_the_deals_of_an_uninterrupted_one(
    market: Feed, whole: Whole, setup: Make, tmp_path: Path
):
    async with listening(ScriptedDaemon(trade=trades_by_the_clock)) as daemon:
        cut = setup(daemon, state=tmp_path / "cut")
        for until in (from_ms(int(market.at_ms[5000])), from_ms(int(market.at_ms[20_000])), None):
            part = setup(daemon, state=tmp_path / "cut", until=until)
            assert (await played(market, part))["done"]
    assert saved_deals(cut) == whole.deals


@pytest.mark.parametrize("after", [40, 333, 700, 801])
async def test_a_lost_connection_loses_and_doubles_nothing(
    market: Feed, whole: Whole, setup: Make, tmp_path: Path, after: int
):
    async with listening(ScriptedDaemon(trade=trades_by_the_clock)) as other:
        cut = setup(other, state=tmp_path / "cut", faults=Faults(disconnect_after=after))
        summary = await played(market, cut)
    assert summary["connections"] == 2
    assert saved_deals(cut) == whole.deals
    assert set(quotes_of(other)) == whole.quotes
    assert set(other.deal_tickets()) == whole.tickets


@pytest.mark.parametrize("after", [100, 404, 405, 406, 407])
async def test_results_the_daemon_may_have_missed_come_again_marked_late(market: Feed, setup: Make, after: int):
    async with listening(ScriptedDaemon(trade=trades_by_the_clock, hangs_up_after=after)) as daemon:
        given = setup(daemon)
        await played(market, given)
    assert daemon.sessions == 2
    assert set(daemon.deal_tickets()) == {deal.ticket for deal in saved_deals(given)[1:]}
    late = {update.deal.ticket for update in daemon.of(DealUpdate) if update.is_late}
    twice = {ticket for ticket in daemon.deal_tickets() if daemon.deal_tickets().count(ticket) == 2}
    assert twice <= late


async def test_answers_lost_delayed_timed_out_or_reordered_change_what_is_told_and_not_what_is_done(
    market: Feed, setup: Make, tmp_path: Path
):
    def entries_only(daemon: ScriptedDaemon, beat: TerminalHeartbeat) -> list[Any]:
        return [command for command in trades_by_the_clock(daemon, beat) if command[0] is OrderCommand]

    deals, told = {}, {}
    for name in ("none", "lost_answers", "delayed_answers", "timeouts", "reordered_results"):
        faults = Faults(**({} if name == "none" else {name: 0.5}))
        async with listening(ScriptedDaemon(trade=entries_only)) as daemon:
            given = setup(daemon, state=tmp_path / name, faults=faults)
            await played(market, given)
        deals[name], told[name] = saved_deals(given), daemon
    assert all(made == deals["none"] for made in deals.values())
    entries = len([deal for deal in deals["none"] if deal.entry == "IN"]) - 1
    assert len(told["none"].of(OrderUpdate)) == entries
    assert 0 < len(told["lost_answers"].of(OrderUpdate)) < entries
    assert {update.retcode for update in told["timeouts"].of(OrderUpdate)} == {10009, 10012}
    for name in ("delayed_answers", "timeouts", "reordered_results"):
        assert sorted(told[name].deal_tickets()) == sorted(told["none"].deal_tickets())
    kinds = [type(message) for message in told["reordered_results"].received]
    assert any(one is PositionUpdate and next_one is OrderUpdate for one, next_one in pairwise(kinds))


async def test_crossed_and_doubled_quotes_come_in_addition(market: Feed, setup: Make):
    faults = Faults(crossed_quotes=0.1, duplicated_ticks=0.1)
    async with listening(ScriptedDaemon()) as daemon:
        await played(market, setup(daemon, faults=faults, until=from_ms(int(market.at_ms[4000]))))
    got = quotes_of(daemon)
    sound = [quote for quote in got if quote[3] >= quote[2]]
    assert 300 < len(got) - len(sound) < 500
    assert 4300 < len(sound) < 4500
    assert len(set(sound)) == 4000


async def test_rejects_and_partial_fills_are_told_by_their_retcodes(market: Feed, setup: Make):
    faults = Faults(rejects=0.3, reject_retcode=10006, partial_fills=0.4, split_fills=0.4)
    async with listening(ScriptedDaemon(trade=trades_by_the_clock)) as daemon:
        await played(market, setup(daemon, faults=faults))
    assert {update.retcode for update in daemon.of(OrderUpdate)} == {10006, 10009, 10010}
    for update in daemon.of(OrderUpdate):
        if update.order is not None:
            fills = [one.deal.volume for one in daemon.of(DealUpdate) if one.deal.order == update.order.ticket]
            assert sum(fills) == update.order.volume_initial - update.order.volume_current


async def test_it_answers_queries_and_resync_and_names_what_it_does_not_have(market: Feed, setup: Make):
    def asks(daemon: ScriptedDaemon, beat: TerminalHeartbeat) -> list[Any]:
        match len(daemon.of(TerminalHeartbeat)):
            case 30:
                side = order(beat, "EURUSD", "BUY", daemon.bids["EURUSD"], daemon.asks["EURUSD"])
                return [(OrderCommand, side), (OrderCommand, side)]
            case 31:
                bars = {"what": "bars", "symbol": "EURUSD", "timeframe": "M5", "count": 10}
                return [
                    (Query, {"request_id": "b", **bars}),
                    (Query, {"request_id": "d", "what": "deals"}),
                    (Query, {"request_id": "s", "what": "state"}),
                    (Query, {"request_id": "x", **bars, "symbol": "XAUUSD"}),
                    (Resync, {"expected_seq": 3}),
                    (Subscribe, {"symbols": ("EURUSD", "XAUUSD")}),
                    (Halt, {"reason": "test"}),
                    (OrderCommand, order(beat, "EURUSD", "SELL", daemon.bids["EURUSD"], daemon.asks["EURUSD"])),
                ]
        return []

    async with listening(ScriptedDaemon(trade=asks)) as daemon:
        await played(market, setup(daemon, until=from_ms(int(market.at_ms[3000]))))
    bars, deals = daemon.of(Bars)[0], daemon.of(Deals)[0]
    assert (bars.request_id, len(bars.bars), bars.is_last) == ("b", 10, True)
    assert [deal.kind for deal in deals.deals][:2] == ["BALANCE", "BUY"]
    assert len(daemon.of(Snapshot)) == 4
    assert [error.code for error in daemon.of(TerminalError)] == ["unknown_chart", "unknown_symbol"]
    # The resync brings both again: the daemon had not said `processed` for a later heartbeat.
    first, again, *_, halted = daemon.of(OrderUpdate)
    assert first.order == again.order
    assert halted.retcode == 10027
    assert {batch.symbol for batch in daemon.of(Ticks)[-3:]} == {"EURUSD"}


async def test_history_days_are_history_and_not_played(market: Feed, setup: Make):
    def asks(daemon: ScriptedDaemon, _: TerminalHeartbeat) -> list[Any]:
        if len(daemon.of(TerminalHeartbeat)) > 1:
            return []
        return [(Query, {"request_id": "b", "what": "bars", "symbol": "GBPUSD", "timeframe": "H1"})]

    async with listening(ScriptedDaemon(trade=asks)) as daemon:
        await played(market, setup(daemon, history_days=1))
    assert market.clock.to_utc(daemon.of(Ticks)[0].ticks[0].time_msc) >= datetime(2024, 1, 8, 22, tzinfo=UTC)
    assert len(daemon.of(Bars)[0].bars) == 24
    async with listening(ScriptedDaemon()) as daemon:
        with pytest.raises(InputError, match="none is left to play"):
            await played(market, setup(daemon, history_days=2, state=setup(daemon).state / "other"))


async def test_real_time_pace_follows_the_clock_it_is_given(market: Feed, setup: Make):
    start = from_ms(int(market.at_ms[1000]))
    began: list[float] = []

    def now() -> datetime:
        began.append(time.monotonic())
        return start + timedelta(seconds=(began[-1] - began[0]) * 400)

    end = start + timedelta(minutes=10)
    async with listening(ScriptedDaemon(says_processed=False)) as daemon:
        summary = await played(market, setup(daemon, pace="realtime", until=end), now=now, rate=400)
    assert summary["done"]
    assert not daemon.of(Hello)[0].lockstep
    first_at = to_ms(market.clock.to_utc(daemon.of(Ticks)[0].ticks[0].time_msc))
    assert first_at < to_ms(start) + 30_000
    assert len(quotes_of(daemon)) == market.index_at(end) - market.index_at(from_ms(first_at))
    beats = [beat.server_time_msc for beat in daemon.of(TerminalHeartbeat)]
    assert len(beats) > 100
    assert beats == sorted(beats)
    reached = 0
    for message in daemon.received:
        if isinstance(message, TerminalHeartbeat):
            reached = message.server_time_msc
        elif isinstance(message, Ticks):
            assert message.ticks[0].time_msc >= reached - 1


async def test_real_time_connects_again_and_misses_nothing(market: Feed, setup: Make):
    start = from_ms(int(market.at_ms[1000]))
    began = time.monotonic()

    def now() -> datetime:
        return start + timedelta(seconds=(time.monotonic() - began) * 2000)

    given = {
        "pace": "realtime",
        "until": start + timedelta(hours=1),
        "faults": Faults(disconnect_after=60, disconnects=2),
    }
    async with listening(ScriptedDaemon(says_processed=False, trade=trades_by_the_clock)) as daemon:
        summary = await played(market, setup(daemon, **given), now=now, rate=2000)
    assert (summary["done"], summary["connections"]) == (True, 3)
    last = market.index_at(start + timedelta(hours=1)) - 1
    first = last + 1 - len(set(quotes_of(daemon)))
    assert sorted(set(quotes_of(daemon)), key=lambda quote: quote[1])[-1][1] == market.server_msc[last]
    assert 1000 <= first < 1100
    state = State(setup(daemon).state)
    position, results = state.load_position(), state.load_results()
    state.close()
    assert position is not None
    assert (position.acknowledged, results) == (position.played, [])


async def test_a_daemon_that_never_says_processed_ends_the_run_with_a_sentence(market: Feed, setup: Make):
    async with listening(ScriptedDaemon(says_processed=False)) as daemon:
        with pytest.raises(UnavailableError, match="no processed for heartbeat"):
            await played(market, setup(daemon, answer_timeout_s=0.3))


async def test_nobody_there_a_wrong_token_and_unknown_symbols_are_said_in_a_sentence(market: Feed, setup: Make):
    with pytest.raises(UnavailableError, match="does not answer"):
        await played(market, setup(ScriptedDaemon(port=9), patience_s=0.1))
    async with listening(ScriptedDaemon(symbols=("XAUUSD",))) as daemon:
        with pytest.raises(InputError, match="the token is not known here"):
            await played(market, setup(daemon, token="wrong"))
        with pytest.raises(InputError, match="subscribed to none"):
            await played(market, setup(daemon))
        with pytest.raises(InputError, match="not a websocket address"):
            await played(market, setup(daemon, url="http//x"))


async def run_process(*arguments: str | Path) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "live.paper",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), error.decode()


async def test_the_process_prints_progress_and_a_summary_and_continues_after_sigkill(
    market: Feed, setup: Make, tmp_path: Path
):
    token = tmp_path / "token"
    token.write_text("a token\n")
    whole = setup(ScriptedDaemon(), state=tmp_path / "whole")
    async with listening(ScriptedDaemon(trade=trades_by_the_clock)) as daemon:
        await played(market, setup(daemon, state=whole.state, seed=3))
    async with listening(ScriptedDaemon(trade=trades_by_the_clock)) as daemon:
        common = (
            "--url",
            daemon.url,
            "--token-file",
            token,
            "--state",
            tmp_path / "cut",
            "--synthetic",
            "--seed",
            3,
            "--days",
            2,
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "live.paper", *map(str, common), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        while len(daemon.of(DealUpdate)) < 12:
            line = await process.stdout.readline()
            assert "progress" in json.loads(line)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        code, out, error = await run_process(*common)
    assert (code, error) == (0, "")
    summary = json.loads(out.splitlines()[-1])
    assert summary["done"] is True
    deals = saved_deals(setup(daemon, state=tmp_path / "cut"))
    assert deals == saved_deals(whole)
    assert summary["deals"] == len(deals)
    assert set(daemon.deal_tickets()) == {deal.ticket for deal in deals[1:]}


async def test_every_bad_argument_is_one_sentence_and_a_non_zero_exit(tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("a token\n")
    common = ("--url", "ws://127.0.0.1:9", "--token-file", token, "--state", tmp_path / "state", "--patience", "0.1")
    cases = {
        ("--synthetic", "--days", "1"): "does not answer",
        ("--synthetic", "--until", "soon"): "is not a time",
        ("--synthetic", "--market", "x"): "either --synthetic or --market",
        ("--market", str(tmp_path / "missing.zip"), "--clock", "utc"): "missing.zip",
    }
    results = await asyncio.gather(*(run_process(*common, *arguments) for arguments in cases))
    for (code, out, error), words in zip(results, cases.values(), strict=True):
        assert (code, out) == (1, "")
        assert words in error
        assert len(error.splitlines()) == 1
