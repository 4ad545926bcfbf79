"""Labels against what really happened: trades in the simulated terminal without slippage end as their label says, exactly.

The only trades without a counterpart are those a later decision closed for its own reasons (a signal, a reversal) or the end of
the replay: a label knows barriers, not decisions to come.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
import polars as pl
import pytest

from trading_assets.cli.processes import Daemon, LiveSettings, Terminal, write_settings
from trading_assets.core.market.bars import bars_from_quotes
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.market import Quote
from trading_assets.core.records.trading import Outcome, SymbolSpec
from trading_assets.core.trades.label_definition import LabelDefinition, costs_of
from trading_assets.core.trades.labels import label_candidates
from trading_assets.store.home import Home
from trading_assets.store.journal import read_records

DEFINITION = LabelDefinition(slippage_points=0.0)
SYMBOLS = {"EURUSD": "EURUSD", "GBPUSD": "GBPUSD"}
MOMENT = pl.Datetime("us", "UTC")
CENT = Decimal("0.01")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Thursday and Friday without slippage and without faults, after three days of history."""
    home = Home(tmp_path_factory.mktemp("realised"))
    settings, token = write_settings(home, LiveSettings(symbols=SYMBOLS, clock="eu", timeframe="M5"))
    daemon = Daemon(home, settings)
    try:
        arguments = ["--synthetic", "--seed", "5", "--days", "5", "--history-days", "3", "--start", "2024-01-08"]
        arguments += ["--slippage-points", "0", "--edge", "2"]
        for _ in Terminal(home, daemon.url, token, arguments).progress():
            pass
    finally:
        daemon.stop()
    return home


def records(home: Home, *types: type) -> list[object]:
    return list(read_records(home.raw, types=types))


def labels_of(home: Home) -> pl.DataFrame:
    """The labels of every candidate of the replay, with bars made from its own quotes."""
    quotes = pl.DataFrame(
        [
            (one.symbol, one.event_at, one.bid, one.ask)
            for one in records(home, Quote)
            if isinstance(one, Quote)
        ],
        schema={"symbol": pl.String, "event_at": MOMENT, "bid": pl.Float64, "ask": pl.Float64},
        orient="row",
    )  # fmt: skip
    candidates = pl.DataFrame(
        [
            {
                "symbol": made.symbol, "timeframe": made.timeframe, "signal_id": made.signal_id, "decided_at": made.decided_at,
                "bar_close_at": made.bar_close_at, "week_ends_at": made.inputs.week_ends_at,
                **{
                    name: getattr(candidate, name)
                    for name in (
                        "idea_id", "kind", "exit_profile", "entry_price", "stop_price", "target_price", "risk_unit",
                        "timeout_bars",
                    )
                },
            }
            for made in records(home, Decision)
            if isinstance(made, Decision)
            for candidate in made.candidates
        ],
        infer_schema_length=None,
        schema_overrides={"bar_close_at": MOMENT, "decided_at": MOMENT, "week_ends_at": MOMENT},
    )  # fmt: skip
    specs = {one.symbol: one.spec for one in records(home, SymbolSpec) if isinstance(one, SymbolSpec)}
    assert all(spec.swap_long < 0 for spec in specs.values())
    bars = bars_from_quotes(quotes, "M1", specs["EURUSD"].point)
    return label_candidates(candidates, bars, costs_of(specs.values(), DEFINITION, "eu"), DEFINITION, quotes)


def test_a_trade_without_slippage_ends_as_its_label_says(replayed: Home) -> None:
    labels = {row["idea_id"]: row for row in labels_of(replayed).iter_rows(named=True)}
    outcomes = [one for one in records(replayed, Outcome) if isinstance(one, Outcome)]
    compared: dict[str, int] = {}
    for made in outcomes:
        if made.exit_reason not in ("stop", "target", "timeout", "weekend"):
            continue
        label = labels[made.idea_id]
        told = msgspec.to_builtins(made)
        assert label["barrier"] == made.exit_reason, told
        assert label["exit_price"] == made.exit_price, told
        assert label["label_end_at"] == made.closed_at, told
        assert label["gross_r"] == made.result_r, told
        assert label["entry_at"] == made.opened_at, told
        assert label["mae_r"] == pytest.approx(made.mae_r, abs=1e-12), told
        # The quote that reaches the target may lie beyond it: the trade's path has seen it, a fill at the target has not.
        reached = label["gross_r"] if made.exit_reason == "target" else made.mfe_r
        assert label["mfe_r"] == pytest.approx(reached, abs=1e-12), told
        assert label["mfe_r"] <= made.mfe_r + 1e-12
        _compare_money(label, made)
        compared[made.exit_reason] = compared.get(made.exit_reason, 0) + 1
    assert sum(compared.values()) > 10
    assert compared.keys() >= {"stop", "target"}, compared


def _compare_money(label: dict[str, float], made: Outcome) -> None:
    """Costs and swap are the same up to the cents the broker rounds each deal to, at the tick value it reported."""
    risk_money = abs(float(made.gross_pnl) / made.result_r)
    assert abs(label["swap_r"] - float(made.swap) / risk_money) * risk_money < 0.02
    assert abs(label["cost_r"] + float(made.commission) / risk_money) * risk_money < 0.02


def test_every_trade_a_barrier_did_not_end_was_ended_by_a_decision(replayed: Home) -> None:
    labels = {row["idea_id"]: row for row in labels_of(replayed).iter_rows(named=True)}
    early = [
        one
        for one in records(replayed, Outcome)
        if isinstance(one, Outcome) and one.exit_reason not in ("stop", "target", "timeout", "weekend")
    ]
    assert {one.exit_reason for one in early} <= {"signal"}
    for made in early:
        assert made.closed_at <= labels[made.idea_id]["label_end_at"]
