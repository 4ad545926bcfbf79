"""The log: JSON lines with their context, no more than the bound, and never a token."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from scripted_terminal import BAR, START, TOKEN, DaemonProcess, records, terminal_at

from live.logs import LONGEST_TEXT, MOST_LINES, NAME, WINDOW_S, Flood, log, written
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import Hello, Refusal

WRONG = "a-wrong-token-of-the-tests"


class Written(io.StringIO):
    """What was written, as objects."""

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Written]:
    """The log of this process, as the daemon writes it."""
    stream = Written()
    with written("info", stream, Flood()):
        yield stream


def test_a_line_is_one_object_with_its_context(lines: Written) -> None:
    log(account="paper", session="s-1").warning("it is so", chain_id="c-1", at_line="two\nlines")
    log().debug("not told at this level")
    (line,) = lines.all()
    assert (line["event"], line["level"], line["account"], line["session"], line["chain_id"]) == (
        "it is so", "warning", "paper", "s-1", "c-1"
    )  # fmt: skip
    assert line["at"].endswith("Z")


def test_libraries_take_the_same_way_with_their_tracebacks(lines: Written) -> None:
    try:
        raise ValueError("of a library")
    except ValueError:
        logging.getLogger("websockets.server").exception("opening handshake failed")
    (line,) = lines.all()
    assert (line["event"], line["level"], line["logger"]) == ("opening handshake failed", "error", "websockets.server")
    assert "ValueError: of a library" in line["exception"]


def test_long_texts_are_cut(lines: Written) -> None:
    log().error("too much", problem="x" * 100_000)
    (line,) = lines.all()
    assert len(line["problem"]) == LONGEST_TEXT


def test_what_is_named_a_secret_is_not_written(lines: Written) -> None:
    log().warning("named", token=TOKEN, Authorization=TOKEN)
    assert TOKEN not in lines.getvalue()


def test_a_flood_is_bounded_and_counted() -> None:
    now, stream = [0.0], Written()
    flood = Flood(lambda: now[0])
    with written("info", stream, flood):
        for _ in range(1000):
            log().warning("again")
        log().warning("something else")
        now[0] = WINDOW_S
        log().warning("again")
    told = stream.all()
    assert [line["event"] for line in told] == ["again"] * MOST_LINES + ["something else", "again"]
    assert (flood.suppressed, flood.lines["warning"]) == (1000 - MOST_LINES, 1002)
    assert [line.get("suppressed", 0) for line in told[-2:]] == [1000 - MOST_LINES, 0]


def test_the_flood_remembers_no_more_events_than_it_must() -> None:
    flood = Flood()
    for number in range(5000):
        flood.filter(logging.LogRecord(NAME, logging.INFO, "", 0, f"event {number}", None, None))
    assert len(flood._windows) <= 1001


async def test_no_token_valid_or_not_is_in_log_or_journal(
    home: Path, start_process: Callable[..., DaemonProcess]
) -> None:
    daemon = start_process(home, "--log-level", "debug")
    async with terminal_at(daemon.port) as wrong:
        account, msc = wrong.account(), to_ms(wrong.now)
        await wrong.send(Hello, token=WRONG, build="scripted", account=account, server_time_msc=msc, lockstep=True)
        await wrong.until(Refusal)
    async with terminal_at(daemon.port) as broken:
        await broken.connection.send(json.dumps({"type": "hello", "token": TOKEN, "v": 1}))
        await broken.until(Refusal)
    async with terminal_at(daemon.port) as terminal:
        await terminal.hello(lockstep=True)
        await terminal.settle(START)
        await terminal.quotes(START, START + BAR)
        await terminal.settle(START + BAR + timedelta(seconds=1))
        await terminal.connection.send(f"not JSON, with {TOKEN} in it: token")
        await terminal.until(Refusal)
    daemon.process.terminate()
    code, errors = daemon.end()
    assert code == 0
    events = [json.loads(line)["event"] for line in errors.splitlines()]
    assert {"the daemon listens", "a terminal has come", "a frame was refused", "the daemon ends"} <= set(events)
    for token in (TOKEN, WRONG):
        assert token not in errors
        assert not any(token in repr(one) for one in records(home))
