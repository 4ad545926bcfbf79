"""What happened, in one object: decisions, trades, journal, features, ledger, model, latency. `trading demo --json` prints it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from live.floor import measure
from trading_assets.core.errors import StateError
from trading_assets.core.trades.ledger import conservation, pnl_events
from trading_assets.store.home import Home
from trading_assets.store.journal import verify
from trading_assets.store.lake import Lake
from trading_assets.store.release import current_id

FLOOR_HOPS = 300


def summary(home: Home, title: str) -> dict[str, Any]:
    """Return the summary of a home. Raises StateError when the journal's chain is broken."""
    lake = Lake(home.lake)
    return {
        "market": title,
        "decisions": _counts(lake, "signals", "suggestion"),
        "actions": _counts(lake, "signals", "action"),
        "trades": _rows(lake, "trades"),
        "outcomes": _rows(lake, "outcomes"),
        "exits": _counts(lake, "outcomes", "exit_reason"),
        "untraced_trades": untraced(lake),
        "quarantined": _counts(lake, "raw_quarantines", "reason"),
        "journal": _journal(home),
        "features": features(lake),
        "windows": windows(lake),
        "ledger": ledger(lake),
        "account": _account(lake),
        "learning": {"labels": _rows(lake, "labels"), "dataset_rows": _rows(lake, "learning_dataset"),
                     "dataset_version": lake.version("learning_dataset")},
        "model": _model(home, lake),
        "latency_ms": _latency(home, lake),
        "findings": _counts(lake, "findings", "check", pl.col("state") == "found"),
    }  # fmt: skip


def _rows(lake: Lake, table: str) -> int:
    return int(lake.scan(table).select(pl.len()).collect().item())


def _counts(lake: Lake, table: str, column: str, where: pl.Expr | bool = True) -> dict[str, int]:
    counted = lake.scan(table).filter(where).group_by(column).len().sort(column).collect()
    return {str(name): int(number) for name, number in counted.iter_rows()}


def untraced(lake: Lake) -> int:
    """Count trades without their signal or, once closed, without their outcome."""
    key = ["tenant", "account", "signal_id"]
    trades = lake.scan("trades")
    unsigned = trades.join(lake.scan("signals").select(key), on=key, how="anti")
    unended = trades.filter(~pl.col("is_open")).join(
        lake.scan("outcomes").select("trade_id"), on="trade_id", how="anti"
    )
    return sum(int(frame.select(pl.len()).collect().item()) for frame in (unsigned, unended))


def _journal(home: Home) -> dict[str, Any]:
    report = verify(home.raw)
    if report.faults:
        fault = report.faults[0]
        raise StateError(
            "verifying", fault.segment, f"expected {fault.expectation}, found {fault.observed}", fault.repair
        )
    return {"records": report.records, "seals": report.seals, "segments": report.segments}


def features(lake: Lake) -> dict[str, int]:
    equal = lake.scan("feature_windows").select(pl.len(), (~pl.col("is_equal")).sum().alias("unequal")).collect()
    key = ["tenant", "account", "signal_id"]
    compared = lake.scan("feature_windows").select(key)
    missing = int(lake.scan("signals").join(compared, on=key, how="anti").select(pl.len()).collect().item())
    return {"compared": int(equal["len"][0]), "mismatched": int(equal["unequal"][0]) + missing}


def windows(lake: Lake) -> dict[str, int]:
    equal = lake.scan("chart_windows").select(pl.len(), (~pl.col("is_equal")).sum().alias("unequal")).collect()
    return {"compared": int(equal["len"][0]), "mismatched": int(equal["unequal"][0])}


def ledger(lake: Lake, due: Collection[date] = ()) -> dict[str, Any]:
    """Count the money; of days that the hourly ledger has still to book, by the events that it will book."""
    deals, events = lake.read("raw_deals"), lake.read("pnl_events")
    if due:
        booked = pnl_events(deals).filter(pl.col("date").is_in(list(due))).select(events.columns)
        events = pl.concat([events.filter(~pl.col("date").is_in(list(due))), booked], how="vertical_relaxed")
    counted = conservation(deals, events, balance_change(lake))
    trade_deals = deals.filter(pl.col("kind").is_in(["BUY", "SELL"])).unique(["tenant", "account", "deal_ticket"])
    return {
        "deals": trade_deals.height,
        "pnl_events": events.height,
        "net_pnl": f"{counted.events:.2f}",
        "difference": f"{counted.difference:.2f}",
    }


CHECKS: dict[str, Callable[[Lake], Any]] = {
    "features": features,
    "windows": windows,
    "ledger": ledger,
    "untraced_trades": untraced,
}


def is_wrong(check: str, value: Any) -> bool:
    """Say whether a check's figures show a fault."""
    match check:
        case "features" | "windows":
            return bool(value["mismatched"])
        case "ledger":
            return Decimal(value["difference"]) != 0
        case "untraced_trades":
            return bool(value)
        case _:
            raise KeyError(check)


def balance_change(lake: Lake) -> Decimal:
    """Return what the terminals say their balances moved by since before the first deposit."""
    last = lake.read("raw_accounts").unique(["tenant", "account"], keep="last", maintain_order=True)
    total = last["balance"].sum()
    return total if isinstance(total, Decimal) else Decimal(0)


def _account(lake: Lake) -> dict[str, Any]:
    daily = lake.read("equity_daily").sort("date")
    if daily.is_empty():
        return {}
    return {
        "equity": f"{daily['closing_equity'][-1]:.2f}",
        "max_drawdown_share": round(float(daily["max_drawdown_share"].max()), 4),  # type: ignore[arg-type]
        "days": daily.height,
    }


def _model(home: Home, lake: Lake) -> dict[str, Any]:
    judged = lake.read("promotions").filter(pl.col("action") != "hold").sort("judged_at")
    after = lake.scan("signals").filter(pl.col("model_version").is_not_null()).select(pl.len()).collect().item()
    if judged.is_empty():
        return {
            "version": None,
            "verdict": "not judged",
            "reasons": [],
            "release": current_id(home.releases),
            "scored_decisions": int(after),
        }
    last = judged.row(-1, named=True)
    return {
        "version": last["model_version"],
        "verdict": last["verdict"],
        "reasons": list(last["reasons"]),
        "release": current_id(home.releases) or "rules-only",
        "scored_decisions": int(after),
    }


def _latency(home: Home, lake: Lake) -> dict[str, float | None]:
    """Return decision latency of decisions that sent an order, beside the floor measured in the same run."""
    timings = lake.read("raw_decision_timings", columns=["total_us", "has_order"]).filter(pl.col("has_order"))
    decided = timings["total_us"] / 1000
    floor = pl.Series(measure(FLOOR_HOPS, home.root))
    return {"p50": _quantile(decided, 0.5), "p99": _quantile(decided, 0.99),
            "floor_p50": _quantile(floor, 0.5), "floor_p99": _quantile(floor, 0.99)}  # fmt: skip


def _quantile(milliseconds: pl.Series, share: float) -> float | None:
    value = milliseconds.quantile(share)
    return None if value is None else round(value, 3)
