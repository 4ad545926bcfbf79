"""Connections as they really are: dead without a word, stuck, flooding, revoked, encrypted, several at once, begun anew."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
import trustme
from scripted_terminal import (
    BAR,
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
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage

from live.bridge.inlet import Inlet, Item
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import (
    BarFacts,
    Bars,
    DealFacts,
    DealUpdate,
    Halt,
    Hello,
    OrderCommand,
    Processed,
    Query,
    Snapshot,
    Subscribe,
    TerminalHeartbeat,
    Tick,
    Ticks,
    encode_message,
)
from trading_assets.core.records.decisions import Decision, TraderLimits
from trading_assets.core.records.market import Quarantine, Quote
from trading_assets.core.records.operations import AccessEvent, OpsError
from trading_assets.core.records.trading import Order
from trading_assets.store.control import Command, put_command
from trading_assets.store.tokens import Token, put_token, revoke_token, token_sha256

SHORT = "answer_timeout_s = 2.0\nterminal_heartbeat_s = 0.2\nsend_timeout_s = 0.4\nhello_timeout_s = 0.4"


class SteadyClock:
    """System time, moved so that the test begins at an instant of the scripted market."""

    def __init__(self, at: datetime) -> None:
        self._shift = at - datetime.now(UTC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._shift

    def observe(self, at: datetime) -> None:
        """The stream does not move it."""


def impatient(home: Path) -> None:
    path = home / "settings.toml"
    path.write_text(path.read_text().replace("answer_timeout_s = 2.0", SHORT))


async def gone(daemon: RunningDaemon) -> None:
    """Wait until the daemon has let go of its terminal."""
    await until(lambda: daemon.desk().link is None)


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for what no message tells."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_true():  # noqa: ASYNC110 - the product has no event for it
            await asyncio.sleep(0.01)


def a_hello() -> str:
    """A hello by the clock, as text."""
    facts = ScriptedTerminal(None).account()  # type: ignore[arg-type]  # nothing is sent
    return encode_message(
        Hello(
            session="", seq=1, sent_msc=0, token=TOKEN, build="b", account=facts, server_time_msc=to_ms(START),
            lockstep=False,
        )
    )  # fmt: skip


def visits(home: Path, event: str) -> list[AccessEvent]:
    return [one for one in records(home, AccessEvent) if one.event == event]


# --- dead and stuck -------------------------------------------------------------------------------------------------


async def test_a_terminal_that_says_nothing_any_more_is_dead_after_three_heartbeats_and_its_order_unknown(
    home: Path,
) -> None:
    impatient(home)
    async with daemon_at(home, clock=SteadyClock(START)) as daemon, daemon.terminal() as terminal:
        terminal.fills_orders = False
        await terminal.hello(lockstep=False)
        await terminal.quotes(START, START + BAR)
        await terminal.heartbeat(START + BAR)
        await terminal.until(OrderCommand)
        await gone(daemon)
    assert [order.state for order in records(home, Order)] == ["PLANNED", "SENT", "UNKNOWN"]
    (left,) = visits(home, "left")
    assert "heartbeats in a row are missing" in left.detail


async def test_a_terminal_in_lockstep_may_think_as_long_as_it_likes(home: Path) -> None:
    impatient(home)
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        # Six missed heartbeats, if they counted.
        await asyncio.sleep(1.2)
        await terminal.settle(START)
        assert daemon.desk().link is not None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process in its tracks")
async def test_a_stopped_process_whose_socket_stays_open_is_found_out(home: Path) -> None:
    impatient(home)
    script = """
import itertools, json, sys, time
from websockets.sync.client import connect
with connect(f"ws://127.0.0.1:{sys.argv[1]}", proxy=None) as connection:
    hello = json.loads(sys.argv[2])
    connection.send(sys.argv[2])
    welcome = json.loads(connection.recv())
    print("ready", flush=True)
    for seq in itertools.count(2):
        beat = {"type": "heartbeat", "v": 1, "session": welcome["session"], "seq": seq, "sent_msc": 0}
        connection.send(json.dumps(beat | {"server_time_msc": hello["server_time_msc"]}))
        time.sleep(0.05)
"""
    async with daemon_at(home, clock=SteadyClock(START)) as daemon:
        process = subprocess.Popen(  # noqa: ASYNC220 - it starts at once
            [sys.executable, "-c", script, str(daemon.port), a_hello()],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
            assert daemon.desk().link is not None
            os.kill(process.pid, signal.SIGSTOP)
            await gone(daemon)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]  # a pipe was asked for


async def test_a_terminal_that_reads_nothing_is_cut_off_and_nobody_else_waits_for_it(home: Path) -> None:
    impatient(home)
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        terminal.connection.transport.pause_reading()
        link = daemon.desk().link
        assert link is not None
        transport = link._connection.transport
        # What the system's own buffers take does not count: more is sent than they hold.
        for _ in range(200):
            if not link.is_open:
                break
            await link.send(Halt, reason="x" * 100_000)
            assert transport.get_write_buffer_size() < 1_000_000
        await gone(daemon)
        assert (await daemon.status())["accounts"]["paper"]["is_connected"] is False
        terminal.connection.transport.abort()
    assert any("it took nothing for 0.4 s" in left.detail for left in visits(home, "left"))


async def test_whoever_does_not_say_hello_is_hung_up_on_and_many_such_are_not_let_in(home: Path) -> None:
    impatient(home)
    async with daemon_at(home) as daemon:
        oldest = await connect(f"ws://127.0.0.1:{daemon.port}", proxy=None)
        strangers = [await connect(f"ws://127.0.0.1:{daemon.port}", proxy=None) for _ in range(16)]
        async with asyncio.timeout(PATIENCE_S):
            await oldest.wait_closed()
            assert oldest.close_code == 1006, "it was cut, and whoever came last was let in"
            for stranger in strangers:
                await stranger.wait_closed()
                assert stranger.close_code == 1008
    assert {visit.account for visit in visits(home, "refused")} == {"unknown"}


async def test_a_large_frame_before_hello_is_refused_by_the_socket(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.connection.send("x" * 100_000)
        assert await terminal.closed() == 1009
    assert [record.reason for record in records(home, Quarantine)] == ["oversized"]


# --- floods ---------------------------------------------------------------------------------------------------------


async def test_a_flood_of_quotes_takes_bounded_memory_drops_only_quotes_and_keeps_every_result(home: Path) -> None:
    async with daemon_at(home, clock=SteadyClock(START)) as daemon, daemon.terminal() as terminal:
        await terminal.hello(lockstep=False)
        await terminal.heartbeat(START)
        # Nothing is opened yet while the first questions are answered; then the desk is held up.
        async with asyncio.timeout(PATIENCE_S):
            while not daemon.desk().is_open:
                await terminal.until(Query)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sent = await flood_while_held_up(daemon, terminal)
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        feed = daemon.desk().account.feed
        await until(lambda: feed.refusals["dropped"] + feed.accepted >= sent)
        assert len(daemon.desk().account.books.trades.known) == 20
    dropped = [record for record in records(home, Quarantine) if record.reason == "dropped"]
    assert sum(record.occurrences for record in dropped) + len(records(home, Quote)) == sent
    assert sum(record.occurrences for record in dropped) > 0
    assert grown_kb < 150_000


async def flood_while_held_up(daemon: RunningDaemon, terminal: ScriptedTerminal) -> int:
    """Hold the desk up and send more than the queue takes, results of trades in between; returns the quotes sent."""
    sent, msc = 0, to_ms(START)
    async with daemon.desk()._turn:
        for batch in range(300):
            ticks = tuple(Tick(msc + batch * 1000 + index, 1.1, 1.1 + index * 1e-6) for index in range(1000))
            await terminal.send(Ticks, symbol="EURUSD", ticks=ticks)
            sent += len(ticks)
            if batch % 15 == 0:
                await terminal.send(DealUpdate, deal=deposit(str(batch)), account=terminal.account())
            # The daemon shares this loop: it has to get its turn for reading.
            await asyncio.sleep(0)
    return sent


def deposit(ticket: str) -> DealFacts:
    return DealFacts(
        ticket=ticket, order="0", position_id="0", magic="0", symbol="", kind="BALANCE", entry="IN", reason="CLIENT",
        volume=Decimal(0), price=0.0, profit=Decimal(1), commission=Decimal(0), swap=Decimal(0), fee=Decimal(0),
        time_msc=to_ms(START), comment="",
    )  # fmt: skip


# --- tokens -----------------------------------------------------------------------------------------------------------


async def test_a_revoked_token_ends_its_open_session_and_another_token_of_the_account_goes_on(home: Path) -> None:
    now = datetime.now(UTC)
    for name in ("one", "two"):
        token = Token(name=name, tenant="tests", account="paper", sha256=token_sha256(f"secret-{name}"), made_at=now)
        put_token(home / "tokens", token)
    async with daemon_at(home) as daemon:
        async with daemon.terminal() as terminal:
            await terminal.hello("secret-one")
            await terminal.settle(START)
            revoke_token(home / "tokens", "one", now)
            assert await terminal.closed() == 1008
            assert "revoked" in terminal.refusals()[0].text
        async with daemon.terminal() as terminal:
            await terminal.hello("secret-two")
            await terminal.settle(START)
    admitted = visits(home, "admitted")
    assert [visit.token_id for visit in admitted] == [token_sha256(f"secret-{name}")[:12] for name in ("one", "two")]
    assert [visit.token_id for visit in visits(home, "refused")] == [token_sha256("secret-one")[:12]]
    journal = b"".join(path.read_bytes() for path in (home / "raw").rglob("*.ndjson"))
    assert b"secret-" not in journal


async def test_the_access_log_says_who_came_what_was_asked_and_how_it_ended(home: Path) -> None:
    async with daemon_at(home) as daemon:
        await daemon.status()
        async with daemon.terminal() as terminal:
            await terminal.hello()
            await terminal.settle(START)
    events = [(visit.event, visit.account) for visit in records(home, AccessEvent)]
    assert sorted(events) == [
        ("admitted", "paper"), ("asked", "unknown"), ("connected", "unknown"), ("left", "paper"),
    ]  # fmt: skip
    (admitted,) = visits(home, "admitted")
    assert "login 10001 at Scripted-1" in admitted.detail
    assert visits(home, "asked")[0].detail == "GET /status: 200"


async def test_a_second_terminal_that_keeps_coming_has_to_wait_and_the_first_stays(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)

        async def replay() -> int:
            async with daemon.terminal() as second:
                await second.send_hello(TOKEN)
                return await second.closed()

        for _ in range(5):
            attempt = asyncio.create_task(replay())
            # The first terminal answers pings meanwhile.
            await until(attempt.done)
            assert attempt.result() == 1008
        assert daemon.desk().link is not None
        await terminal.settle(START)


# --- encrypted --------------------------------------------------------------------------------------------------------


async def test_over_tls_a_terminal_that_trusts_the_certificate_trades_and_plain_text_gets_nowhere(home: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(home / "key.pem")
    for pem in issued.cert_chain_pems:
        pem.write_to_path(home / "certificate.pem", append=True)
    path = home / "settings.toml"
    path.write_text(
        path.read_text().replace(
            "[[accounts]]", '[tls]\ncertificate = "certificate.pem"\nkey = "key.pem"\n[[accounts]]'
        )
    )
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with daemon_at(home) as daemon:
        async with connect(f"wss://127.0.0.1:{daemon.port}", ssl=trusting, proxy=None) as connection:
            terminal = ScriptedTerminal(connection)
            await terminal.hello()
            await terminal.settle(START)
            await terminal.step()
            assert len(terminal.orders) == 1
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(f"wss://127.0.0.1:{daemon.port}", proxy=None)
        with pytest.raises((InvalidMessage, ConnectionError, EOFError)):
            await connect(f"ws://127.0.0.1:{daemon.port}", proxy=None)
        old = ssl.create_default_context()
        authority.configure_trust(old)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
        async with connect(f"wss://127.0.0.1:{daemon.port}", ssl=old, proxy=None):
            pass


# --- several at once, begun anew --------------------------------------------------------------------------------------


async def test_five_terminals_of_five_accounts_trade_side_by_side(home: Path) -> None:
    head, _, account = settings_text().partition("[[accounts]]")
    own = sha256(TOKEN.encode()).hexdigest()
    accounts = [
        "[[accounts]]" + account.replace('"paper"', f'"paper{number}"').replace(own, token_sha256(f"token-{number}"))
        for number in range(5)
    ]
    (home / "settings.toml").write_text(head + "".join(accounts))

    async def trade(daemon: RunningDaemon, number: int) -> int:
        async with daemon.terminal() as terminal:
            await terminal.hello(f"token-{number}")
            await terminal.settle(START)
            for _ in range(3):
                await terminal.step()
            return len(terminal.orders)

    async with daemon_at(home) as daemon:
        traded = await asyncio.gather(*[trade(daemon, number) for number in range(5)])
    assert traded == [1] * 5
    decisions = records(home, Decision)
    assert {decision.account for decision in decisions} == {f"paper{number}" for number in range(5)}
    assert len(decisions) == 15


async def test_an_expert_begun_anew_in_the_middle_of_its_history_or_of_an_order_begins_a_whole_session(
    home: Path,
) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        terminal.answers_history = False
        await terminal.hello()
        await terminal.until(Query)
        terminal.answers_history = True
        await terminal.hello()
        await terminal.settle(START)
        terminal.fills_orders = False
        await terminal.quotes(START, START + BAR)
        await terminal.heartbeat(START + BAR)
        order = await terminal.until(OrderCommand)
        terminal.now = START + BAR
        await terminal.fill(order, tell=False)
        terminal.fills_orders = True
        await terminal.hello()
        await terminal.settle(START + BAR)
        await terminal.step()
        assert len(terminal.orders) == 1
        assert len(daemon.desk().account.books.trades.open_trades()) == 1
    assert [order.state for order in records(home, Order)][-1] == "FILLED"
    assert not records(home, Quarantine)


async def test_a_halt_reaches_the_terminal_at_once_again_after_a_new_hello_and_is_lifted(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        put_command(home / "control", Command(command_id="halt-1", command="halt", argument="news"))
        told = await terminal.until(Halt)
        assert (told.reason, told.is_lifted) == ("news", False)
        await terminal.hello()
        again = await terminal.until(Halt)
        assert not again.is_lifted
        put_command(home / "control", Command(command_id="resume-1", command="resume"))
        assert (await terminal.until(Halt)).is_lifted
        await terminal.settle(START)
        await terminal.step()
        assert len(terminal.orders) == 1
        assert daemon.port


async def test_the_traders_limits_are_known_by_our_names(home: Path) -> None:
    path = home / "settings.toml"
    path.write_text(path.read_text().replace('EURUSD = "EURUSD"', '"EURUSD.x" = "EURUSD"'))
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        limits = TraderLimits(risk_per_trade=0.001, allowed_symbols=("EURUSD.x", "XAUUSD.x"))
        await terminal.hello(limits=limits)
        known = daemon.desk().account.books.limits
        assert known == TraderLimits(risk_per_trade=0.001, allowed_symbols=("EURUSD",))


async def test_limits_that_are_none_are_refused_with_their_name(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.send_hello(TOKEN, limits=TraderLimits(risk_per_trade=17.0))
        assert await terminal.closed() == 1008
        assert "limits.risk_per_trade is 17" in terminal.refusals()[0].text
        assert daemon.port


async def test_an_answer_in_many_large_frames_is_decoded_one_after_the_other(
    terminal: ScriptedTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await terminal.settle(START)
    most = 0
    put = Inlet.put

    def counted(inlet: Inlet, item: Item) -> None:
        nonlocal most
        put(inlet, item)
        most = max(most, sum(isinstance(one.received, Bars) for one in inlet._items))

    monkeypatch.setattr(Inlet, "put", counted)
    bar = BarFacts(time_msc=to_ms(START - BAR), open=1.1, high=1.1, low=1.1, close=1.1, tick_volume=1, spread=1)
    for _ in range(30):
        await terminal.send(Bars, request_id="x", symbol="EURUSD", timeframe="M5", bars=(bar,) * 2000, is_last=False)
    await terminal.settle(START)
    assert most == 1


# --- late and future --------------------------------------------------------------------------------------------------


async def test_bars_that_closed_while_the_connection_was_down_are_recorded_and_never_traded(home: Path) -> None:
    back = START + 4 * BAR + BAR / 2
    async with daemon_at(home, clock=SteadyClock(back)) as daemon, daemon.terminal() as terminal:
        terminal.now, terminal.history_ends = START, START
        await terminal.hello(lockstep=False)
        times = [START + index * timedelta(seconds=20) for index in range(60)]
        late = tuple(Tick(to_ms(at), price_at(at), price_at(at) + 0.0001) for at in times)
        await terminal.send(Ticks, symbol="EURUSD", ticks=late, is_late=True)
        await terminal.heartbeat(back)
        answering = asyncio.create_task(terminal.until(Halt))
        await until(lambda: any("came late" in error.message for error in records(home, OpsError)))
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        assert daemon.desk().account.trader.decisions == 0
        assert not terminal.orders
    quotes = records(home, Quote)
    assert len(quotes) == 60
    assert all(quote.is_late for quote in quotes)
    (told,) = [error.message for error in records(home, OpsError) if "came late" in error.message]
    assert told.startswith("4 bars of EURUSD")


async def test_times_minutes_ahead_of_our_clock_are_refused_and_close_no_bar(home: Path) -> None:
    async with daemon_at(home, clock=SteadyClock(START + BAR / 2)) as daemon, daemon.terminal() as terminal:
        await terminal.hello(lockstep=False)
        await terminal.ticks([(START + BAR / 5, 1.1, 1.1001), (START + timedelta(hours=1), 1.1, 1.1001)])
        await terminal.heartbeat(START + timedelta(hours=2))
        await terminal.ticks([(START + BAR / 4, 1.1, 1.1002)])
        await terminal.until(Query)
        async with asyncio.timeout(PATIENCE_S):
            while daemon.desk().account.feed.accepted < 2:
                await terminal.until(Query)
    assert [record.reason for record in records(home, Quarantine)] == ["future", "future"]
    assert not records(home, Decision)


async def test_how_far_ahead_a_terminals_clock_may_be_is_a_setting(home: Path) -> None:
    text = settings_text().replace('mode = "execute"', 'mode = "execute"\nmost_ahead_s = 3600.0')
    (home / "settings.toml").write_text(text)
    async with daemon_at(home, clock=SteadyClock(START + BAR / 2)) as daemon, daemon.terminal() as terminal:
        await terminal.hello(lockstep=False)
        await terminal.ticks([(START + timedelta(minutes=59), 1.1, 1.1001), (START + timedelta(hours=2), 1.1, 1.1001)])
        await terminal.until(Query)
        async with asyncio.timeout(PATIENCE_S):
            while not daemon.desk().account.feed.accepted:
                await terminal.until(Query)
    assert [record.reason for record in records(home, Quarantine)] == ["future"]


async def test_frames_may_come_in_pieces_with_lone_pings_between_them(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        terminal.seq += 1
        at = to_ms(START + BAR)
        whole = encode_message(
            TerminalHeartbeat(session=terminal.session, seq=terminal.seq, sent_msc=at, server_time_msc=at)
        )
        await terminal.connection.ping(b"")
        await terminal.connection.send([whole[:10], whole[10:50], whole[50:]])
        assert (await terminal.until(Processed)).upto_seq == terminal.seq
        assert daemon.port


async def test_bytes_that_are_no_http_end_their_connection_alone(daemon: RunningDaemon) -> None:
    with closing(socket.create_connection(("127.0.0.1", daemon.port))) as raw:
        raw.sendall(b"\x16\x03\x01" + bytes(range(256)) + b"\r\n\r\n")
        raw.settimeout(PATIENCE_S)
        answer = await asyncio.to_thread(raw.recv, 1024)
    assert answer == b"" or b"400" in answer
    async with daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.until(Snapshot | Subscribe | Query)  # type: ignore[arg-type]
