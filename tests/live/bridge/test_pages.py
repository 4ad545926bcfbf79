"""The pages over a real socket: health follows the disk, readiness the terminal, metrics parse and are documented."""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.error
import urllib.request
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from scripted_terminal import BAR, START, TOKEN, RunningDaemon, ScriptedTerminal, daemon_at
from test_disk import Disk

from live.bridge.pages import Pages, described
from live.trading.measures import BOUNDS_S

DOCS = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
PAGES = Pages(status=dict, complaints=list, missing=dict, metrics=bytes)


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


async def asked(daemon: RunningDaemon, path: str, method: str = "GET") -> tuple[int, Any]:
    status, body = await asyncio.to_thread(get, daemon.port, path, method)
    return status, json.loads(body) if body.startswith("{") else body


async def until(daemon: RunningDaemon, path: str, status: int) -> Any:
    """Ask until the page has this status; returns what it says."""
    async with asyncio.timeout(10):
        while True:
            answered, body = await asked(daemon, path)
            if answered == status:
                return body


async def test_health_is_lost_with_the_disk_and_comes_back_with_it(home: Path) -> None:
    disk = Disk()
    async with daemon_at(home, sync=disk.sync) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        assert await until(daemon, "/health", 200) == {"is_healthy": True, "reasons": []}
        disk.is_failing = True
        await terminal.quotes(START, START + BAR)
        ill = await until(daemon, "/health", 503)
        assert not ill["is_healthy"]
        assert any("No space left" in reason for reason in ill["reasons"])
        assert "trading_healthy 0.0" in (await asked(daemon, "/metrics"))[1]
        disk.is_failing = False
        await terminal.heartbeat(START + BAR)
        assert (await until(daemon, "/health", 200))["reasons"] == []


def block(seconds: float) -> None:
    """The fault itself: something that does not let the loop go on."""
    time.sleep(seconds)


async def test_a_loop_that_was_blocked_is_told(daemon: RunningDaemon) -> None:
    block(1.3)
    ill = await until(daemon, "/health", 503)
    assert "the event loop was 1." in ill["reasons"][0]


async def test_readiness_says_what_is_missing_until_nothing_is(home: Path) -> None:
    async with daemon_at(home) as daemon:
        assert await asked(daemon, "/ready") == (
            503,
            {"is_ready": False, "missing": {"paper": ["no terminal is connected"]}},
        )
        async with daemon.terminal() as terminal:
            terminal.answers_history = False
            await terminal.hello()
            assert any("history" in lack for lack in (await asked(daemon, "/ready"))[1]["missing"]["paper"])
            await until(daemon, "/health", 200)  # who waits for history does its work
        async with daemon.terminal() as terminal:
            await terminal.hello()
            await terminal.settle(START)
            assert await asked(daemon, "/ready") == (200, {"is_ready": True, "missing": {}})
        await until(daemon, "/ready", 503)


async def test_the_status_page_has_the_components(terminal: ScriptedTerminal, daemon: RunningDaemon) -> None:
    await terminal.settle(START)
    async with asyncio.timeout(5):
        while not (components := (await daemon.status())["accounts"]["paper"]["components"])["bridge"]["is_healthy"]:
            continue
    assert set(components) == {"bridge", "feed", "trader", "reconciliation", "journal", "releases", "commands"}
    assert components["journal"]["last_success_at"]


async def test_other_requests_get_a_sentence(daemon: RunningDaemon) -> None:
    assert await asked(daemon, "/nothing") == (404, PAGES.answer("GET", "/x", "::1", is_upgrade=False).body.decode())  # type: ignore[union-attr]
    for path in ("/", "/health/", "/metrics/x", "/..%2fstatus"):
        assert (await asked(daemon, path))[0] == 404
    for method in ("POST", "PUT", "DELETE"):
        assert (await asked(daemon, "/health", method))[0] == 405
    assert (await asked(daemon, "/ready?token=x"))[0] == 503


@pytest.mark.parametrize("remote", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.8.8.8"])
def test_this_host_is_answered(remote: str) -> None:
    page = PAGES.answer("GET", "/health", remote, is_upgrade=False)
    assert page is not None
    assert page.status == HTTPStatus.OK


@pytest.mark.parametrize("remote", ["10.0.0.7", "203.0.113.9", "::ffff:10.0.0.7", "fe80::1%eth0", "", "somewhere"])
@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/status"])
def test_no_other_host_is(remote: str, path: str) -> None:
    page = PAGES.answer("GET", path, remote, is_upgrade=False)
    assert page is not None
    assert (page.status, b"own host" in page.body) == (HTTPStatus.FORBIDDEN, True)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((name, 200) for name in ("localhost:8765", "127.0.0.1", "[::1]:80", "desk")),
        *((name, 421) for name in ("evil.example", "", "localhost.evil.example", "127.0.0.1.evil.example")),
    ],
)
def test_pages_are_for_the_names_of_this_host(host: str, status: int) -> None:
    pages = Pages(status=dict, complaints=list, missing=dict, metrics=bytes, hosts=("desk",))
    page = pages.answer("GET", "/status", "127.0.0.1", is_upgrade=False, host=host)
    assert page is not None
    assert page.status == status


def test_nothing_of_a_request_but_the_page_is_written_down() -> None:
    assert described("GET", "/status?token=SECRET") == "GET /status"
    assert described("GET", "/ws/SECRET") == "GET a page there is not (10 characters)"
    assert described("SECRET", "/health/SECRET?SECRET") == "another method a page there is not (21 characters)"


def test_a_terminal_is_not_answered_but_let_through() -> None:
    assert PAGES.answer("GET", "/", "10.0.0.7", is_upgrade=True) is None
    assert PAGES.answer("GET", "/any", "127.0.0.1", is_upgrade=True) is None


# --- metrics ------------------------------------------------------------------------------------------------------


def documented() -> dict[str, str]:
    """Names of docs/metrics.md with their types."""
    rows = re.findall(r"^\| `(trading_\w+)` \| (\w+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a name is documented twice"
    return dict(rows)


async def scraped(daemon: RunningDaemon) -> dict[str, Any]:
    """What `/metrics` says, parsed, by the name a person looks for."""
    families = text_string_to_metric_families((await asked(daemon, "/metrics"))[1])
    named = {"counter": "_total"}
    return {family.name + named.get(family.type, ""): family for family in families}


async def test_metrics_parse_and_are_what_the_page_documents(terminal: ScriptedTerminal, daemon: RunningDaemon) -> None:
    await terminal.settle(START)
    await terminal.step()
    await terminal.step()
    await terminal.ticks([(START, 1.2, 1.1)])
    await terminal.settle(terminal.now + BAR)
    found = await scraped(daemon)
    kinds = {name: "info" if name.endswith("_info") else family.type for name, family in found.items()}
    assert kinds == documented()
    empty = {name for name, family in found.items() if not family.samples}
    assert empty <= {"trading_pending_orders", "trading_clock_offset_seconds"}, (
        "the others have something to show after a trade"
    )


async def test_metrics_count_what_has_happened(terminal: ScriptedTerminal, daemon: RunningDaemon) -> None:
    await terminal.settle(START)
    await terminal.step()
    await terminal.step()
    await terminal.ticks([(terminal.now, 1.2, 1.1)])
    await terminal.settle(terminal.now + BAR)
    found = await scraped(daemon)
    trader, feed = daemon.desk().account.trader, daemon.desk().account.feed

    def value(name: str, **labels: str) -> float:
        (sample,) = [
            s
            for s in found[name].samples
            if labels.items() <= s.labels.items() and not s.name.endswith(("_sum", "_bucket"))
        ]
        return float(sample.value)

    assert value("trading_decisions_total", account="paper") == trader.decisions > 0
    assert value("trading_quotes_total", symbol="EURUSD") == feed.accepted > 0
    assert value("trading_quarantined_total", reason="crossed") == 1
    assert value("trading_orders_total", state="FILLED") == 1
    assert value("trading_order_answers_total", retcode="10009") == 1
    assert value("trading_decision_stage_seconds", stage="total") == trader.decisions
    assert value("trading_account_ready", account="paper") == 1
    assert value("trading_breaker_tripped", breaker="halt") == 0
    assert value("trading_release_info", release_id="rules-only") == 1
    buckets = [s.labels["le"] for s in found["trading_decision_stage_seconds"].samples if s.labels.get("stage") == "total" and "le" in s.labels]  # fmt: skip
    assert [float(bound) for bound in buckets] == [*BOUNDS_S, float("inf")]


async def test_no_page_holds_a_token_or_its_digest(terminal: ScriptedTerminal, daemon: RunningDaemon) -> None:
    await terminal.settle(START)
    for path in ("/health", "/ready", "/metrics", "/status"):
        _, body = await asyncio.to_thread(get, daemon.port, path)
        assert TOKEN not in body
        assert sha256(TOKEN.encode()).hexdigest()[:12] not in body
