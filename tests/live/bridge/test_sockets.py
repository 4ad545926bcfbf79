"""The bridge over real sockets: who may connect, what is refused, and that bad input never stops the daemon."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.error
from pathlib import Path

import pytest
from scripted_terminal import BAR, START, TOKEN, RunningDaemon, ScriptedTerminal, daemon_at, records, terminal_at
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from live.bridge import sockets
from live.bridge.access import AccessLog
from live.bridge.arrivals import Arrivals, Places, raise_descriptor_limit
from live.bridge.keyring import Keyring
from live.bridge.pages import Pages
from live.bridge.protocol import MAX_FRAME_BYTES
from live.settings import read_settings
from trading_assets.core.errors import StateError, UnavailableError
from trading_assets.core.messages import Hello, Processed, Refusal, Resync, TerminalHeartbeat
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.market import Quarantine
from trading_assets.core.records.operations import OpsError
from trading_assets.core.records.trading import BreakerEvent


async def refused_hello(port: int, token: str) -> ScriptedTerminal:
    """Say hello with a token and wait until the daemon hangs up."""
    async with terminal_at(port) as terminal:
        account = terminal.account()
        await terminal.send(Hello, token=token, build="b", account=account, server_time_msc=0, lockstep=True)
        assert await terminal.closed() == 1008
    return terminal


async def test_a_wrong_token_is_refused_recorded_and_nowhere_written_down(home: Path) -> None:
    async with daemon_at(home) as daemon:
        terminal = await refused_hello(daemon.port, "a-wrong-token")
        assert terminal.refusals()[0].code == "unauthenticated"
    (quarantined,) = records(home, Quarantine)
    assert (quarantined.account, quarantined.reason) == ("unknown", "unauthenticated")
    journal = b"".join(path.read_bytes() for path in (home / "raw").rglob("*.ndjson"))
    assert b"a-wrong-token" not in journal


async def test_whoever_keeps_guessing_has_to_wait_and_the_right_token_gets_through_from_the_same_address(
    daemon: RunningDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await refused_hello(daemon.port, "guess")
    # Longer than any test may take: who hangs up meanwhile is not waited for, or this daemon could not end.
    monkeypatch.setattr(sockets, "_HELD_S", 3600.0)
    guess = asyncio.create_task(refused_hello(daemon.port, "guess"))
    async with daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
    assert not guess.done()
    guess.cancel()
    await asyncio.gather(guess, return_exceptions=True)
    assert (await daemon.status())["tenant"] == "tests"


async def test_a_web_page_is_no_terminal_unless_it_is_named(home: Path) -> None:
    path = home / "settings.toml"
    path.write_text('allowed_origins = ["http://ours.example"]\n' + path.read_text())
    async with daemon_at(home) as daemon:
        url = f"ws://127.0.0.1:{daemon.port}"
        with pytest.raises(InvalidStatus) as caught:
            await connect(url, proxy=None, origin=Origin("http://evil.example"))
        assert caught.value.response.status_code == 403
        async with connect(url, proxy=None, origin=Origin("http://ours.example")):
            pass


async def test_handshakes_that_never_end_take_few_places_and_keep_nobody_out(daemon: RunningDaemon) -> None:
    begun = [await asyncio.open_connection("127.0.0.1", daemon.port) for _ in range(40)]
    for _, writer in begun:
        writer.write(b"GET /ws HTTP/1.1\r\n")
    async with daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
    # The oldest were cut, the youngest still have their three seconds.
    assert await asyncio.wait_for(begun[0][0].read(), 2.5) == b""
    for _, writer in begun:
        writer.transport.abort()


def test_places_that_are_short_are_taken_from_the_oldest_of_whoever_holds_most() -> None:
    places: Places[str] = Places(4, 3)
    assert [places.take(name, "10.0.0.1") for name in "abc"] == [None] * 3
    assert places.take("d", "10.0.0.1") == "a"
    assert places.take("e", "10.0.0.2") is None
    assert places.take("f", "10.0.0.2") == "b"
    places.leave("c")
    places.leave("c")
    assert len(places) == 3


def test_descriptors_are_raised_and_leave_room_for_the_journal() -> None:
    most = raise_descriptor_limit()
    assert raise_descriptor_limit() == most
    assert Arrivals(1024)._most == 1024 - 128 - 100


async def test_a_second_terminal_of_a_living_account_is_refused_and_the_first_goes_on(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    # The first one answers pings while the second is refused.
    second = await refused_hello(daemon.port, TOKEN)
    assert second.refusals()[0].code == "token_in_use"
    await terminal.settle(START)
    assert daemon.port


async def test_a_terminal_that_is_connected_to_another_login_is_refused(home: Path) -> None:
    path = home / "settings.toml"
    path.write_text(path.read_text().replace('name = "paper"', 'name = "paper"\nlogin = "555"'))
    async with daemon_at(home) as daemon:
        terminal = await refused_hello(daemon.port, TOKEN)
        assert "logged in to 10001" in terminal.refusals()[0].text


async def test_rubbish_is_answered_and_quarantined_and_the_session_goes_on(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.settle(START)
    await terminal.connection.send("no json")
    await terminal.connection.send(b"\xff\x00")
    await terminal.connection.send(json.dumps({"type": "ticks", "v": 1, "session": terminal.session, "seq": "x"}))
    await terminal.connection.send(" " * (MAX_FRAME_BYTES + 1))
    await terminal.step()
    codes = [refusal.code for refusal in terminal.refusals()]
    assert codes == ["malformed", "malformed", "invalid", "oversized"]
    assert all(refusal.text for refusal in terminal.refusals())
    await terminal.settle(terminal.now)
    assert [record.reason for record in records(daemon.home, Quarantine)] == codes
    assert records(daemon.home, Decision)


async def test_a_gap_in_the_sequence_asks_for_a_resync_and_stops_entries_until_it_is_answered(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.settle(START)
    missing = terminal.seq + 1
    terminal.seq += 3
    await terminal.heartbeat(START + BAR / 5)
    resync = await terminal.until(Resync)
    assert resync.expected_seq == missing
    await terminal.until(Processed)
    await terminal.quotes(terminal.now, START + BAR)
    await terminal.settle(START + BAR)
    assert not terminal.orders, "the bar may lack quotes"
    await terminal.step()
    assert len(terminal.orders) == 1
    events = [(event.breaker, event.change) for event in records(daemon.home, BreakerEvent)]
    assert events[:2] == [("reconciliation", "trip"), ("reconciliation", "reset")]
    assert any("are missing" in error.message for error in records(daemon.home, OpsError))


async def test_a_second_hello_on_the_connection_begins_a_new_session(terminal: ScriptedTerminal) -> None:
    await terminal.settle(START)
    first = terminal.session
    await terminal.hello()
    assert terminal.session != first
    await terminal.settle(terminal.now)
    await terminal.step()
    assert len(terminal.orders) == 1


async def test_who_begins_anew_and_breaks_off_keeps_nobody_waiting_at_the_door(daemon: RunningDaemon) -> None:
    for _ in range(3):
        async with terminal_at(daemon.port) as terminal:
            async with asyncio.timeout(5.0):
                await terminal.hello()
            await terminal.send_hello(TOKEN)
            terminal.connection.transport.abort()


async def test_a_message_before_hello_ends_the_connection(daemon: RunningDaemon) -> None:
    async with terminal_at(daemon.port) as terminal:
        await terminal.heartbeat(START)
        assert await terminal.closed() == 1008
        assert isinstance(terminal.received[0], Refusal)


async def test_a_port_in_use_is_one_clear_sentence(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = home / "settings.toml"
        path.write_text(path.read_text().replace("port = 0", f"port = {port}"))
        with pytest.raises(UnavailableError, match="choose another port"):
            async with daemon_at(home):
                pass


async def test_a_second_daemon_on_the_same_journal_is_refused(daemon: RunningDaemon, home: Path) -> None:
    with pytest.raises(StateError):
        async with daemon_at(home, read_settings(home / "settings.toml")):
            pass
    assert (await daemon.status())["journal"]["health"] == "ok"


async def test_the_status_page_tells_about_each_account(daemon: RunningDaemon, terminal: ScriptedTerminal) -> None:
    await terminal.settle(START)
    await terminal.step()
    account = (await daemon.status())["accounts"]["paper"]
    assert account["is_connected"]
    assert account["is_reconciled"]
    assert account["decisions"] == 1
    assert account["orders_sent"] == 1
    assert account["latency_us"]["count"] == 1
    assert len(account["open_trades"]) == 1


async def test_the_end_of_the_daemon_hangs_up_on_the_terminal(home: Path) -> None:
    async with daemon_at(home) as daemon:
        connection = await connect(f"ws://127.0.0.1:{daemon.port}", proxy=None)
    with pytest.raises(ConnectionClosed):
        await connection.recv()


async def test_a_heartbeat_from_outside_of_all_years_is_refused_and_the_session_goes_on(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.settle(START)
    await terminal.send(TerminalHeartbeat, server_time_msc=10**15)
    await terminal.step()
    assert "outside 1970 to 2099" in terminal.refusals()[0].text
    assert [record.reason for record in records(daemon.home, Quarantine)] == ["invalid"]
    assert len(terminal.orders) == 1


# --- defects of this software ---------------------------------------------------------------------------------------


def told(home: Path, where: str) -> list[str]:
    return [record.message for record in records(home, OpsError) if record.component == where]


async def test_a_page_that_cannot_be_made_is_answered_reported_and_stops_nobody(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("nobody expected it")

    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        with monkeypatch.context() as while_broken:
            while_broken.setattr(Pages, "answer", broken)
            with pytest.raises(urllib.error.HTTPError, match="500") as caught:
                await daemon.status()
            caught.value.close()
        await terminal.settle(START)
        assert (await daemon.status())["tenant"] == "tests"
    (message,) = told(home, "live.bridge.pages")
    assert "ZeroDivisionError: nobody expected it" in message


async def test_a_connection_nobody_could_handle_is_closed_and_reported_and_stops_nobody(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("nobody expected it")

    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        with monkeypatch.context() as while_broken:
            while_broken.setattr(AccessLog, "note", broken)
            async with connect(f"ws://127.0.0.1:{daemon.port}", proxy=None) as stranger:
                await asyncio.wait_for(stranger.wait_closed(), 5)
                assert stranger.close_code == 1011
        await terminal.settle(START)
    assert told(home, "live.bridge.sockets")


async def test_housekeeping_that_fails_again_and_again_is_reported_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, is_over = 0, asyncio.Event()

    def broken(_ring: Keyring) -> bool:
        nonlocal looks
        looks += 1
        if looks == 4:
            is_over.set()
        raise ZeroDivisionError("nobody expected it")

    async with daemon_at(home) as daemon:
        monkeypatch.setattr(Keyring, "scan", broken)
        await asyncio.wait_for(is_over.wait(), 10)
        assert (await daemon.status())["tenant"] == "tests"
    assert len(told(home, "live.bridge.sockets")) == 1


async def test_sessions_that_are_over_take_no_place_of_those_that_come(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_MOST_STRANGERS", 2)
    async with daemon_at(home) as daemon:
        for _ in range(4):
            async with daemon.terminal() as terminal:
                await terminal.hello()
