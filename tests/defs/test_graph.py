"""The asset graph as people see it in Dagster: every asset has its place, its owner and its words, and nothing else is there."""

from __future__ import annotations

from types import CodeType

import dagster as dg
import pytest
from dagster_dbt import DbtCliResource

from trading_assets.core import completeness, integrity
from trading_assets.core.errors import StateError
from trading_assets.core.records.codec import RECORD_TYPES
from trading_assets.core.tables import TABLES, raw_name
from trading_assets.defs.checks import CHECK_LIST
from trading_assets.defs.ledger import CURVES
from trading_assets.defs.marts import MARTS, PROJECT, Dbt, what_is_tested
from trading_assets.defs.tasks import TASKS

RAW = {raw_name(kind): set[str]() for kind in RECORD_TYPES}
DECIDED = {"raw_decisions", "chart_windows", "feature_windows"}

CHECKED = {
    "bars", "candidates", "chart_windows", "equity_daily", "feature_windows", "labels", "learning_dataset", "orders", "outcomes", "pnl_events",
    "raw_decisions", "raw_outcomes", "raw_quotes", "signals", "strategy_daily", "system_health", "tenant_daily", "trades",
}  # fmt: skip

# The sentence: raw → market → chart windows → features → feature windows → signals → trades → ledger → labels → dataset →
# meta-model → promotion → release; what is checked and read comes beside it.
SNAPSHOT: dict[str, dict[str, set[str]]] = {
    "raw": RAW,
    "market": {"bars": {"raw_quotes", "raw_bars", "raw_symbol_specs"}, "regimes": {"features"}},
    "features": {
        "chart_windows": {"bars", "raw_decisions"},
        "features": {"bars", "chart_windows"},
        "feature_definitions": {"features"},
        "feature_windows": {"features", "chart_windows", "raw_decisions"},
    },
    "signals": {"signals": DECIDED, "candidates": DECIDED, "predictions": DECIDED},
    "trades": {
        "orders": {"raw_orders", "signals"},
        "trades": {"raw_deals", "orders", "candidates", "outcomes"},
        "marks": {"raw_marks"},
        "outcomes": {"raw_outcomes"},
        "holdings": {"trades", "marks", "raw_deals"},
    },
    "ledger": {
        "pnl_events": {"raw_deals"},
        **{name: {"raw_deals", "marks", "signals", "raw_accounts", "bars"} for name in CURVES},
        "performance_daily": {"raw_deals", "signals", "outcomes"},
    },
    "labels": {
        "label_definitions": {"raw_symbol_specs", "raw_sessions"},
        "labels": {"candidates", "bars", "raw_quotes", "label_definitions"},
        "forward_returns": {"signals", "bars", "label_definitions"},
    },
    "dataset": {
        "learning_dataset": {
            "labels", "forward_returns", "signals", "candidates", "outcomes", "feature_windows", "feature_definitions"
        },
        "dataset_versions": {"learning_dataset"},
    },
    "learning": {
        "meta_models": {"learning_dataset", "dataset_versions"}, "promotions": {"meta_models"}, "release": {"promotions"},
        "retraining_runs": {"release"},
    },
    "rollout": {"live_judgement": {"learning_dataset", "release"}},
    "operations": {"system_health": {"raw_component_states", "raw_daemon_heartbeats"}, "schema_changes": set()},
    "integrity": {
        "findings": CHECKED,
        "repairs": CHECKED,
        "transforms": {"raw_transforms"},
    },
    "marts": {
        "fct_signals": {"signals", "candidates", "labels", "fct_trades"},
        "fct_trades": {"trades", "signals", "candidates", "outcomes", "labels"},
        "fct_outcomes": {"outcomes", "fct_trades"},
        "account_equity": {"equity_daily"},
        "strategy_equity": {"strategy_daily"},
        "tenant_equity": {"tenant_daily"},
        "daily_performance": {"equity_daily", "performance_daily", "fct_trades", "signals"},
        "performance_by_scope": {"performance_daily"},
        "model_performance": {"meta_models", "promotions", "signals", "candidates", "labels", "fct_trades"},
    },
    "docs": {"data_docs": set(MARTS)},
}  # fmt: skip

ONE_WRITER_EACH = {
    "schema_changes",
    "label_definitions",
    "dataset_versions",
    "learning_dataset",
    "meta_models",
    "promotions",
    "retraining_runs",
    "findings",
    "repairs",
    "transforms",
    "feature_definitions",
}
"""Tables written as a whole: everything else has daily partitions."""


@pytest.fixture(scope="module")
def assets(graph: dg.Definitions) -> dict[str, object]:
    """Every asset by name."""
    nodes = graph.resolve_asset_graph()
    return {key.to_user_string(): nodes.get(key) for key in nodes.get_all_asset_keys()}


def upstream(assets: dict[str, object], name: str) -> set[str]:
    """Every asset that one depends on, near or far."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        parents = {key.to_user_string() for key in assets[waiting.pop()].parent_keys}  # type: ignore[attr-defined]
        waiting += parents - found
        found |= parents
    return found


def test_the_graph_is_what_it_is_meant_to_be(assets: dict[str, object]) -> None:
    seen: dict[str, dict[str, set[str]]] = {}
    for name, node in assets.items():
        parents = {key.to_user_string() for key in node.parent_keys}  # type: ignore[attr-defined]
        seen.setdefault(node.group_name, {})[name] = parents  # type: ignore[attr-defined]
    assert seen == SNAPSHOT


def test_every_asset_has_an_owner_words_and_kinds_and_somebody_makes_it(assets: dict[str, object]) -> None:
    for name, node in assets.items():
        assert node.owners, name  # type: ignore[attr-defined]
        assert len(node.description or "") > 20, name  # type: ignore[attr-defined]
        assert node.kinds, name  # type: ignore[attr-defined]
        assert node.is_executable, name  # type: ignore[attr-defined]


def test_every_check_says_what_it_holds_and_no_money_is_counted_unseen(graph: dg.Definitions) -> None:
    nodes = graph.resolve_asset_graph()
    told = {key.name: nodes.get_check_spec(key).description or "" for key in nodes.asset_check_keys}
    assert [name for name, words in told.items() if len(words) < 20 or not words.strip().endswith(".")] == []
    assert told.keys() >= {file.stem for file in (PROJECT / "tests").glob("*.sql")}
    assert told["unique_fct_trades_trade_id"] == "No two rows have the same trade_id."


def test_a_test_of_a_kind_that_has_no_sentence_is_refused() -> None:
    test = {"name": "t", "column_name": "c", "test_metadata": {"name": "at_most", "kwargs": {}}}
    with pytest.raises(StateError, match="no sentence says what at_most holds"):
        what_is_tested(test)


def test_every_table_is_an_asset_that_shows_its_columns(assets: dict[str, object]) -> None:
    assert TABLES.keys() <= assets.keys()
    for name, table in TABLES.items():
        schema = assets[name].metadata["dagster/column_schema"]  # type: ignore[attr-defined]
        assert [column.name for column in schema.columns] == list(table.names)
        assert all(column.description for column in schema.columns)


def test_the_release_is_reached_from_the_raw_journal_through_the_chart_window(assets: dict[str, object]) -> None:
    way = upstream(assets, "release")
    assert way >= {
        "raw_quotes", "raw_decisions", "bars", "chart_windows", "features", "feature_windows", "signals", "candidates",
        "outcomes", "labels", "learning_dataset", "meta_models", "promotions",
    }  # fmt: skip
    assert "bars" in upstream(assets, "chart_windows")
    assert "chart_windows" in upstream(assets, "features")


def test_no_asset_depends_on_itself(assets: dict[str, object]) -> None:
    assert [name for name in assets if name in upstream(assets, name)] == []


def test_every_table_of_days_has_the_same_partitions_and_is_backfilled_in_one_run(
    graph: dg.Definitions, assets: dict[str, object]
) -> None:
    of_days = {name for name in TABLES if assets[name].partitions_def is not None}  # type: ignore[attr-defined]
    assert of_days == TABLES.keys() - ONE_WRITER_EACH
    assert len({assets[name].partitions_def for name in of_days}) == 1  # type: ignore[attr-defined]
    for name in of_days:
        assert assets[name].backfill_policy == dg.BackfillPolicy.single_run(), name  # type: ignore[attr-defined]
        assert not assets[name].partition_mappings, name  # type: ignore[attr-defined]
    assert graph.resolve_asset_graph().get(dg.AssetKey("bars")).partitions_def.get_first_partition_key() == "2026-01-01"


def test_tables_written_together_have_the_same_upstream(graph: dg.Definitions, assets: dict[str, object]) -> None:
    # A backfill refuses them otherwise.
    for definition in graph.resolve_all_asset_specs():
        together = {key.to_user_string() for key in graph.resolve_asset_graph().get(definition.key).execution_set_asset_keys}  # fmt: skip
        parents = {frozenset(assets[name].parent_keys) for name in together if name in TABLES}  # type: ignore[attr-defined]
        assert len(parents) <= 1, together


def names_in(code: CodeType) -> set[str]:
    """Every global name of a function's code, also of the comprehensions within it."""
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*map(names_in, inner))


def test_every_integrity_check_belongs_to_an_asset_and_every_rule_is_checked(
    graph: dg.Definitions, assets: dict[str, object]
) -> None:
    checked = {(key.asset_key.to_user_string(), key.name) for key in graph.resolve_asset_graph().asset_check_keys}
    assert {(one.asset, one.name) for one in CHECK_LIST} <= checked
    reads = {name for one in CHECK_LIST for name in (one.asset, *one.also_reads)}
    assert reads <= assets.keys()
    rules = {
        name for name, rule in (*vars(integrity).items(), *vars(completeness).items())
        if callable(rule) and getattr(rule, "__annotations__", {}).get("return") == "list[Difference]" and not name.startswith("_")
    }  # fmt: skip
    used = {name for one in CHECK_LIST for name in names_in(one.run.__code__)}
    assert rules <= used


def test_every_dbt_model_is_tested(graph: dg.Definitions) -> None:
    checked = {key.asset_key.to_user_string() for key in graph.resolve_asset_graph().asset_check_keys}
    assert checked >= SNAPSHOT["marts"].keys()


def test_what_is_left_out_before_a_command_of_dbt_is_still_what_dagster_dbt_calls() -> None:
    for name in ("_cli_version", "_initialize_dbt_core_adapter"):
        assert name in vars(Dbt)
        assert name in vars(DbtCliResource)


def test_every_group_belongs_to_one_job() -> None:
    groups = [group for task in TASKS for group in task.groups]
    assert sorted(groups) == sorted(SNAPSHOT)
