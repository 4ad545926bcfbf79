"""What `GET /status` says: one JSON object about the process and each account. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from live.desk import Desk
from trading_assets import __version__
from trading_assets.store.journal import Journal


def status(tenant: str, desks: Mapping[str, Desk], journal: Journal, started_at: datetime) -> dict[str, Any]:
    """Return the status of the daemon."""
    return {
        "version": __version__,
        "tenant": tenant,
        "started_at": started_at,
        "journal": {"health": journal.health, "records": journal.records, "seals": journal.seals},
        "accounts": {name: account_status(desk) for name, desk in desks.items()},
    }


def account_status(desk: Desk) -> dict[str, Any]:
    """Return the status of one account."""
    account, books = desk.account.books.account, desk.account.books
    return {
        "is_connected": desk.link is not None,
        "session": desk.link.session if desk.link else None,
        "now": desk.account.recorder.clock.now(),
        "release_id": desk.account.release.current.release_id,
        "model_version": desk.account.release.current.model_version,
        "quotes": desk.account.feed.accepted,
        "quarantined": desk.account.feed.refused,
        "decisions": desk.account.trader.decisions,
        "decided_until": desk.account.trader.decided_until,
        "orders_sent": desk.account.trader.orders_sent,
        "pending_orders": [
            {"signal_id": one.order.signal_id, "symbol": one.order.symbol, "state": one.order.state}
            for one in books.orders.pending()
        ],
        "open_trades": [trade.trade_id for trade in books.trades.open_trades()],
        "foreign_positions": len(books.foreign),
        "balance": account.balance if account else None,
        "equity": account.equity if account else None,
        "tripped_breakers": {state.breaker: state.cause for state in books.risk.tripped},
        "is_reconciled": desk.account.reconciliation.is_done_once,
        "latency_us": percentiles(list(desk.account.trader.latencies_us)),
    }


def percentiles(values: Sequence[int]) -> dict[str, int | None]:
    """Return median and 99th percentile of the last decisions' latencies."""
    if not values:
        return {"count": 0, "p50": None, "p99": None}
    ordered = sorted(values)
    return {
        "count": len(ordered),
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)],
    }
