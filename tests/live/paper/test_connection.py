"""What befalls the connection: cut, half-open, slow, greeted anew, doubled, changed accounts; and nothing of it loses a deal."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve

from live.paper.faults import Faults
from live.paper.feed import Feed
from live.paper.link import LinkLost, open_link
from live.paper.script import Event
from live.paper.terminal import Setup
from trading_assets.core.errors import InputError
from trading_assets.core.market.timeframes import from_ms
from trading_assets.core.messages import (
    Bars,
    BookUpdate,
    DealUpdate,
    Halt,
    Hello,
    OrderCommand,
    OrderUpdate,
    PositionUpdate,
    Query,
    Refusal,
    SignalNotice,
    TerminalHeartbeat,
    Ticks,
    Welcome,
    encode_message,
)
from trading_assets.core.records.decisions import TraderLimits

from .conftest import TOKEN, ScriptedDaemon, listening, order, trades_by_the_clock
from .test_terminal import played, quotes_of, run_process, saved_deals

Make = Callable[..., Setup]
DAY = 20_000


async def whole_run(market: Feed, setup: Make, folder: Path, **changes: Any) -> tuple[ScriptedDaemon, list[Any]]:
    """Play the first day, or what `changes` say; return the daemon and all deals."""
    async with listening(ScriptedDaemon(trade=trades_by_the_clock)) as daemon:
        given = setup(daemon, state=folder, **({"until": from_ms(int(market.at_ms[DAY]))} | changes))
        await played(market, given)
    return daemon, saved_deals(given)


@pytest.mark.parametrize("is_new_socket", [False, True])
async def test_an_expert_initialised_anew_greets_again_and_nothing_is_lost(
    market: Feed, setup: Make, tmp_path: Path, is_new_socket: bool
):
    _, deals = await whole_run(market, setup, tmp_path / "whole")
    faults = Faults(reinit_after=150, reinits=3, reinit_on_new_socket=is_new_socket)
    daemon, after = await whole_run(market, setup, tmp_path / "again", faults=faults)
    assert daemon.sessions == len(daemon.of(Hello)) == 4
    assert daemon.connections == (4 if is_new_socket else 1)
    assert after == deals
    assert set(daemon.deal_tickets()) == {deal.ticket for deal in deals[1:]}


async def test_the_script_reinitialises_reconnects_and_meddles_at_its_moments(
    market: Feed, setup: Make, tmp_path: Path
):
    begins = from_ms(int(market.at_ms[0]))
    at = [from_ms(int(market.at_ms[index])) for index in (3000, 6000, 9000)]
    script = (
        Event(at=at[0], do="reinit"),
        Event(at=at[1], do="reconnect"),
        Event(at=at[2], do="open", symbol="GBPUSD", magic=777),
        Event(after_deals=1, do="deposit", amount=Decimal("250")),
    )
    daemon, deals = await whole_run(market, setup, tmp_path / "a", script=script)
    assert (daemon.sessions, daemon.connections) == (3, 2)
    (foreign,) = [deal for deal in deals if deal.magic == "777" and deal.entry == "IN"]
    assert market.clock.to_utc(foreign.time_msc) <= at[2]
    assert [deal.profit for deal in deals if deal.kind == "BALANCE"] == [Decimal("10000.00"), Decimal("250.00")]
    assert {deal.ticket for deal in deals[1:]} == set(daemon.deal_tickets())
    assert begins < at[0]


async def test_a_deposit_is_shown_before_its_deal_or_its_deal_is_never_told(market: Feed, setup: Make):
    script = tuple(
        Event(at=from_ms(int(market.at_ms[1000 + number])), do="deposit", amount=Decimal(amount), told=told)  # type: ignore[arg-type]
        for number, (amount, told) in enumerate([("100", "after_the_account"), ("200", "never")])
    )
    async with listening(ScriptedDaemon()) as daemon:
        given = setup(daemon, script=script, until=from_ms(int(market.at_ms[4000])))
        await played(market, given)
    first, second = (deal.ticket for deal in saved_deals(given) if deal.profit in (100, 200))
    balances = [one.account.balance for one in daemon.of(TerminalHeartbeat) if one.account is not None]
    assert Decimal("10300.00") in balances, "the account shows both"
    assert (first in daemon.deal_tickets(), second in daemon.deal_tickets()) == (True, False)


async def test_events_happen_once_over_restarts(market: Feed, setup: Make):
    script = (Event(at=from_ms(int(market.at_ms[3000])), do="open", magic=777),)
    async with listening(ScriptedDaemon()) as daemon:
        for index in (2000, 4000, 5000):
            given = setup(daemon, script=script, until=from_ms(int(market.at_ms[index])))
            await played(market, given)
    assert len([deal for deal in saved_deals(given) if deal.magic == "777" and deal.entry == "IN"]) == 1


async def test_a_change_of_account_is_refused_by_the_daemon_and_the_person_logs_back_in(market: Feed, setup: Make):
    class Strict(ScriptedDaemon):
        async def _react(self, message: Any, send: Callable[..., Any]) -> None:
            if isinstance(message, Hello) and message.account.login != "10001":
                await send(Refusal, code="wrong_login", text="this is another account; log in to 10001")
                return
            await super()._react(message, send)

    said: list[dict[str, Any]] = []
    script = (Event(at=from_ms(int(market.at_ms[3000])), do="log_in", login="66"),)
    async with listening(Strict()) as daemon:
        summary = await played(
            market, setup(daemon, script=script, until=from_ms(int(market.at_ms[5000]))), say=said.append
        )
    assert [hello.account.login for hello in daemon.of(Hello)] == ["10001", "66", "10001"]
    assert summary["done"] is True
    assert any("wrong_login" in line.get("complaint", "") for line in said)


async def test_a_frozen_terminal_answers_nothing_with_its_socket_open_and_comes_back(market: Feed, setup: Make):
    answered: list[bool] = []

    class Pinging(ScriptedDaemon):
        async def serve(self, connection: ServerConnection) -> None:
            self.latest = connection
            await super().serve(connection)

        async def _react(self, message: Any, send: Callable[..., Any]) -> None:
            await super()._react(message, send)
            if len(self.received) == 50:
                pong = await self.latest.ping()
                done, _ = await asyncio.wait([pong], timeout=0.3)
                answered.append(bool(done))

    async with listening(Pinging()) as daemon:
        faults = Faults(freeze_after=50, freeze_s=0.6)
        summary = await played(market, setup(daemon, faults=faults, until=from_ms(int(market.at_ms[3000]))))
    assert answered == [False]
    assert summary["connections"] == 2
    assert len(set(quotes_of(daemon))) == 3000


async def test_a_slow_reader_gets_everything_late_but_all_of_it(market: Feed, setup: Make):
    async with listening(ScriptedDaemon(trade=trades_by_the_clock)) as daemon:
        until = from_ms(int(market.at_ms[1500]))
        begun = asyncio.get_running_loop().time()
        await played(market, setup(daemon, faults=Faults(slow_read_ms=10), until=until))
        took_s = asyncio.get_running_loop().time() - begun
    # Welcome, subscribe and one `processed` a heartbeat were read, each after its wait.
    assert took_s > 0.01 * (2 + len(daemon.of(TerminalHeartbeat)))


@pytest.mark.parametrize("code", ["token_in_use", "welcome"])
async def test_a_twin_with_the_same_token_tells_how_it_was_received(market: Feed, setup: Make, code: str):
    class Guarded(ScriptedDaemon):
        async def serve(self, connection: ServerConnection) -> None:
            if self.connections == 0:
                await super().serve(connection)
                return
            await connection.recv()
            answer: Any = Welcome(session="x", seq=1, sent_msc=0, tenant="t", account="a")
            if code != "welcome":
                answer = Refusal(session="", seq=1, sent_msc=0, code=code, text="another terminal is connected")
            await connection.send(encode_message(answer))
            await connection.wait_closed()

    async with listening(Guarded()) as daemon:
        until = from_ms(int(market.at_ms[100]))
        summary = await played(market, setup(daemon, faults=Faults(twin_connection=True), until=until))
    assert summary["twin"] == code


async def test_limits_are_told_in_hello_and_depth_of_market_when_it_is_asked_for(market: Feed, setup: Make):
    limits = TraderLimits(risk_per_trade=0.005, max_positions=2, allowed_symbols=("EURUSD",))
    async with listening(ScriptedDaemon(with_book=True)) as daemon:
        await played(market, setup(daemon, limits=limits, until=from_ms(int(market.at_ms[500]))))
    assert daemon.of(Hello)[0].limits == limits
    books = daemon.of(BookUpdate)
    assert len(books) == len(daemon.of(Ticks)) > 0
    for book in books:
        bids, asks = [level.price for level in book.bids], [level.price for level in book.asks]
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert bids[0] <= asks[0]
        assert (book.symbol, book.time_msc, bids[0], asks[0]) in quotes_of(daemon)
    async with listening(ScriptedDaemon()) as daemon:
        await played(
            market, setup(daemon, state=Path(str(setup(daemon).state) + "2"), until=from_ms(int(market.at_ms[500])))
        )
    assert not daemon.of(BookUpdate)


async def test_recommendations_are_shown_and_a_halt_lasts_until_it_is_lifted(market: Feed, setup: Make):
    notice = {
        "signal_id": "S", "symbol": "EURUSD", "suggestion": "LONG", "action": "OPEN", "volume": Decimal("0.10"), "entry": 1.085,
        "sl": 1.08, "tp": 1.09, "confidence": 0.8, "reasons": ("trend",),
    }  # fmt: skip

    def halt_for_a_while(daemon: ScriptedDaemon, beat: TerminalHeartbeat) -> list[tuple[type, dict[str, Any]]]:
        number = len(daemon.of(TerminalHeartbeat))
        orders = [command for command in trades_by_the_clock(daemon, beat) if command[0] is OrderCommand]
        first = {
            2: [(SignalNotice, notice), (Halt, {"reason": "news"})],
            60: [(Halt, {"reason": "", "is_lifted": True})],
        }
        return [*first.get(number, []), *orders]

    said: list[dict[str, Any]] = []
    async with listening(ScriptedDaemon(trade=halt_for_a_while)) as daemon:
        await played(market, setup(daemon, until=from_ms(int(market.at_ms[DAY]))), say=said.append)
    (shown,) = [line["signal"] for line in said if "signal" in line]
    assert (shown["suggestion"], shown["volume"], shown["reasons"]) == ("LONG", "0.10", ("trend",))
    codes = [update.retcode for update in daemon.of(OrderUpdate)]
    assert codes[:9] == [10027] * 9
    assert set(codes[10:]) == {10009}


async def test_ticks_are_missed_and_come_back_out_of_time(market: Feed, setup: Make):
    until = from_ms(int(market.at_ms[4000]))
    async with listening(ScriptedDaemon()) as daemon:
        await played(market, setup(daemon, faults=Faults(skipped_ticks=0.1, returning_ticks=0.1), until=until))
    assert 3500 < len(set(quotes_of(daemon))) < 3700
    backwards = [
        one for batch in daemon.of(Ticks) for one, after in zip(batch.ticks, batch.ticks[1:], strict=False)
        if after.time_msc < one.time_msc
    ]  # fmt: skip
    assert 250 < len(backwards) < 500


async def test_the_first_history_answer_is_empty_and_the_next_one_has_holes_always_the_same(market: Feed, setup: Make):
    def ask(daemon: ScriptedDaemon, beat: TerminalHeartbeat) -> list[tuple[type, dict[str, Any]]]:
        number = len(daemon.of(TerminalHeartbeat))
        to_msc = beat.server_time_msc // 300_000 * 300_000 if number == 1 else daemon.of(Bars)[0].sent_msc
        fields = {"request_id": str(number), "what": "bars", "symbol": "EURUSD", "timeframe": "M5", "to_msc": to_msc}
        return [(Query, fields)] if number <= 3 else []

    until = from_ms(int(market.at_ms[DAY + 2000]))
    async with listening(ScriptedDaemon(trade=ask)) as daemon:
        faults = Faults(empty_first_history=True, history_holes=0.2)
        await played(market, setup(daemon, faults=faults, history_days=1, until=until))
    first, second, third = daemon.of(Bars)
    assert first.bars == ()
    assert 0.7 * 288 < len(second.bars) < 0.9 * 288
    assert second.bars == third.bars


# --- store and forward ----------------------------------------------------------------------------------------------


async def test_what_passes_while_the_line_is_cut_is_delivered_late_and_marked_so(
    market: Feed, setup: Make, tmp_path: Path
):
    faults = Faults(disconnect_after=500, away_minutes=240)
    daemon, deals = await whole_run(market, setup, tmp_path, faults=faults)
    late = [batch for batch in daemon.of(Ticks) if batch.is_late]
    times = [tick.time_msc for batch in late for tick in batch.ticks]
    assert 3 * 3_600_000 < max(times) - min(times) <= 240 * 60_000 + 300_000
    assert len(set(quotes_of(daemon))) == DAY
    assert set(daemon.deal_tickets()) == {deal.ticket for deal in deals[1:]}
    # A stop that was hit meanwhile is told late, at the time it happened.
    away = [update.deal for update in daemon.of(DealUpdate) if update.is_late and update.deal.reason in ("SL", "TP")]
    assert any(min(times) <= deal.time_msc <= max(times) for deal in away)


async def test_of_quotes_only_so_many_are_kept_and_the_oldest_dropped_are_counted(
    market: Feed, setup: Make, tmp_path: Path
):
    faults = Faults(disconnect_after=200, away_minutes=240)
    daemon, _ = await whole_run(market, setup, tmp_path / "all", faults=faults)
    async with listening(ScriptedDaemon(trade=trades_by_the_clock)) as other:
        until = from_ms(int(market.at_ms[DAY]))
        given = setup(other, state=tmp_path / "few", faults=faults, kept_quotes=100, until=until)
        summary = await played(market, given)
    late = [tick for batch in other.of(Ticks) if batch.is_late for tick in batch.ticks]
    all_late = [tick for batch in daemon.of(Ticks) if batch.is_late for tick in batch.ticks]
    assert len(late) == 100
    assert summary["dropped_quotes"] >= len(all_late) - 100 > 1000
    assert {tick.time_msc for tick in late} <= {tick.time_msc for tick in all_late}
    assert max(tick.time_msc for tick in late) == max(tick.time_msc for tick in all_late)
    assert set(other.deal_tickets()) == {deal.ticket for deal in saved_deals(given)[1:]}


async def test_in_real_time_the_market_goes_on_before_the_daemon_is_there(market: Feed, setup: Make):
    middle = datetime(2024, 1, 8, 12, tzinfo=UTC)
    started, is_past = asyncio.get_running_loop().time(), asyncio.Event()

    def now() -> datetime:
        passed_s = (asyncio.get_running_loop().time() - started) * 600
        if passed_s > 120:
            is_past.set()
        return from_ms(int(middle.timestamp() * 1000 + passed_s * 1000))

    daemon = ScriptedDaemon()
    async with listening(daemon):
        url = daemon.url
    given = setup(daemon, pace="realtime", patience_s=10.0, until=from_ms(int(middle.timestamp() * 1000) + 900_000))
    assert given.url == url
    run = asyncio.create_task(played(market, given, now=now, rate=600.0))
    await is_past.wait()
    async with listening(daemon):
        summary = await run
    late = [batch.is_late for batch in daemon.of(Ticks)]
    assert summary["done"] is True
    assert late[0] is True
    assert late[-1] is False
    assert len(quotes_of(daemon)) == len(set(quotes_of(daemon)))


# --- power ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["received", "executed", "saved", "told"])
async def test_killed_at_each_step_of_a_command_and_started_again_it_trades_once(tmp_path: Path, step: str):
    """The daemon repeats an order that was not answered, as the terminal's own promise allows; there is one position."""
    token = tmp_path / "token"
    token.write_text(TOKEN)

    def once(daemon: ScriptedDaemon, beat: TerminalHeartbeat) -> list[tuple[type, dict[str, Any]]]:
        if "EURUSD" not in daemon.bids or daemon.of(PositionUpdate):
            return []
        bid, ask = daemon.bids["EURUSD"], daemon.asks["EURUSD"]
        wide = {"sl": 0.0, "tp": 0.0, "deviation": 5000, "request_id": "1", "magic": "1"}
        return [(OrderCommand, order(beat, "EURUSD", "BUY", bid, ask, **wide))]

    async with listening(ScriptedDaemon(trade=once)) as daemon:
        common = (
            "--url", daemon.url, "--token-file", token, "--state", tmp_path / "state", "--synthetic", "--days", "1", "--seed", "3",
            "--until", "2024-01-08T01:00:00", "--faults", json.dumps({"dies_at": step}),
        )  # fmt: skip
        code, _, _ = await run_process(*common)
        assert code == (-9 if sys.platform != "win32" else 137)
        code, _, error = await run_process(*common)
    assert (code, error) == (0, "")
    deals = saved_deals(Setup(url="", token="", state=tmp_path / "state"))
    assert [deal.magic for deal in deals[1:]] == ["1"]
    assert set(daemon.deal_tickets()) == {deals[1].ticket}


# --- TLS ------------------------------------------------------------------------------------------------------------


async def test_wss_works_with_the_daemons_authority_and_not_without(market: Feed, setup: Make, tmp_path: Path):
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    async with listening(ScriptedDaemon(), server) as daemon:
        url = daemon.url.replace("ws://", "wss://")
        summary = await played(market, setup(daemon, url=url, ca=ca, until=from_ms(int(market.at_ms[100]))))
        assert summary["done"] is True
        with pytest.raises(InputError, match="its certificate is not trusted"):
            await played(market, setup(daemon, url=url, state=tmp_path / "other"))
    with pytest.raises(InputError, match="reading certificates from"):
        await open_link("wss://127.0.0.1:9", lambda: 0, ca=tmp_path / "missing.pem")


async def test_a_freeze_ends_as_a_lost_link():
    async def hold(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(hold, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        link = await open_link(f"ws://127.0.0.1:{port}", lambda: 0)
        with pytest.raises(LinkLost, match="frozen on purpose"):
            await link.freeze(0.0)
        await link.close()
