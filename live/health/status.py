"""What the daemon's parts show of themselves, read and put together; nothing here changes or judges anything.

`GET /status` is one JSON object of it; `live.health.components` judges the components and standings made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from live.desk.commands import Inbox
from live.desk.desk import Desk
from live.health.components import MOST_QUIET_S, MOST_UNSYNCED_S, Component, Seen, Standing, missing
from live.trading.measures import Histogram, quantile
from live.trading.refused_orders import EXITS
from trading_assets import __version__
from trading_assets.core.market.sessions import is_market_open
from trading_assets.store.journal import Journal

Components = Mapping[str, Mapping[str, Component]]
"""Components by account and name."""


def status(
    home: str, tenant: str, desks: Mapping[str, Desk], journal: Journal, started_at: datetime, components: Components
) -> dict[str, Any]:
    """Return the status of the daemon. Its home is in it, since a port is no proof of whose daemon answers there."""
    return {
        "version": __version__,
        "home": home,
        "tenant": tenant,
        "started_at": started_at,
        "journal": {"health": journal.health, "records": journal.records, "seals": journal.seals},
        "accounts": {name: account_status(desk, components.get(name, {})) for name, desk in desks.items()},
    }


def account_status(desk: Desk, components: Mapping[str, Component]) -> dict[str, Any]:
    """Return the status of one account."""
    account, books = desk.account.books.account, desk.account.books
    return {
        "is_connected": desk.link is not None,
        "missing": missing(standing(desk)),
        "session": desk.link.session if desk.link else None,
        "now": desk.account.recorder.clock.now(),
        "release_id": desk.account.release.current.release_id,
        "model_version": desk.account.release.current.model_version,
        "quotes": desk.account.feed.accepted,
        "quarantined": desk.account.feed.refused,
        "unreadable": desk.lost.unreadable,
        "lost_messages": desk.lost.detail,
        "decisions": desk.account.trader.decisions,
        "decided_until": desk.account.trader.decided_until,
        "orders_sent": desk.account.sender.orders_sent,
        "pending_orders": [
            {"signal_id": one.order.signal_id, "symbol": one.order.symbol, "state": one.order.state}
            for one in books.orders.pending()
        ],
        "open_trades": [trade.trade_id for trade in books.trades.open_trades()],
        "foreign_positions": len(books.foreign),
        "balance": account.balance if account else None,
        "equity": account.equity if account else None,
        "tripped_breakers": {kept.label: kept.state.cause for kept in books.risk.kept},
        "clock_offset_s": None if (offset := desk.account.clock_watch.offset.measured) is None else offset.total_seconds(),
        "is_reconciled": desk.account.reconciliation.is_done_once,
        "latency_us": percentiles(desk.account.trader.stages.total),
        "components": {
            name: {"is_healthy": one.is_healthy, "last_success_at": one.last_success_at, "errors": one.errors, "detail": one.detail}
            for name, one in components.items()
        },
    }  # fmt: skip


def percentiles(counted: Histogram) -> dict[str, int | None]:
    """Return median and 99th percentile of all decisions' latencies, in microseconds."""
    found = {"p50": quantile(counted.counts, 0.5), "p99": quantile(counted.counts, 0.99)}
    return {"count": counted.count} | {
        name: None if seconds is None else round(seconds * 1e6) for name, seconds in found.items()
    }


def standing(desk: Desk) -> Standing:
    """Return how an account stands for trading."""
    account = desk.account
    windows = account.feed.windows
    return Standing(
        is_connected=desk.link is not None,
        is_open=desk.is_open,
        is_reconciled=account.reconciliation.is_done_once,
        bars={
            symbol: len(windows[symbol].charts[windows[symbol].feature_set.base]) if symbol in windows else 0
            for symbol in account.settings.symbols.values()
        },
        clock=next((state.cause for state in account.books.risk.tripped if state.breaker == "clock"), ""),
        inbox=desk.inbox_trouble(),
    )


def components_seen(desk: Desk, journal: Journal, inbox: Inbox) -> list[Seen]:
    """Return what each component shows of one account; journal and commands are the whole daemon's."""
    return [_bridge(desk), _feed(desk), _trader(desk), _reconciliation(desk), _journal(journal), _releases(desk), _commands(inbox)]  # fmt: skip


def _bridge(desk: Desk) -> Seen:
    link = desk.link
    return Seen(
        "bridge", desk.messages, desk.gaps,
        f"a terminal is connected, session {link.session}" if link else "",
        "" if link else "no terminal is connected",
    )  # fmt: skip


def _feed(desk: Desk) -> Seen:
    feed = desk.account.feed
    return Seen("feed", feed.accepted, feed.refused, f"{len(feed.last)} symbols quoted", _quiet(desk))


def _quiet(desk: Desk) -> str:
    """Return which symbols have no fresh quote though they should; nothing in lockstep, whose time stands still meanwhile."""
    if not desk.is_open or desk.is_lockstep:
        return "" if desk.link is not None else "no terminal is connected"
    now = desk.account.recorder.clock.now() + desk.account.rule.offset
    if not is_market_open(now) or not is_market_open(now - timedelta(seconds=MOST_QUIET_S)):
        return ""
    last = desk.account.feed.last
    quiet = [
        symbol
        for symbol in desk.account.feed.windows
        if symbol not in last or (now - last[symbol].at).total_seconds() > MOST_QUIET_S
    ]
    return f"no quote of {', '.join(quiet)} for over {MOST_QUIET_S:.0f} s" if quiet else ""


def _trader(desk: Desk) -> Seen:
    trader, fault = desk.account.trader, desk.account.recorder.fault
    trouble = f"decisions cannot be made durable: {fault}" if fault else ""
    stuck = [kept for kept in desk.account.books.risk.kept if kept.state.breaker == EXITS]
    if stuck and not trouble:
        trouble = f"a position of {stuck[0].symbol} cannot be closed: {stuck[0].state.cause}"
    return Seen("trader", trader.decisions, trader.failures, f"{desk.account.sender.orders_sent} orders sent", trouble)


def _reconciliation(desk: Desk) -> Seen:
    reconciliation = desk.account.reconciliation
    held = {state.breaker: state.cause for state in desk.account.books.risk.tripped}
    trouble = held.get("reconciliation", "" if reconciliation.is_done_once else "this session is not reconciled yet")
    return Seen(
        "reconciliation", reconciliation.searches, reconciliation.differences,
        "our view and the terminal's agree", trouble,
    )  # fmt: skip


def _journal(journal: Journal) -> Seen:
    trouble = "" if journal.health == "ok" else journal.health
    if not trouble and journal.unsynced_s > MOST_UNSYNCED_S:
        trouble = f"records have been waiting for the disk for {journal.unsynced_s:.1f} s"
    written = f"{journal.records} records under {journal.seals} seals"
    return Seen("journal", journal.commits - journal.faults, journal.faults, written, trouble)


def _releases(desk: Desk) -> Seen:
    slot = desk.account.release
    return Seen("releases", slot.accepted, slot.refused, f"{slot.current.release_id} is in use", slot.trouble)


def _commands(inbox: Inbox) -> Seen:
    return Seen("commands", inbox.looks, inbox.failures, "the inbox is looked at", inbox.trouble)
