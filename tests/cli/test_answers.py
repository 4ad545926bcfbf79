"""What the commands answer on a home in which a demo was played, and on copies of it that were tampered with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from played import DAYS, Played, copied
from said import Say

from trading_assets.cli import summary
from trading_assets.core.tables import TABLES
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake

pytestmark = pytest.mark.timeout(900)

NEVER = "01KED7JKR00000000000000000"


@pytest.fixture
def tampered(played: Played, tmp_path: Path) -> Iterator[Home]:
    """A copy to harm."""
    with copied(played.home, tmp_path / "copy") as home:
        yield home


# --- status -------------------------------------------------------------------------------------------------------


def test_status_says_how_far_everything_has_come(say: Say, played: Played) -> None:
    said = say("status", "--json", "--home", played.home.root)
    assert said.code == 0
    status = json.loads(said.out)
    assert status["daemon"] == {"is_running": False}
    assert status["release"] == "rules-only"
    assert status["lake"]["signals"] == sum(played.answer["decisions"].values())
    assert status["lake"]["trades"] == played.answer["trades"]
    assert status["latest_decision"]["bar_close_at"].startswith("2026-01-07T22:00")
    assert status["latest_trade"]["exit_reason"]
    assert not {day.isoformat() for day in DAYS} & set(status["pending_days"])


@pytest.mark.parametrize("command", ["status", "verify"])
def test_a_person_reads_the_same_as_a_table(say: Say, played: Played, command: str) -> None:
    said = say(command, "--home", played.home.root)
    assert said.code == 0
    assert said.out.strip()
    assert "{" not in said.out


# --- trace and explain --------------------------------------------------------------------------------------------


def trade_of(home: Home) -> dict[str, str]:
    return Lake(home.lake).read("trades").sort("opened_at").row(0, named=True)


@pytest.mark.parametrize("column", ["trade_id", "signal_id", "idea_id"])
def test_a_trade_a_signal_and_a_candidate_lead_to_the_same_chain(say: Say, played: Played, column: str) -> None:
    trade = trade_of(played.home)
    said = say("trace", trade[column], "--json", "--home", played.home.root)
    assert said.code == 0
    assert json.loads(said.out)["signal"]["signal_id"] == trade["signal_id"]


def test_a_trace_is_read_by_people_too(say: Say, played: Played) -> None:
    said = say("trace", trade_of(played.home)["trade_id"], "--home", played.home.root)
    assert said.code == 0
    for stage in (
        "Chart window",
        "Features",
        "Regime",
        "Forecasts",
        "Cohort",
        "Decision",
        "Why",
        "Order",
        "Deal",
        "Outcome",
    ):
        assert stage in said.out


def test_explain_says_in_words_why(say: Say, played: Played) -> None:
    signals = Lake(played.home.lake).read("signals")
    for suggestion in ("LONG", "SHORT", "WAIT"):
        signal = signals.filter(pl.col("suggestion") == suggestion)["signal_id"][-1]
        said = say("explain", signal, "--json", "--home", played.home.root)
        assert said.code == 0
        result = json.loads(said.out)
        assert result["is_identical"]
        assert result["differences"] == []
        assert result["suggestion"] == suggestion
        assert len(result["words"]) > 2
        assert all(len(sentence.split()) > 2 for sentence in result["words"])


@pytest.mark.parametrize(("command", "doing"), [("trace", "tracing"), ("explain", "explaining")])
@pytest.mark.parametrize("identifier", [NEVER, "trade-7", "", "01KED7JKR0JPBXQVPXAXYTRMFU"])
def test_an_id_of_nothing_is_one_sentence(say: Say, played: Played, command: str, doing: str, identifier: str) -> None:
    said = say(command, identifier, "--home", played.home.root)
    assert said.code == 1
    assert said.sentence.startswith(f"{doing} {identifier}: ")


def test_a_day_without_decisions_is_one_sentence(say: Say, played: Played) -> None:
    said = say("explain", "--day", "2026-01-03", "--home", played.home.root)
    assert said.code == 1
    assert said.sentence == (
        "explaining 2026-01-03: the journal holds no decision of that day; name a day on which the market was open."
    )


def test_a_decision_whose_bars_are_gone_is_one_sentence(say: Say, tampered: Home) -> None:
    signal = trade_of(tampered)["signal_id"]
    Lake(tampered.lake).overwrite_dates("bars", TABLES["bars"].empty(), DAYS)
    said = say("explain", signal, "--home", tampered.root)
    assert said.code == 1
    assert "the lake holds 0 of the" in said.sentence
    assert "trading materialise ingest" in said.sentence


def test_a_decision_whose_bar_was_changed_is_found(say: Say, tampered: Home) -> None:
    lake, trade = Lake(tampered.lake), trade_of(tampered)
    day = lake.read("signals").filter(pl.col("signal_id") == trade["signal_id"])["date"][0]
    bars = lake.read("bars", dates=[day])
    lake.overwrite_dates("bars", bars.with_columns(close=pl.col("close") * 1.0001), [day])
    said = say("explain", trade["signal_id"], "--json", "--home", tampered.root)
    assert said.code == 1
    result = json.loads(said.out)
    assert not result["is_identical"]
    assert any("window" in one for one in result["differences"])


# --- verify -------------------------------------------------------------------------------------------------------


def test_a_flipped_byte_is_found_and_its_segment_named(say: Say, tampered: Home) -> None:
    segment = sorted(tampered.raw.glob("**/stream=trading/date=2026-01-06/*/*.ndjson"))[0]
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    said = say("verify", "--json", "--home", tampered.root)
    assert said.code == 1
    result = json.loads(said.out)
    assert not result["is_clean"]
    assert result["faults"]
    name = segment.relative_to(tampered.raw).as_posix()
    assert all(name in Path(fault["segment"]).as_posix() for fault in result["faults"])
    assert all(fault["expectation"] and fault["observed"] and fault["repair"] for fault in result["faults"])
    people = say("verify", "--home", tampered.root)
    assert people.code == 1
    assert "NOT clean" in people.out
    assert segment.name in people.out.replace("\n", "")


def test_altered_rows_are_named_though_every_stored_flag_says_equal(say: Say, tampered: Home) -> None:
    lake = Lake(tampered.lake)
    day = date(2026, 1, 6)
    bars, features = (lake.read(table, dates=[day]) for table in ("bars", "features"))
    lake.overwrite_dates("bars", bars.with_columns(high=pl.col("high") + 0.01), [day])
    other = pl.col("values").list.eval(pl.element() + 1.0)
    lake.overwrite_dates("features", features.with_columns(other), [day])
    said = say("verify", "--home", tampered.root)
    assert said.code == 1
    words = " ".join(said.out.split())
    for table, rows in (("bars", bars), ("features", features)):
        assert f"{table} of {day}: {rows.height} rows: {rows.height} changed" in words
    assert f"trading materialise ingest --from {day} --to {day}" in words
    # What was altered has its windows by then: of a lake without its signals nothing is counted below zero.
    lake.overwrite_dates("signals", TABLES["signals"].empty(), lake.dates("signals"))
    assert summary.features(lake)["mismatched"] == 0


def test_a_segment_that_is_gone_is_found(say: Say, tampered: Home) -> None:
    segments = sorted(tampered.raw.glob("**/stream=market/date=2026-01-06/*/*.ndjson*"))
    segments[len(segments) // 2].unlink()
    said = say("verify", "--json", "--home", tampered.root)
    assert said.code == 1
    assert json.loads(said.out)["faults"]


def test_a_trade_that_lost_its_outcome_is_found(say: Say, tampered: Home) -> None:
    lake = Lake(tampered.lake)
    outcomes = lake.read("outcomes")
    day = outcomes["date"][0]
    lost = outcomes.filter(pl.col("date") == day)
    lake.overwrite_dates("outcomes", lost.head(lost.height - 1), [day])
    said = say("verify", "--json", "--home", tampered.root)
    assert said.code == 1
    assert json.loads(said.out)["untraced_trades"] == 1


def test_a_lost_cent_is_found(say: Say, tampered: Home) -> None:
    lake = Lake(tampered.lake)
    events = lake.read("pnl_events")
    day = events["date"][-1]
    lake.overwrite_dates("pnl_events", events.filter(pl.col("date") == day).head(0), [day])
    said = say("verify", "--json", "--home", tampered.root)
    assert said.code == 1
    assert json.loads(said.out)["ledger"]["difference"] != "0.00"


def test_a_journal_without_a_lake_can_be_verified_and_its_days_are_pending(say: Say, tampered: Home) -> None:
    shutil.rmtree(tampered.lake)
    shutil.rmtree(tampered.cursors)
    said = say("verify", "--json", "--home", tampered.root)
    assert said.code == 0
    result = json.loads(said.out)
    assert set(result["pending_days"]) >= {day.isoformat() for day in DAYS}
    assert say("trace", NEVER, "--home", tampered.root).code == 1
    assert json.loads(say("status", "--json", "--home", tampered.root).out)["lake"] == {}
