"""`trading trace`: every id of a chain leads to the same chain, all its links are there, and little is read for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from played import Played, copied
from said import Say

from trading_assets.cli.trace import trace
from trading_assets.cli.trace_start import found_signal
from trading_assets.core.errors import InputError
from trading_assets.core.ids import is_magic, ulid, ulid_time
from trading_assets.core.records.decisions import Decision
from trading_assets.core.tables import TABLES
from trading_assets.defs.signals import FRAMES, decisions_of
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake
from trading_assets.store.lake_rows import LakeRows
from trading_assets.store.raw_frames import records_frame
from trading_assets.store.seals import SealingLake

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def lake(played: Played) -> Lake:
    return Lake(played.home.lake)


@pytest.fixture(scope="module")
def trade(lake: Lake) -> dict[str, Any]:
    """A closed trade of the first day of trading, with the numbers of its order and deals."""
    row = lake.read("trades").filter(~pl.col("is_open")).sort("opened_at").row(0, named=True)
    order = lake.read("orders").filter(pl.col("signal_id") == row["signal_id"]).row(0, named=True)
    deals = lake.read("raw_deals").filter(pl.col("signal_id") == row["signal_id"])["deal_ticket"].to_list()
    return row | {"magic": order["magic"], "order_ticket": order["order_ticket"], "deal": deals[-1]}


@pytest.mark.parametrize(
    "name", ["signal_id", "idea_id", "trade_id", "magic", "order_ticket", "position_id", "deal"]
)  # fmt: skip
def test_every_id_of_a_chain_leads_to_it(lake: Lake, trade: dict[str, Any], name: str) -> None:
    chain = trace(lake.root, trade[name])
    assert chain["asked"] == trade[name]
    assert chain["signal"]["signal_id"] == trade["signal_id"]
    assert {**chain, "asked": ""} == {**trace(lake.root, trade["signal_id"]), "asked": ""}


def test_no_link_of_the_chain_is_missing(lake: Lake, trade: dict[str, Any]) -> None:
    chain = trace(lake.root, trade["trade_id"])
    assert [name for name, link in chain.items() if not link] == []
    assert all(one["is_equal"] for one in chain["chart_windows"])
    of_set = pl.col("feature_set_version") == chain["signal"]["feature_set_version"]
    names = lake.read("feature_definitions").filter(of_set & (pl.col("registry") == "features"))["name"]
    assert list(chain["features"]) == names.to_list()
    assert {one["predictor"] for one in chain["predictions"]} >= {"trend", "breakout", "mean_reversion", "consensus"}
    assert {one["verdict"] for one in chain["filters"]} >= {"pass"}
    assert chain["order_states"][0]["state"] == "PLANNED"
    assert chain["outcome"]["trade_id"] == chain["trade"]["trade_id"] == trade["trade_id"]
    assert len(chain["labels"]) == len(chain["learning"]["dataset_rows"]) == len(chain["candidates"])
    (model,) = chain["learning"]["models"]
    (held,) = chain["learning"]["dataset_versions"]
    assert held["first"] <= model["dataset_version"]
    assert held["last"] is None
    assert {one["model_version"] for one in chain["learning"]["promotions"]} == {model["model_version"]}
    versions = chain["provenance"]["versions"]
    assert (versions["feature_set"], versions["code"]) == (
        chain["signal"]["feature_set_version"], chain["signal"]["code_version"],
    )  # fmt: skip


def test_what_is_derived_names_the_run_that_wrote_it_and_what_it_was_made_from(
    lake: Lake, trade: dict[str, Any]
) -> None:
    written = trace(lake.root, trade["trade_id"])["provenance"]["written"]
    runs = {row["run_id"]: row for row in lake.read("raw_transforms").iter_rows(named=True)}
    assert written["signals"]["run_id"] in runs
    assert any(source.startswith("raw_decisions@") for source in written["signals"]["sources"])
    assert any(source.startswith("bars@") for source in written["features"]["sources"])
    assert written["features"]["feature_sets"]


def test_a_model_leads_to_its_dataset_and_its_judgements(lake: Lake, say: Say, played: Played) -> None:
    model = lake.read("meta_models").row(0, named=True)
    found = trace(lake.root, model["model_version"])["model"]
    assert found["training"]["dataset_sha256"] == found["dataset_version"]["sha256"]
    assert found["promotions"][0]["verdict"]
    said = say("trace", model["model_version"], "--home", played.home.root)
    assert said.code == 0
    assert "Promotion" in said.out


def test_a_deal_that_is_not_ours_is_told_apart_from_nothing(lake: Lake, say: Say, played: Played) -> None:
    deposit = lake.read("raw_deals").filter(pl.col("kind") == "BALANCE").row(0, named=True)
    said = say("trace", deposit["deal_ticket"], "--home", played.home.root)
    assert said.code == 1
    assert "not ours: no decision of this account led to it" in said.sentence
    said = say("trace", "98765432109876", "--home", played.home.root)
    assert said.code == 1
    assert "nothing of that id is in the lake" in said.sentence


def test_only_the_days_around_an_id_are_read(played: Played, lake: Lake, trade: dict[str, Any], tmp_path: Path) -> None:
    expected = trace(lake.root, trade["trade_id"])
    day = ulid_time(trade["trade_id"]).date()
    assert trade["closed_at"].date() == day
    near = {f"date={day + timedelta(days=days)}" for days in (0, 1)}
    always = {"meta_models", "promotions", "dataset_versions", "feature_definitions", "raw_transforms"}
    with copied(played.home, tmp_path / "copy") as home:
        removed = 0
        for file in home.lake.rglob("*.parquet"):
            if file.parent.name not in near and file.parent.parent.name not in always:
                file.unlink()
                removed += 1
        assert removed > 20
        assert trace(home.lake, trade["trade_id"]) == expected
        # Tickets tell no day, but the log tells which files can hold them.
        for name in ("order_ticket", "position_id", "deal"):
            assert trace(home.lake, trade[name]) == expected | {"asked": trade[name]}


def test_no_table_of_a_lake_has_to_be_left_to_deltas_own_reader(
    lake: Lake, trade: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = lake.read("meta_models")["model_version"][0]

    def unwanted(location: str, version: int | None = None) -> None:
        raise AssertionError(f"{location} was opened by Delta, version {version}: several times slower")

    monkeypatch.setattr("trading_assets.store.delta_log.read_delta", unwanted)
    assert trace(lake.root, trade["trade_id"])["trade"]
    assert trace(lake.root, trade["position_id"])["trade"]
    assert trace(lake.root, model)["model"]


def test_an_order_is_found_by_a_magic_number_that_is_not_of_our_making(tmp_path: Path) -> None:
    signal = ulid(datetime(2026, 3, 2, 10, tzinfo=UTC), "S")
    at = ulid_time(signal)
    order = {"date": at.date(), "signal_id": signal, "magic": "777", "order_ticket": "1", "position_id": "2"}
    for table, row in (("orders", order), ("signals", {"date": at.date(), "signal_id": signal})):
        pl.DataFrame([row]).write_delta(str(tmp_path / table), delta_write_options={"partition_by": ["date"]})
    assert not is_magic("777")
    rows = LakeRows(tmp_path)
    assert found_signal(rows, "777") == found_signal(rows, "1") == {"date": at.date(), "signal_id": signal}


# --- a decision stays what it was ---------------------------------------------------------------------------------


def test_a_decision_journalled_again_with_another_content_changes_nothing(
    tmp_path: Path, record_of: Callable[..., Any]
) -> None:
    lake = Lake(tmp_path)
    lake.create(TABLES["raw_decisions"])
    first = record_of(Decision, 1, signal_id="S", suggestion="LONG")
    again = record_of(Decision, 2, signal_id="S", suggestion="SHORT", known_at=first.known_at + timedelta(seconds=1),
                      tenant=first.tenant, account=first.account)  # fmt: skip
    day = first.known_at.date()
    lake.overwrite_dates("raw_decisions", records_frame("raw_decisions", [first, again]), [day])
    decided = FRAMES["signals"](decisions_of(lake, [day]))
    assert decided.select("signal_id", "suggestion").rows() == [("S", "LONG")]


def test_a_decision_changed_in_the_lake_is_found_by_its_seal(tmp_path: Path, record_of: Callable[..., Any]) -> None:
    home = Home(tmp_path)
    lake = SealingLake(home.lake, home.cursors / "seals")
    lake.create(TABLES["raw_decisions"])
    decision = record_of(Decision, 1)
    day = decision.known_at.date()
    written = records_frame("raw_decisions", [decision])
    lake.overwrite_dates("raw_decisions", written, [day])
    assert lake.suspicions("raw_decisions") == []
    Lake(home.lake).overwrite_dates("raw_decisions", written.with_columns(confidence=pl.lit(0.99)), [day])
    (found,) = lake.suspicions("raw_decisions")
    assert (found.day, found.is_lost) == (day, False)
    assert "by no asset's write" in found.problem


def test_an_id_is_told_apart_from_what_leads_to_several(lake: Lake) -> None:
    deals = lake.read("raw_deals").filter(pl.col("signal_id").is_not_null())
    several = deals.group_by("chain_id").agg(pl.col("signal_id").n_unique()).filter(pl.col("signal_id") > 1)
    for chain in several["chain_id"].to_list():
        with pytest.raises(InputError, match=r"it leads to \d decisions: .*; trace one of them"):
            trace(lake.root, chain)


def test_an_answer_is_json_as_it_is(say: Say, played: Played, trade: dict[str, Any]) -> None:
    said = say("trace", trade["trade_id"], "--json", "--home", played.home.root)
    assert json.loads(said.out)["trade"]["trade_id"] == trade["trade_id"]
