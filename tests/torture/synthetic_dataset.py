"""A learning dataset of the synthetic market, of the size a demo leaves, without daemon, websocket and lake.

The market's quotes, bars, features, decisions and labels are made by the product's own functions: what `decide` records of
every bar, flat and under the rules alone, is built into rows by `core.learning.dataset`. What is left out is what trading adds (held
positions, fills, swaps) and the first bars of the demo, which it takes from history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl

from live.paper.synthetic import PAIRS, quotes
from trading_assets.core.decisions.decide import DecisionContext, decide
from trading_assets.core.decisions.scoring import candidate_feature_names
from trading_assets.core.decisions.strategy import INTRADAY
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.features.window import DAY_MS, ChartWindow, day_windows
from trading_assets.core.learning.dataset import build_rows
from trading_assets.core.market.bars import aggregate, bars_from_quotes
from trading_assets.core.records.decisions import (
    AccountState,
    Decision,
    DecisionInputs,
    FeatureWindowReference,
    RiskState,
    SymbolState,
    WindowReference,
)
from trading_assets.core.release import RULES_ONLY
from trading_assets.core.trades.forward_returns import forward_returns
from trading_assets.core.trades.label_definition import costs_of
from trading_assets.core.trades.labels import DEFINITION, label_candidates

FEATURES = FEATURE_SETS["intraday"]
NAMES = candidate_feature_names(FEATURES)
SYMBOLS = ("EURUSD", "GBPUSD")
START = date(2026, 1, 5)
_EQUITY = Decimal("10000.00")
_WINDOW = FeatureWindowReference(
    row_count=64, first_close_at=None, sha256_raw="0" * 64, sha256_normalised="0" * 64, normaliser_version="identity"
)
_NO_OUTCOMES = pl.DataFrame(schema={"idea_id": pl.String, "exit_reason": pl.String, "result_r": pl.Float64})


def synthetic_dataset(seed: int, days: int, edge: float, symbols: tuple[str, ...] = SYMBOLS) -> pl.DataFrame:
    """Return rows of the table `learning_dataset`: every labelled candidate of `days` sessions. Same arguments, same rows."""
    return pl.concat([_of_symbol(seed, days, edge, symbol) for symbol in symbols]).sort("decided_at", "idea_id")


def _of_symbol(seed: int, days: int, edge: float, symbol: str) -> pl.DataFrame:
    played = quotes(seed, [symbol], START, days, edge)
    finest = bars_from_quotes(played, "M1", PAIRS[symbol].point)
    contract = _contract(symbol)
    decisions = list(_decisions(symbol, contract, finest))
    candidates = pl.DataFrame([row for one in decisions for row in _ideas(one)], schema=_IDEAS, orient="row")
    labels = label_candidates(candidates, finest, costs_of([contract], DEFINITION, "eu"))
    signals = candidates.unique("signal_id", maintain_order=True).with_columns(
        pl.Series("bid", [one.inputs.bid for one in decisions]), pl.Series("ask", [one.inputs.ask for one in decisions])
    )
    labelled = set(labels["signal_id"])
    known = [one for one in decisions if one.signal_id in labelled]
    return build_rows(known, labels, _NO_OUTCOMES, forward_returns(signals, finest))


def _charts(finest: pl.DataFrame) -> dict[str, ChartWindow]:
    return {name: ChartWindow.from_frame(aggregate(finest, name), name) for name in FEATURES.timeframes}


def _decisions(symbol: str, contract: SymbolState, finest: pl.DataFrame) -> Iterator[Decision]:
    """Yield the decision of every bar that has enough history."""
    charts = _charts(finest)
    base = charts[FEATURES.base]
    asks = dict(zip(base.close_ms.tolist(), base.ask_close.tolist(), strict=True))
    bids = dict(zip(base.close_ms.tolist(), base.close.tolist(), strict=True))
    seen = 0
    for start in sorted({int(at) - int(at) % DAY_MS for at in base.open_ms}):
        rows = FEATURES.day(day_windows(charts, start)).opened_from(start)
        for open_ms, close_ms, row in zip(rows.open_ms.tolist(), rows.close_ms.tolist(), rows.matrix, strict=True):
            seen += 1
            if seen > FEATURES.minimum_base_bars:
                context = _context(symbol, contract, open_ms, close_ms, bids[close_ms], asks[close_ms])
                decision = decide(INTRADAY, context, row, RULES_ONLY)
                if any(one.kind == "LONG" for one in decision.candidates):
                    yield decision


def _context(
    symbol: str, contract: SymbolState, open_ms: int, close_ms: int, bid: float, ask: float
) -> DecisionContext:
    close_at = datetime.fromtimestamp(close_ms / 1000, UTC)
    return DecisionContext(
        tenant="demo", account="paper", chain_id="chain", mode="execute", symbol=symbol,
        bar_open_at=datetime.fromtimestamp(open_ms / 1000, UTC), bar_close_at=close_at, known_at=close_at,
        inputs=DecisionInputs(
            bid=bid, ask=ask, quote_at=close_at - timedelta(seconds=1), base_bar_count=600,
            account_state=AccountState(currency="USD", balance=_EQUITY, equity=_EQUITY, margin_free=_EQUITY, leverage=100, trade_allowed=True),
            symbol_state=contract, position=None,
            risk=RiskState(open_positions=0, pending_orders=0, equity_high_water_mark=_EQUITY, day_start_equity=_EQUITY,
                           week_start_equity=_EQUITY, orders_last_hour=0, breakers=()),
        ),
        windows=tuple(
            WindowReference(timeframe=name, first_open_at=None, last_open_at=None, bar_count=512, sha256="0" * 64)
            for name in FEATURES.timeframes
        ),
        window_sha256="0" * 64, feature_window=_WINDOW,
    )  # fmt: skip


def _contract(symbol: str) -> SymbolState:
    point = PAIRS[symbol].point
    return SymbolState(
        symbol=symbol, digits=5, point=point, tick_size=point, tick_value=Decimal("1.00"), contract_size=Decimal("100000"),
        volume_min=Decimal("0.01"), volume_max=Decimal("50"), volume_step=Decimal("0.01"), stops_level=0,
        commission_per_lot=Decimal("3.50"),
    )  # fmt: skip


_MOMENT = pl.Datetime("us", "UTC")
_IDEAS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "tenant": pl.String, "account": pl.String, "date": pl.Date, "idea_id": pl.String, "signal_id": pl.String,
    "symbol": pl.String, "timeframe": pl.String, "kind": pl.String, "exit_profile": pl.String, "decided_at": _MOMENT,
    "bar_close_at": _MOMENT, "entry_price": pl.Float64, "stop_price": pl.Float64, "target_price": pl.Float64,
    "risk_unit": pl.Float64, "timeout_bars": pl.Int64,
}  # fmt: skip


def _ideas(decision: Decision) -> Iterator[tuple[object, ...]]:
    """Yield what the table `candidates` holds of a decision, as far as labels read it."""
    for one in decision.candidates:
        if one.kind in ("LONG", "SHORT"):
            yield (
                decision.tenant, decision.account, decision.known_at.date(), one.idea_id, decision.signal_id,
                decision.symbol, decision.timeframe, one.kind, one.exit_profile, decision.decided_at,
                decision.bar_close_at, one.entry_price, one.stop_price, one.target_price, one.risk_unit, one.timeout_bars,
            )  # fmt: skip
