"""The closed loop end to end: what the daemon decided, what the assets made of it, and that the two halves agree.

One demo is played by real processes (tests/played.py); every test reads what it left.
"""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import psutil  # type: ignore[import-untyped]
import pytest
from played import DAYS, Played, environment, processes_of, trading

from trading_assets.cli.demo import MARKER, demo, demo_owner, synthetic_plan
from trading_assets.cli.report import demo_report
from trading_assets.core.errors import InputError
from trading_assets.core.records.codec import RECORD_TYPES
from trading_assets.core.records.decisions import Decision, DecisionTiming
from trading_assets.core.records.operations import Promotion
from trading_assets.core.records.trading import Outcome
from trading_assets.core.tables import TABLES, raw_name
from trading_assets.store.home import Home
from trading_assets.store.journal import read_records
from trading_assets.store.lake import Lake
from trading_assets.store.release import current_id

# The first test to need it plays the demo.
pytestmark = pytest.mark.timeout(900)

KEY = ["tenant", "account", "signal_id"]


@pytest.fixture(scope="module")
def lake(played: Played) -> Lake:
    return Lake(played.home.lake)


@pytest.fixture(scope="module")
def decisions(played: Played) -> list[Decision]:
    """Every decision, as the daemon journalled it."""
    found = read_records(played.home.raw, stream="trading", types=(Decision,))
    return [one for one in found if isinstance(one, Decision)]


# --- what the demo says -------------------------------------------------------------------------------------------


def test_the_demo_prints_one_object_with_what_was_promised(played: Played) -> None:
    answer = played.answer
    assert set(answer) >= {
        "decisions", "trades", "outcomes", "journal", "features", "ledger", "model", "latency_ms"
    }  # fmt: skip
    assert set(answer["decisions"]) <= {"LONG", "SHORT", "WAIT"}
    assert set(answer["journal"]) >= {"records", "seals"}
    assert set(answer["features"]) == {"compared", "mismatched"}
    assert set(answer["ledger"]) >= {"deals", "pnl_events", "difference"}
    assert set(answer["model"]) >= {"version", "verdict", "reasons"}
    assert set(answer["latency_ms"]) == {"p50", "p99", "floor_p50", "floor_p99"}


def test_the_commands_a_person_is_shown_next_can_be_copied(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    demo_report(played.home, played.answer)
    shown = capsys.readouterr().out.partition("Where to look next")[2].splitlines()
    commands = [shlex.split(line) for line in shown if line.strip().startswith("trading ")]
    assert [one[1] for one in commands] == ["trace", "explain", "verify", "up"]
    assert {one[-1] for one in commands} == {str(played.home.root)}


def test_something_happened_worth_testing(played: Played) -> None:
    answer = played.answer
    assert answer["decisions"]["LONG"] + answer["decisions"]["SHORT"] > 10
    assert answer["trades"] == answer["outcomes"] > 5
    assert answer["learning"]["dataset_rows"] > 1000


def test_the_model_of_two_days_is_refused_with_its_reasons_and_nothing_is_released(played: Played) -> None:
    model = played.answer["model"]
    assert model["verdict"] == "refused"
    assert any("at least" in reason and "needed" in reason for reason in model["reasons"])
    assert model["release"] == "rules-only"
    assert model["scored_decisions"] == 0
    assert current_id(played.home.releases) is None


def test_an_interrupted_demo_leaves_no_process_and_its_home_can_be_used_again(played: Played) -> None:
    assert played.interrupted_code != 0
    assert played.interrupted_left == []
    assert not processes_of(played.home)


def test_the_home_says_that_no_demo_runs_in_it_any_more(played: Played) -> None:
    assert json.loads((played.home.root / MARKER).read_text()) == {}


# --- two halves agree ---------------------------------------------------------------------------------------------


def test_the_features_of_every_decision_are_computed_again_bit_for_bit(
    played: Played, lake: Lake, decisions: list[Decision]
) -> None:
    compared = lake.read("feature_windows")
    assert compared["is_equal"].all()
    assert compared["is_vector_equal"].all()
    assert set(compared["signal_id"]) == {one.signal_id for one in decisions}
    assert played.answer["features"] == {"compared": len(decisions), "mismatched": 0}


def test_the_chart_windows_of_every_decision_are_the_bars_of_the_lake(lake: Lake, decisions: list[Decision]) -> None:
    compared = lake.read("chart_windows")
    assert compared["is_equal"].all()
    assert compared.height == sum(len(one.windows) for one in decisions)
    assert (compared["recorded_sha256"] == compared["recomputed_sha256"]).all()


def test_every_bar_that_closed_on_a_decided_symbol_was_decided_on_once(lake: Lake) -> None:
    signals = lake.read("signals").sort("symbol", "bar_close_at")
    assert signals.select("symbol", "bar_close_at").is_duplicated().sum() == 0
    gaps = signals.select(pl.col("bar_close_at").diff().over("symbol")).to_series().drop_nulls()
    within_a_session = gaps.filter(gaps < timedelta(hours=1))
    assert set(within_a_session) == {timedelta(minutes=5)}


def test_every_record_of_the_journal_is_a_row_of_the_lake(played: Played, lake: Lake) -> None:
    counted = dict.fromkeys((raw_name(kind) for kind in RECORD_TYPES), 0)
    for record in read_records(played.home.raw, dates=DAYS):
        counted[raw_name(type(record))] += 1
    in_lake = {name: lake.read(name, dates=DAYS, columns=["tenant"]).height for name in counted}
    assert in_lake == counted


def test_every_decision_has_its_latency_measured(played: Played, decisions: list[Decision]) -> None:
    timed = read_records(played.home.raw, stream="trading", types=(DecisionTiming,))
    assert {one.signal_id for one in timed if isinstance(one, DecisionTiming)} == {one.signal_id for one in decisions}


# --- every trade is traced ----------------------------------------------------------------------------------------


def test_every_trade_goes_back_to_its_signal_and_forward_to_its_outcome(played: Played, lake: Lake) -> None:
    trades = lake.read("trades")
    assert not trades["is_open"].any()
    signals, outcomes = lake.read("signals"), lake.read("outcomes")
    opened = trades.join(signals.filter(pl.col("action").is_in(["OPEN", "REVERSE"])), on=KEY, how="inner")
    assert opened.height == trades.height
    ended = trades.join(outcomes, on=[*KEY, "trade_id"], how="inner", suffix="_told")
    assert ended.height == trades.height == outcomes.height
    assert (ended["net_pnl"] == ended["net_pnl_told"]).all()
    assert played.answer["untraced_trades"] == 0


def test_every_traded_idea_was_a_candidate_the_decision_chose_and_has_its_label(lake: Lake) -> None:
    chosen = lake.read("candidates").filter("is_chosen")
    labels = lake.read("labels")
    assert set(lake.read("trades")["idea_id"]) <= set(chosen["idea_id"])
    assert set(lake.read("trades")["idea_id"]) <= set(labels["idea_id"])


def test_no_cent_is_lost(played: Played, lake: Lake) -> None:
    assert played.answer["ledger"]["difference"] == "0.00"
    deals = lake.read("raw_deals").filter(pl.col("kind").is_in(["BUY", "SELL"]))
    money = sum(deals[name].sum() for name in ("profit", "commission", "swap", "fee"))
    assert money == lake.read("trades")["net_pnl"].sum() == lake.read("outcomes")["net_pnl"].sum()
    balance = lake.read("raw_accounts").sort("known_at")["balance"]
    assert balance[-1] - Decimal(10_000) == money
    assert lake.read("equity_daily").sort("date")["closing_equity"][-1] == balance[-1]


# --- the commands -------------------------------------------------------------------------------------------------


def test_the_journal_and_the_lake_verify_as_clean(played: Played) -> None:
    done = trading("verify", "--json", "--home", str(played.home.root))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["is_clean"]
    assert result["faults"] == []
    assert result["journal"]["records"] >= played.answer["journal"]["records"]


def test_every_decision_of_a_day_is_made_again_bit_for_bit(played: Played, decisions: list[Decision]) -> None:
    day = DAYS[2]
    done = trading("explain", "--day", day.isoformat(), "--json", "--home", str(played.home.root))
    assert done.returncode == 0, done.stdout + done.stderr
    of_day = [one for one in decisions if one.known_at.date() == day]
    assert json.loads(done.stdout) == {
        "day": day.isoformat(), "decisions": len(of_day), "identical": len(of_day), "is_identical": True, "different": [],
    }  # fmt: skip


def test_the_trace_of_a_trade_has_every_stage(played: Played) -> None:
    outcome = next(iter(read_records(played.home.raw, stream="trading", types=(Outcome,))))
    assert isinstance(outcome, Outcome)
    done = trading("trace", outcome.trade_id, "--json", "--home", str(played.home.root))
    assert done.returncode == 0, done.stderr
    chain = json.loads(done.stdout)
    assert [name for name, stage in chain.items() if not stage] == []
    assert chain["signal"]["signal_id"] == outcome.signal_id
    assert chain["trade"]["trade_id"] == chain["outcome"]["trade_id"] == outcome.trade_id
    assert {one["timeframe"] for one in chain["chart_windows"]} == {"M5", "M15", "H1", "H4"}
    assert {one["predictor"] for one in chain["predictions"]} >= {"trend", "mean_reversion", "breakout", "consensus"}
    assert any(one["idea_id"] == outcome.idea_id and one["is_chosen"] for one in chain["candidates"])
    assert {one["entry"] for one in chain["deals"]} == {"IN", "OUT"}
    assert Decimal(chain["trade"]["net_pnl"]) == outcome.net_pnl
    assert [one["verdict"] for one in chain["learning"]["promotions"]] == ["refused"]


def test_the_judgement_is_in_the_journal(played: Played) -> None:
    judged = list(read_records(played.home.raw, stream="ops", types=(Promotion,)))
    assert [one.verdict for one in judged if isinstance(one, Promotion)] == ["refused"]


def test_every_table_that_a_run_wrote_has_a_record_of_it(lake: Lake) -> None:
    written = set(lake.read("transforms")["table"])
    # The health of hours is written by an hourly job; a demo is over sooner. Nothing was repaired, no schema changed.
    never_written = {"transforms", "findings", "repairs", "schema_changes", "system_health"}
    assert written >= TABLES.keys() - never_written


# --- a home of its own --------------------------------------------------------------------------------------------


def test_a_home_that_is_no_demos_is_refused_and_untouched(tmp_path: Path) -> None:
    mine = tmp_path / "keep.txt"
    mine.write_text("mine")
    with pytest.raises(InputError, match="not a demo's and is not empty; name another one with --home"):
        demo(Home(tmp_path), synthetic_plan(7, 2, 1, 1.0))
    assert [path.name for path in tmp_path.rglob("*")] == ["keep.txt"]
    assert mine.read_text() == "mine"


def test_a_home_in_which_another_demo_runs_is_refused_and_untouched(tmp_path: Path) -> None:
    owner = psutil.Process().parent()
    (tmp_path / MARKER).write_text(json.dumps({"pid": owner.pid}))
    (tmp_path / "keep.txt").write_text("its")
    with pytest.raises(InputError, match=f"process {owner.pid} is running one there; wait for it"):
        demo(Home(tmp_path), synthetic_plan(7, 2, 1, 1.0))
    assert (tmp_path / "keep.txt").read_text() == "its"
    # The marker of a copied home, and that of a process whose id is another's by now, say nothing of this folder.
    for told in ({"home": "/srv/original"}, {"began": owner.create_time() - 60}):
        (tmp_path / MARKER).write_text(json.dumps({"pid": owner.pid} | told))
        assert demo_owner(tmp_path / MARKER) == 0


def test_the_shell_of_the_demo_had_no_settings_of_ours() -> None:
    assert not [name for name in environment() if name.startswith(("TRADING_", "DAGSTER_"))]
