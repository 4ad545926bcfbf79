"""dbt: the models build on a real lake, say what they should, and every column is documented in both directions."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from trading_assets.core.tables import TABLES
from trading_assets.core.trades.ledger import pnl_events
from trading_assets.defs.ops import OPS_ACCOUNT, OPS_TENANT
from trading_assets.store.lake import Lake

PROJECT = Path(__file__).resolve().parents[1] / "dbt_project"
DAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OWNER = {"tenant": "acme", "account": "demo", "date": DAY}
OTHER = {"tenant": "beta", "account": "demo"}
"""Another tenant, for whom the same model decides once, and loses."""

# One process for all commands: dbt takes seconds to start and reads the project once.
COMMANDS = """
import json, os, shutil, sys
import duckdb
from dbt.cli.main import dbtRunner
runner, done = dbtRunner(), []
for lake, marts, command, *spoilt in json.loads(sys.argv[1]):
    if spoilt:
        shutil.copy(spoilt[0], marts)
        with duckdb.connect(marts) as connection:
            connection.execute(spoilt[1])
    os.environ.update(TRADING_LAKE=lake, TRADING_MARTS=marts)
    result = runner.invoke([*command, *sys.argv[2:]])
    nodes = getattr(result.result, "results", None) or []
    done.append({"success": result.success, "error": str(result.exception or ""),
                 "nodes": {node.node.name: str(node.status) for node in nodes if hasattr(node, "node")},
                 "failures": {node.node.name: node.failures for node in nodes if hasattr(node, "node")}})
json.dump(done, open(os.environ["DONE"], "w"))
"""


def row(table: str, **values: Any) -> dict[str, Any]:
    """Return a row of the table: what is not given is null where it may be, and something plain where it may not."""
    plain = {
        pl.String: "x",
        pl.Boolean: False,
        pl.Int64: 1,
        pl.Float64: 0.5,
        pl.Decimal: Decimal(0),
        pl.Datetime: NOON,
        pl.List: [],
    }
    made: dict[str, Any] = {}
    for column in TABLES[table].columns:
        filler = column.allowed[0] if column.allowed else plain.get(type(column.dtype))
        made[column.name] = None if column.nullable else filler
    return made | OWNER | values


def fill(lake: Lake, table: str, *rows: Mapping[str, Any]) -> pl.DataFrame:
    frame = pl.DataFrame([row(table, **values) for values in rows], schema=TABLES[table].schema)
    lake.overwrite_dates(table, frame, [DAY])
    return frame


def fill_decisions(lake: Lake) -> None:
    """Two decisions, one that became a trade and one that waited."""
    fill(
        lake, "signals",
        {"signal_id": "S1", "suggestion": "LONG", "action": "OPEN", "idea_id": "S1L", "bid": 1.1, "ask": 1.1002,
         "model_version": "m1", "entry_price": 1.1002, "decided_at": NOON, "reasons": ["trend", "breakout"]},
        {"signal_id": "S2", "suggestion": "WAIT", "action": "NONE", "blocking_filters": ["spread", "session"]},
        OTHER | {"signal_id": "S3", "suggestion": "LONG", "action": "OPEN", "idea_id": "S3L", "model_version": "m1"},
    )  # fmt: skip
    fill(
        lake, "candidates",
        {"idea_id": "S1L", "signal_id": "S1", "kind": "LONG", "win_probability": 0.75, "is_chosen": True, "exit_profile": "wide"},
        {"idea_id": "S1S", "signal_id": "S1", "kind": "SHORT", "win_probability": 0.25},
        {"idea_id": "S2L", "signal_id": "S2", "kind": "LONG"},
        OTHER | {"idea_id": "S3L", "signal_id": "S3", "kind": "LONG", "win_probability": 0.6, "is_chosen": True},
    )  # fmt: skip
    fill(
        lake, "labels",
        {"idea_id": "S1L", "signal_id": "S1", "is_win": True, "result_r": 1.5, "barrier": "target", "mae_r": -0.5},
        {"idea_id": "S1S", "signal_id": "S1", "is_win": False, "result_r": -1.0, "barrier": "stop", "mae_r": -1.0},
    )  # fmt: skip
    fill(lake, "meta_models", {"model_version": "m1", "row_count": 100, "auc": 0.6})
    judged = {"tenant": OPS_TENANT, "account": OPS_ACCOUNT, "model_version": "m1"}
    fill(
        lake, "promotions",
        judged | {"verdict": "refused", "judged_at": NOON},
        judged | {"verdict": "promoted", "judged_at": NOON + timedelta(hours=1), "release_id": "r1"},
    )  # fmt: skip


LOSS = Decimal("-3.10")


def fill_trades(lake: Lake) -> None:
    """The trade of the first decision, closed with a profit, its deals and the money they moved."""
    closed = NOON + timedelta(minutes=30)
    trade = {
        "trade_id": "T1",
        "signal_id": "S1",
        "idea_id": "S1L",
        "side": "BUY",
        "opened_at": NOON + timedelta(seconds=2),
    }
    net = Decimal("14.30")
    fill(
        lake, "trades",
        trade | {"closed_at": closed, "exit_reason": "target", "net_pnl": net},
        OTHER | trade | {"trade_id": "T3", "signal_id": "S3", "idea_id": "S3L", "closed_at": closed, "exit_reason": "stop", "net_pnl": LOSS},
    )  # fmt: skip
    fill(
        lake,
        "outcomes",
        trade | {"closed_at": closed, "exit_reason": "target", "net_pnl": net, "result_r": 1.5, "mae_r": -0.5},
    )
    common = {
        "trade_id": "T1",
        "signal_id": "S1",
        "position_id": "7",
        "symbol": "EURUSD",
        "commission": Decimal("-0.35"),
    }
    deals = fill(
        lake, "raw_deals",
        {"deal_ticket": "0", "kind": "BALANCE", "entry": "IN", "profit": Decimal(10_000), "position_id": "0"},
        common | {"deal_ticket": "1", "kind": "BUY", "entry": "IN", "event_at": NOON, "known_at": NOON},
        common | {"deal_ticket": "2", "kind": "SELL", "entry": "OUT", "profit": Decimal(15), "event_at": closed, "known_at": closed},
        common | {"deal_ticket": "2", "kind": "SELL", "entry": "OUT", "profit": Decimal(15), "event_at": closed, "known_at": closed + timedelta(1), "journal_index": 9},
    )  # fmt: skip
    known_late = pnl_events(deals.filter(pl.col("journal_index") != 9))
    lake.overwrite_dates("pnl_events", known_late.select(TABLES["pnl_events"].names), [DAY])
    fill_ledger(lake, net)


def fill_ledger(lake: Lake, net: Decimal) -> None:
    """The day of the account, of its strategy and of its tenant, and what they performed."""
    balance = Decimal(10_000) + net
    money = {"net_pnl": net, "closing_balance": balance, "closing_equity": balance, "converted_equity": balance}
    fill(
        lake, "equity_daily",
        money | {"deposits": Decimal(10_000), "net_deposits": Decimal(10_000), "trades_closed": 1, "rate": 1.0},
    )  # fmt: skip
    fill(lake, "strategy_daily", {"strategy_version": "s1", "model_version": "m1", "balance": net, "equity": net})
    fill(lake, "tenant_daily", {"account": "*", "equity": balance})
    scopes = (("account", ""), ("symbol", "EURUSD"), ("strategy", "s1"), ("model", "m1"))
    fill(
        lake, "performance_daily",
        *({"scope": scope, "scope_name": name, "net_pnl": net, "trades_closed": 1, "pips": 15.0, "models": ["m1"],
           "sharpe_ratio": 2.0, "wins": 1} for scope, name in scopes),
        # As `core.trades.performance` has it: losses and no win are a factor of 0.
        *(OTHER | {"scope": scope, "scope_name": name, "net_pnl": LOSS, "trades_closed": 1, "wins": 0, "profit_factor": 0.0}
          for scope, name in scopes),
    )  # fmt: skip


TORN = {"equity_daily": "closing_balance", "strategy_daily": "equity", "tenant_daily": "equity"}
"""Where the torn lake is a cent off; its performance loses a symbol instead."""
SPOILT = {
    "released_models_have_a_verdict": "UPDATE model_performance SET verdict = NULL WHERE tenant = 'beta'",
    "profit_factors_agree": "UPDATE daily_performance SET profit_factor = NULL WHERE tenant = 'beta'",
}
"""Tests of marts, and what makes each of them fail."""
CONSERVED = {
    "deals_equal_pnl_events",
    "balance_equals_deals",
    "days_follow_each_other",
    "equity_is_conserved",
    "strategies_equal_account",
    "tenants_equal_accounts",
    "scopes_equal_account",
}


def tear_days(lake: Lake) -> None:
    """The day after opens with what was closed with before the cent went, and another account lacks a day."""
    closed = {"opening_balance": Decimal("10014.30"), "closing_balance": Decimal("10014.30")}
    same = {"opening_balance": Decimal(5), "closing_balance": Decimal(5), "account": "other"}
    for days_after, rows in ((1, [closed]), (2, [same]), (3, [same]), (5, [same])):
        day = DAY + timedelta(days=days_after)
        made = [row("equity_daily", **values) | {"date": day} for values in rows]
        lake.overwrite_dates("equity_daily", pl.DataFrame(made, schema=TABLES["equity_daily"].schema), [day])


@dataclass(frozen=True)
class Built:
    """What the commands left: results, marts of the filled lake, manifest and catalog."""

    results: list[dict[str, Any]]
    marts: Path
    empty_marts: Path
    target: Path
    manifest: dict[str, Any]
    catalog: dict[str, Any]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("dbt")
    lakes = {name: Lake(root / name) for name in ("empty", "filled", "torn")}
    for name, lake in lakes.items():
        lake.ensure_tables()
        if name != "empty":
            fill_decisions(lake)
            fill_trades(lake)
    torn = lakes["torn"].read("pnl_events")
    lakes["torn"].overwrite_dates("pnl_events", torn.filter(pl.col("amount") != Decimal("-0.35")), [DAY])
    for table, column in TORN.items():
        whole = lakes["torn"].read(table)
        lakes["torn"].overwrite_dates(table, whole.with_columns(pl.col(column) + Decimal("0.01")), [DAY])
    tear_days(lakes["torn"])
    performed = lakes["torn"].read("performance_daily")
    lakes["torn"].overwrite_dates("performance_daily", performed.filter(pl.col("scope") != "account"), [DAY])
    files = {name: root / f"marts.of.{name}.duckdb" for name in (*lakes, "spoilt")}
    spoiling = ";".join(SPOILT.values())
    commands = [
        (lakes["empty"].root, str(files["empty"]), ["build"]),
        (lakes["filled"].root, str(files["filled"]), ["build"]),
        (lakes["filled"].root, str(files["filled"]), ["docs", "generate"]),
        (lakes["torn"].root, str(files["torn"]), ["test", "--select", *sorted(CONSERVED)]),
        (lakes["filled"].root, str(files["spoilt"]), ["test", "--select", *SPOILT], str(files["filled"]), spoiling),
    ]
    # A home begins with what `trading prepare` parsed, as dagster-dbt hands it over.
    (root / "target").mkdir()
    shutil.copy(PROJECT / "target" / "partial_parse.msgpack", root / "target")
    where = [
        "--project-dir",
        PROJECT,
        "--profiles-dir",
        PROJECT,
        "--target-path",
        root / "target",
        "--log-path",
        root / "logs",
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(commands), *map(str, where), "--quiet"],
        env=os.environ | {"DONE": str(root / "done.json")}, cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    manifest, catalog = (
        json.loads((root / "target" / name).read_bytes()) for name in ("manifest.json", "catalog.json")
    )
    results = json.loads((root / "done.json").read_bytes())
    return Built(results, files["filled"], files["empty"], root / "target", manifest, catalog)


@pytest.fixture(scope="module")
def marts(built: Built) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(built.marts), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def one(marts: duckdb.DuckDBPyConnection, question: str) -> dict[str, Any]:
    (found,) = marts.sql(question).pl().to_dicts()
    return found


def test_everything_builds_and_passes_on_a_lake_with_rows_and_on_an_empty_one(built: Built) -> None:
    for result in built.results[:2]:
        assert result["success"], result
        assert set(result["nodes"].values()) == {"success", "pass"}
        assert len(result["nodes"]) > 60


def test_docs_are_generated_offline(built: Built) -> None:
    assert built.results[2]["success"], built.results[2]
    assert (built.target / "index.html").stat().st_size > 100_000


def test_the_marts_file_holds_the_marts_and_nothing_of_the_session(built: Built) -> None:
    for file in (built.marts, built.empty_marts):
        with duckdb.connect(str(file), read_only=True) as connection:
            held = connection.sql("SELECT table_schema || '.' || table_name FROM information_schema.tables").fetchall()
            assert {name for (name,) in held} == {
                f"main.{file.stem}" for file in (PROJECT / "models" / "marts").glob("*.sql")
            }
        assert not file.with_name(file.name + ".wal").exists()


def test_a_trade_stands_beside_its_signal_and_its_outcome(marts: duckdb.DuckDBPyConnection) -> None:
    trade = one(marts, "SELECT * FROM fct_trades WHERE tenant = 'acme'")
    assert (trade["trade_id"], trade["signal_id"], trade["model_version"]) == ("T1", "S1", "m1")
    assert trade["entry_delay_s"] == 2.0
    assert (trade["exit_profile"], trade["exit_reason"]) == ("wide", "target")
    assert (trade["net_pnl"], trade["is_win"], trade["result_r"]) == (Decimal("14.30"), True, 1.5)
    assert (trade["labelled_barrier"], trade["labelled_result_r"]) == ("target", 1.5)


def test_every_signal_is_there_traded_or_not(marts: duckdb.DuckDBPyConnection) -> None:
    traded = one(marts, "SELECT * FROM fct_signals WHERE signal_id = 'S1'")
    assert (traded["trade_id"], traded["is_traded"], traded["candidate_count"]) == ("T1", True, 2)
    assert (traded["best_labelled_kind"], traded["best_labelled_result_r"]) == ("LONG", 1.5)
    assert traded["spread"] == pytest.approx(0.0002)
    assert traded["reasons"] == "trend; breakout"
    waited = one(marts, "SELECT * FROM fct_signals WHERE signal_id = 'S2'")
    assert (waited["trade_id"], waited["is_traded"], waited["model_version"]) == (None, False, "rules-only")
    assert waited["blocking_filters"] == "spread, session"


def test_a_day_counts_its_decisions_and_its_closed_trades(marts: duckdb.DuckDBPyConnection) -> None:
    day = one(marts, "SELECT * FROM daily_performance WHERE tenant = 'acme'")
    assert (day["day"], day["decisions"], day["long_signals"], day["wait_signals"]) == (DAY, 2, 1, 1)
    assert (day["trades_opened"], day["trades_closed"], day["win_share"], day["profit_factor"]) == (1, 1, 1.0, None)
    assert (day["net_pnl"], day["total_r"]) == (Decimal("14.30"), 1.5)
    assert (day["pips"], day["sharpe_ratio"], day["models"]) == (15.0, 2.0, "m1")


def test_the_marts_of_the_ledger_hold_accounts_strategies_tenants_and_scopes(marts: duckdb.DuckDBPyConnection) -> None:
    assert one(marts, "SELECT * FROM account_equity")["closing_balance"] == Decimal("10014.30")
    assert one(marts, "SELECT * FROM strategy_equity")["balance"] == Decimal("14.30")
    assert one(marts, "SELECT * FROM tenant_equity")["equity"] == Decimal("10014.30")
    scopes = marts.sql("SELECT DISTINCT scope, scope_name FROM performance_by_scope ORDER BY ALL").fetchall()
    assert scopes == [("account", ""), ("model", "m1"), ("strategy", "s1"), ("symbol", "EURUSD")]
    ended = one(marts, "SELECT * FROM fct_outcomes")
    assert (ended["exit_reason"], ended["model_version"], ended["labelled_barrier"]) == ("target", "m1", "target")


def test_a_day_of_losses_has_a_profit_factor_of_0_in_every_mart(marts: duckdb.DuckDBPyConnection) -> None:
    question = "SELECT DISTINCT profit_factor FROM {} WHERE tenant = 'beta'"
    for mart in ("daily_performance", "performance_by_scope", "model_performance"):
        assert one(marts, question.format(mart)) == {"profit_factor": 0.0}, mart


def test_a_model_has_its_training_and_its_verdict_whoever_it_decides_for(marts: duckdb.DuckDBPyConnection) -> None:
    model = one(marts, "SELECT * FROM model_performance WHERE tenant = 'beta'")
    assert (model["verdict"], model["release_id"], model["blend"]) == ("promoted", "r1", 0.5)
    assert model["training_rows"] == 100
    assert (model["decisions"], model["scored_candidates"], model["trades"], model["net_pnl"]) == (1, 1, 1, LOSS)


def test_a_model_is_held_against_what_came(marts: duckdb.DuckDBPyConnection) -> None:
    model = one(marts, "SELECT * FROM model_performance WHERE model_version = 'm1' AND tenant = 'acme'")
    assert (model["verdict"], model["release_id"]) == ("promoted", "r1")
    assert (model["scored_candidates"], model["judged_candidates"]) == (2, 2)
    assert model["brier_score"] == pytest.approx(0.25**2)
    assert model["brier_reference"] == pytest.approx(0.25)
    assert (model["trades"], model["net_pnl"]) == (1, Decimal("14.30"))
    rules = one(marts, "SELECT * FROM model_performance WHERE model_version = 'rules-only'")
    assert (rules["decisions"], rules["scored_candidates"], rules["brier_score"]) == (1, 0, None)


def test_a_cent_that_went_missing_anywhere_fails_the_conservation_test_of_the_place(built: Built) -> None:
    torn = built.results[3]
    assert not torn["success"]
    assert torn["nodes"] == dict.fromkeys(CONSERVED, "fail")
    # Once for the cent between two days and once for the day that is missing.
    assert torn["failures"]["days_follow_each_other"] == 2


def test_a_lost_verdict_and_a_lost_profit_factor_fail_the_test_of_their_mart(built: Built) -> None:
    assert built.results[4]["nodes"] == dict.fromkeys(SPOILT, "fail")


def test_staging_is_never_a_view() -> None:
    settings = (PROJECT / "dbt_project.yml").read_text()
    assert "+materialized: ephemeral" in settings
    assert not [file for file in (PROJECT / "models").rglob("*.sql") if "view" in file.read_text()]


# --- documentation, both ways -----------------------------------------------------------------------------------


def test_the_sources_are_the_tables_of_the_lake_column_by_column(built: Built) -> None:
    sources = {source["name"]: source for source in built.manifest["sources"].values()}
    resting = {entry["metadata"]["name"]: entry["columns"] for entry in built.catalog["sources"].values()}
    assert set(sources) == set(resting) == set(TABLES)
    for name, source in sources.items():
        documented = {column: about for column, about in source["columns"].items() if "." not in column}
        assert list(documented) == list(TABLES[name].names)
        types = {column: about["data_type"] for column, about in documented.items()}
        found = {column: about["type"].replace('"', "").lower() for column, about in resting[name].items()}
        assert {column: type_.replace('"', "") for column, type_ in types.items()} == found, name


def test_every_column_of_a_source_says_what_it_is(built: Built) -> None:
    for source in built.manifest["sources"].values():
        assert source["config"]["meta"]["grain"].startswith("One row per ")
        for name, about in source["columns"].items():
            assert about["description"], f"{source['name']}.{name}"
            assert {"unit", "source", "nullable"} <= about["config"]["meta"].keys()
            assert about["config"]["meta"]["source"], f"{source['name']}.{name}"


def test_the_columns_of_the_marts_are_the_documented_ones(built: Built) -> None:
    models = {
        model["name"]: model
        for model in built.manifest["nodes"].values()
        if model["resource_type"] == "model" and model["config"]["materialized"] == "table"
    }
    resting = {entry["metadata"]["name"]: entry["columns"] for entry in built.catalog["nodes"].values()}
    assert set(models) == set(resting)
    for name, model in models.items():
        assert list(model["columns"]) == list(resting[name]), name
        for column, about in model["columns"].items():
            assert about["description"].endswith("."), f"{name}.{column}"
            assert undocumented(about) == [], f"{name}.{column}"
            if column.endswith("_r"):
                assert about["config"]["meta"]["unit"] == "R", f"{name}.{column}"


SMALL_WORDS = """a all an and as at be by each every for from how in is it its not of on one or so that the this to was what
when where which who why with"""


def words_of(text: str) -> set[str]:
    return {word.removesuffix("s") for word in re.findall(r"[a-z0-9]+", text.lower())}


def says_nothing(name: str, description: str) -> bool:
    """Whether a description only repeats the column's name, small words apart."""
    said = re.split(r" Unit: | One of | Source: ", description)[0]
    return not words_of(said) - words_of(SMALL_WORDS) - words_of(name.rsplit(".", 1)[-1].replace("_", " "))


def every_column(built: Built) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Go through all columns of sources, staging and marts: table, column, documentation."""
    models = (node for node in built.manifest["nodes"].values() if node["resource_type"] == "model")
    for node in (*built.manifest["sources"].values(), *models):
        for name, about in node["columns"].items():
            yield node["name"], name, about


def test_no_description_only_repeats_the_name_of_its_column(built: Built) -> None:
    empty = [
        f"{table}.{name}" for table, name, about in every_column(built) if says_nothing(name, about["description"])
    ]
    assert empty == []


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("side", "Side."),
        ("margin_free", "The free margin. Unit: USD. Source: terminal."),
        ("cause", "Why."),
        ("a.swaps", "Its swap."),
    ],
)
def test_a_description_that_only_repeats_the_name_is_noticed(name: str, description: str) -> None:
    assert says_nothing(name, description)
    assert not says_nothing(name, "BUY for a long trade, SELL for a short one.")


def test_what_a_column_of_a_model_is_from_exists(built: Built) -> None:
    tables = {source["name"]: set(source["columns"]) for source in built.manifest["sources"].values()}
    models = [node for node in built.manifest["nodes"].values() if node["resource_type"] == "model"]
    unknown = [
        f"{model['name']}.{column} from {one}"
        for model in models
        for column, about in model["columns"].items()
        for one in about["config"]["meta"]["source"].split(", ")
        if one.partition(".")[0] not in tables
        or (one.partition(".")[2] or "tenant") not in tables[one.partition(".")[0]]
    ]
    assert unknown == []


def undocumented(about: Mapping[str, Any]) -> list[str]:
    """Return what a column's documentation lacks; a unit may be empty, but only for what is no quantity."""
    meta = about["config"]["meta"]
    lacking = [name for name in ("unit", "source") if name not in meta]
    lacking += ["source"] if meta.get("source") == "" else []
    lacking += [] if about["description"] else ["description"]
    is_quantity = str(about.get("data_type") or "").split("(")[0] in {"double", "bigint", "decimal", "date"}
    return lacking + (["unit"] if is_quantity and not meta.get("unit") else [])


def test_a_column_without_description_unit_or_source_is_noticed() -> None:
    whole = {
        "description": "Balance.",
        "data_type": "decimal(38,8)",
        "config": {"meta": {"unit": "USD", "source": "x"}},
    }
    assert undocumented(whole) == []
    assert undocumented(whole | {"description": ""}) == ["description"]
    assert undocumented(whole | {"config": {"meta": {"unit": "", "source": "x"}}}) == ["unit"]
    assert undocumented(whole | {"config": {"meta": {"unit": "USD", "source": ""}}}) == ["source"]
    assert undocumented(whole | {"data_type": "varchar", "config": {"meta": {}}}) == ["unit", "source"]


def test_every_column_of_staging_is_documented_and_no_other(built: Built) -> None:
    for file in (PROJECT / "models" / "staging").glob("*.sql"):
        model = built.manifest["nodes"][f"model.trading_assets.{file.stem}"]
        selected = re.search(r"renamed as \(\n    select\n(.*?)\n    from source", file.read_text(), re.DOTALL)
        assert selected, file.stem
        columns = [line.strip().rstrip(",").split()[-1] for line in selected[1].splitlines()]
        assert list(model["columns"]) == columns, file.stem
        for column, about in model["columns"].items():
            assert undocumented(about) == [], f"{file.stem}.{column}"


def test_every_quantity_of_the_lake_has_a_unit(built: Built) -> None:
    lacking = {
        f"{source['name']}.{name}"
        for source in built.manifest["sources"].values()
        for name, about in source["columns"].items()
        if undocumented(about)
    }
    assert lacking == set()


def test_every_model_says_its_grain(built: Built) -> None:
    models = [node for node in built.manifest["nodes"].values() if node["resource_type"] == "model"]
    assert len(models) == len(list((PROJECT / "models").rglob("*.sql")))
    for model in models:
        assert "One row per " in model["description"], model["name"]


def test_one_manifest_serves_every_home(built: Built) -> None:
    assert str(built.marts.parent) not in json.dumps(built.manifest["sources"])


def test_the_project_is_parsed_once_for_all_homes(built: Built) -> None:
    # By `trading prepare`; here once more at the most, where that was before the profile changed.
    log = (built.target.parent / "logs" / "dbt.log").read_text()
    assert log.count("Running with dbt=") == len(built.results)
    assert log.count("Unable to do partial parsing") <= 1


def test_no_model_takes_the_name_of_a_table() -> None:
    models = {file.stem for file in (PROJECT / "models").rglob("*.sql")}
    assert not models & set(TABLES)
