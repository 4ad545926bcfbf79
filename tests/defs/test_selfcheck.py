"""Damage is found within one self-check, mended or told of, and what is left is what an undamaged run holds, row for row.

A real home that the demo left, damaged with plain tools (tests/damage.py), checked as every ten minutes. The torture
(tests/torture/torture_lake.py) does the same with many damages over many seeds.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import damage
import polars as pl
import pytest
from played import DAYS, Played
from said import Say

from trading_assets.core.completeness import about_table
from trading_assets.core.records.operations import Finding, OpsError, Repair
from trading_assets.core.tables import TABLES
from trading_assets.defs import checks, dataset, ledger, left_alone, rehearsal, selfcheck, table_watch
from trading_assets.defs.checks import Check
from trading_assets.defs.resources import Storage
from trading_assets.defs.selfcheck import Checked, self_check
from trading_assets.store import journal_retention
from trading_assets.store.control import take_commands
from trading_assets.store.dataset_versions import recorded_versions, resume, rollback
from trading_assets.store.dropped_days import dropped_days
from trading_assets.store.home import Home
from trading_assets.store.ingestion import pending_days
from trading_assets.store.journal import read_records
from trading_assets.store.journal_retention import retain
from trading_assets.store.lake import Lake
from trading_assets.store.lake_retention import retain_lake
from trading_assets.store.seals import read_seals
from trading_assets.store.under_way import begin_days, forget_run, unfinished_days

# The first test to need it plays the demo.
pytestmark = pytest.mark.timeout(900)

NOW = datetime.now(UTC) + timedelta(minutes=15)
"""Some minutes after the last write of the demo, whichever worker played it."""


@pytest.fixture(scope="module")
def sound(played: Played, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The demo's home after its first self-check."""
    with damage.twin(played.home, tmp_path_factory.mktemp("sound") / "home") as home:
        damage.follow_ops(home)
        checked = check(home, is_whole=True)
        assert (checked.found, checked.standing, checked.waiting, checked.repairs) == ([], [], 0, [])
        assert pending_days(home) == []
        yield home


@pytest.fixture
def home(sound: Home, tmp_path: Path) -> Iterator[Home]:
    """A copy of it to damage."""
    with damage.twin(sound, tmp_path / "home") as home:
        yield home


def check(home: Home, minutes: int = 0, **how: bool) -> Checked:
    return self_check(Storage(root=str(home.root)), NOW + timedelta(minutes=minutes), **how)


def assert_mended(home: Home, sound: Home, checked: Checked) -> None:
    """Everything found is repaired, recorded and alerted, and the lake is the undamaged one's."""
    assert checked.found
    assert checked.standing == []
    assert {one.subject for one in checked.fresh} == {one.subject for one in checked.resolved}
    assert any(one.is_repaired and one.before != one.after for one in checked.repairs)
    assert damage.same_rows(home, sound) == []


BLOWS: tuple[tuple[tuple[str, Any], ...], ...] = (
    (("bars", damage.delete_partition_files), ("outcomes", damage.drop_a_row), ("features", damage.corrupt_a_row),
     ("raw_deals", damage.ingest_twice)),
    (("raw_decisions", damage.delete_partition), ("labels", damage.corrupt_a_row), ("trades", damage.flip_a_byte),
     ("equity_curve", damage.delete_partition_files), ("pnl_events", damage.delete_partition_files)),
)  # fmt: skip


def test_each_damage_is_found_and_mended_in_one_cycle_and_the_end_is_the_undamaged_lake(
    home: Home, sound: Home
) -> None:
    chance = random.Random(1)
    for number, blow in enumerate(BLOWS, 1):
        told = [what(home, chance, table) for table, what in blow]
        checked = check(home, 10 * number)
        assert {one.table for one in checked.found} >= {table for table, _ in blow}, told
        assert checked.standing == [], told
    damage.hide_an_hour(home, chance)
    damage.orphan_a_trade(home, chance)
    last = check(home, 30)
    assert {one.table for one in last.found} >= {"bars", "raw_decisions", "signals"}
    assert_mended(home, sound, last)
    again = check(home, 40)
    assert (again.found, again.standing, again.repairs) == ([], [], [])


def test_what_was_made_from_damage_is_made_again(home: Home, sound: Home) -> None:
    # An hour of quotes vanishes, and the day's bars are made of the rest before anybody looks.
    day = Lake(home.lake).dates("raw_quotes")[1]
    hours = pl.col("event_at").dt.hour().is_between(9, 10)
    damage.rewrite(home, "raw_quotes", day, lambda frame: frame.filter(~hours))
    storage = Storage(root=str(home.root))
    for table in ("bars", "chart_windows", "labels"):
        maker = rehearsal.maker_of(table)
        assert maker is not None
        rehearsal.make(home, storage.lake, maker, [day])
    checked = check(home, 1)
    assert {one.table for one in checked.found} >= {"raw_quotes", "bars", "chart_windows"}
    assert_mended(home, sound, checked)


def test_a_lost_cursor_is_set_again_and_days_damaged_meanwhile_are_read_again(home: Home, sound: Home) -> None:
    chance = random.Random(1)
    damage.drop_a_row(home, chance, "raw_deals")
    damage.delete_partition_files(home, chance, "raw_quotes")
    damage.corrupt_a_row(home, chance, "features")
    damage.lose_the_cursor(home, chance)
    assert set(DAYS) < set(pending_days(home))
    checked = check(home, 1)
    assert {one.subject for one in checked.found} >= {"raw_market", "raw_trading"}
    assert_mended(home, sound, checked)
    assert not set(DAYS) & set(pending_days(home))


def test_with_a_lost_cursor_a_day_that_has_grown_is_left_to_the_next_ingestion(home: Home) -> None:
    day = damage.a_day(home, random.Random(1), "raw_deals")
    lake = Storage(root=str(home.root)).lake
    lake.overwrite_dates("raw_deals", lake.read("raw_deals", dates=[day])[:-1], [day])
    damage.lose_the_cursor(home, random.Random(1))
    checked = check(home, 1)
    assert set(DAYS) & set(pending_days(home)) == {day}
    assert "raw_trading" in {one.subject for one in checked.standing}


def test_what_a_killed_self_check_had_ingested_again_is_followed_up_by_the_next_one(home: Home, sound: Home) -> None:
    day = damage.a_day(home, random.Random(1), "bars")
    damage.rewrite(home, "bars", day, lambda frame: frame.with_columns(pl.col("close") + 1e-9))
    lake = Storage(root=str(home.root)).lake
    lake.seal("bars", [day])
    begin_days(home, rehearsal.RUN_ID, [day])
    checked = check(home, 1)
    assert "bars" in {one.table for one in checked.found}
    assert_mended(home, sound, checked)
    assert unfinished_days(home) == set()


def test_rows_of_the_dataset_that_nobody_added_go_and_those_taken_away_come_back(home: Home, sound: Home) -> None:
    day = Lake(home.lake).dates("learning_dataset")[0]
    other = pl.col("result_r") + 1.0
    damage.rewrite(home, "learning_dataset", day, lambda frame: frame.with_columns(result_r=other).head(50))
    changed = check(home, 10)
    assert "registries_are_as_written" in {one.check for one in changed.found}
    assert_mended(home, sound, changed)
    damage.delete_partition_files(home, random.Random(1), "learning_dataset")
    lost = check(home, 20)
    assert "registries_are_whole" in {one.check for one in lost.found}
    assert_mended(home, sound, lost)


@pytest.mark.parametrize("table", ["marks", "equity_curve", "raw_quotes"])
def test_a_file_that_a_power_cut_left_short_is_made_again(table: str, home: Home, sound: Home) -> None:
    damage.cut_a_file(home, random.Random(1), table)
    checked = check(home, 10)
    assert {one.check for one in checked.found if one.table == table} == {"tables_are_as_written"}
    assert_mended(home, sound, checked)


@pytest.mark.parametrize("kept", [0, 100])
def test_a_commit_that_a_power_cut_left_short_is_taken_back_and_its_days_made_again(
    kept: int, home: Home, sound: Home
) -> None:
    last = max((home.lake / "signals" / "_delta_log").glob("*.json"))
    content = last.read_bytes()
    last.unlink()  # the copy shares the file
    last.write_bytes(content[:kept])
    checked = check(home, 10)
    assert {"tables_can_be_read", "tables_are_as_written"} <= {one.check for one in checked.found}
    assert_mended(home, sound, checked)
    assert (home.lake / "signals" / f"_torn-{last.name}").read_bytes() == content[:kept]


def test_a_registry_whose_last_commit_is_gone_waits_for_a_person_and_stops_no_other_check(home: Home) -> None:
    last = max((home.lake / "promotions" / "_delta_log").glob("*.json"))
    last.unlink()
    last.write_bytes(b"")
    damage.drop_a_row(home, random.Random(1), "features")
    checked = check(home, 10)
    assert {one.table for one in checked.standing} == {"promotions"}
    assert any(one.is_repaired and "features" in one.subject for one in checked.repairs)


def test_a_log_that_is_damaged_in_its_midst_is_told_and_stops_no_other_check(home: Home, say: Say) -> None:
    log = home.lake / "promotions" / "_delta_log"
    for path in log.glob("*"):
        path.unlink()
    (log / f"{0:020d}.json").write_bytes(b'{"commitInfo":{}}\n{"half')
    (log / f"{1:020d}.json").write_bytes(b'{"commitInfo":{}}\n')
    damage.drop_a_row(home, random.Random(1), "features")
    checked = check(home, 10)
    assert ("tables_can_be_read", "promotions") in {(one.check, one.table) for one in checked.standing}
    assert all("promotions" in one.observed for one in checked.standing)
    assert any(one.is_repaired and "features" in one.subject for one in checked.repairs)
    asked = say("trace", "meta-000000000000", "--home", home.root)
    assert asked.code == 1
    assert "promotions: its log cannot be read" in asked.err


def test_days_of_the_ledger_that_were_never_made_are_made(home: Home, sound: Home) -> None:
    # By sealed writes: no file says that anything is missing.
    lake = Storage(root=str(home.root)).lake
    day = lake.dates("pnl_events")[0]
    for table in ("pnl_events", *ledger.CURVES):
        lake.overwrite_dates(table, TABLES[table].empty(), [lake.dates(table)[1] if table in ledger.CURVES else day])
    checked = check(home, 10, is_whole=True)
    assert {one.check for one in checked.found} >= {"no_cent_is_lost", "curves_have_no_gaps"}
    assert_mended(home, sound, checked)


def test_a_dataset_that_was_rolled_back_stays_so_until_a_person_says_otherwise(
    home: Home, sound: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "WITHIN_A_JOB", timedelta(days=-100_000))
    lake = Storage(root=str(home.root)).lake
    rows = rollback(lake, recorded_versions(lake)[0].version).rows
    rehearsal.make_whole(dataset.learning_dataset, home, lake)
    checked = check(home, 10, is_whole=True)
    assert (checked.found, checked.repairs, lake.row_count("learning_dataset")) == ([], [], rows)
    resume(lake)
    mended = check(home, 20, is_whole=True)
    assert {one.check for one in mended.found} == {"labelled_candidates_are_learned"}
    assert mended.standing == []
    assert lake.row_count("learning_dataset") == Lake(sound.lake).row_count("learning_dataset") > rows


def test_money_that_was_changed_by_a_sealed_write_is_traced_back_to_the_journal(home: Home, sound: Home) -> None:
    lake = Storage(root=str(home.root)).lake
    day = lake.dates("raw_deals")[0]
    deals = lake.read("raw_deals", dates=[day])
    lake.overwrite_dates("raw_deals", deals.with_columns(pl.col("profit") + 100), [day])
    checked = check(home, 10, is_whole=True)
    assert "no_cent_is_lost" in {one.check for one in checked.found}
    assert_mended(home, sound, checked)


def test_deals_that_nobody_books_are_told_of_once_the_ledger_had_its_time(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(root=str(home.root))
    lake, (conserved,) = storage.lake, [one for one in checks.CHECK_LIST if one.name == "no_cent_is_lost"]
    lake.overwrite_dates("pnl_events", TABLES["pnl_events"].empty(), lake.dates("pnl_events"))
    monkeypatch.setattr(Lake, "committed_at", lambda *_: datetime(2020, 1, 1, tzinfo=UTC))
    assert conserved.run(storage, None)
    monkeypatch.setattr(checks, "BOOKED_WITHIN", timedelta(days=100_000))
    assert not conserved.run(storage, None)


def test_many_lost_trades_cost_a_day_once_and_no_more_days_than_a_pass_has(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selfcheck, "MOST_DAYS", 1)
    lake = Storage(root=str(home.root)).lake
    days = lake.dates("trades")
    assert len(days) > 1
    lake.overwrite_dates("trades", TABLES["trades"].empty(), days)
    held = []
    once = selfcheck._Look._back_to_the_journal

    def noted(self: Any, table: str, day: Any, name: str) -> str:
        held.append((table, day)) if (table, day) not in self._held else None
        return once(self, table, day, name)

    monkeypatch.setattr(selfcheck._Look, "_back_to_the_journal", noted)
    checked = check(home, 10, is_whole=True)
    assert len(held) == 1
    assert checked.standing != []


def test_what_was_mended_before_a_self_check_was_stopped_is_on_record(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage.drop_a_row(home, random.Random(1), "features")

    def stopped(*_: Any) -> list[Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(selfcheck._Look, "_look_at_rows", stopped)
    with pytest.raises(KeyboardInterrupt):
        check(home, 10)
    told = Lake(home.lake).read("repairs")
    assert [row for row in told.iter_rows(named=True) if row["is_repaired"] and "features" in row["subject"]]
    assert Lake(home.lake).read("findings")["state"].to_list() == ["found"] * told.height


def test_with_all_cursors_gone_the_record_is_marked_again_and_not_called_sound_before_it_was_looked_at(
    home: Home, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_watch, "MOST_DAYS", 1)
    shutil.rmtree(home.cursors)
    told = say("selfcheck", "--home", home.root)
    assert "sound as far as it was looked at" in told.out
    assert not set(DAYS) & set(pending_days(home))


def test_a_persons_word_is_taken_for_registries_alone_and_never_for_missing_files(home: Home, say: Say) -> None:
    refused = say("selfcheck", "--accept", "equity_curve", "--home", home.root)
    assert (refused.code, "it is made from the journal, day by day" in refused.err) == (1, True)
    next((home.lake / "promotions").rglob("*.parquet")).unlink()
    (told,) = [one for one in check(home, 10).standing if one.table == "promotions"]
    assert "--accept" not in told.repair
    lost = say("selfcheck", "--accept", "promotions", "--home", home.root)
    assert lost.code == 1
    assert "seal table promotions" in lost.err


def test_a_judgement_that_nobody_made_waits_for_a_person(home: Home) -> None:
    lake = Lake(home.lake)
    before = lake.read("promotions")
    damage.rewrite(home, "promotions", before["date"][0], lambda frame: frame.with_columns(blend=pl.lit(1.0)))
    checked = check(home, 10)
    (told,) = checked.standing
    assert (told.check, told.table) == ("registries_are_as_written", "promotions")
    assert "trading selfcheck --accept promotions" in told.repair
    assert checked.repairs == []
    assert lake.read("promotions")["blend"].to_list() == [1.0]


def test_lost_seals_are_set_again_without_a_finding(home: Home) -> None:
    (home.cursors / "seals" / "bars.json").unlink()
    (home.cursors / "seals" / "meta_models.json").unlink()
    assert check(home, 1).found == []
    assert read_seals(home.cursors / "seals", "bars") is not None


def test_each_finding_has_a_record_an_alert_and_its_end_and_each_repair_its_before_and_after(home: Home) -> None:
    damage.drop_a_row(home, random.Random(6), "marks")
    before = Lake(home.lake).version("marks")
    told = check(home, 1, is_repairing=False)
    assert ([one.table for one in told.standing], told.repairs) == (["marks"], [])
    assert Lake(home.lake).version("marks") == before
    checked = check(home, 2)
    assert (checked.fresh, [one.table for one in checked.resolved]) == ([], ["marks"])
    records = list(read_records(home.raw, stream="ops", types=(Finding, OpsError, Repair)))
    found = [one for one in records if isinstance(one, Finding)]
    assert [one.state for one in found] == ["found", "resolved"]
    assert found[0].table == "marks"
    assert found[0].day
    (alert,) = [one for one in records if isinstance(one, OpsError)]
    assert alert.component == "integrity: tables_are_as_written"
    assert "it is tried" in alert.message
    (repair,) = [one for one in records if isinstance(one, Repair)]
    assert "1 missing" in repair.before
    assert (repair.action, repair.attempt, repair.is_repaired) == ("rebuild", 1, True)
    assert Lake(home.lake).read("repairs")["after"].to_list() == [repair.after]
    assert Lake(home.lake).read("findings")["state"].sort().to_list() == ["found", "resolved"]


def test_the_command_tells_what_it_found_and_fails_while_an_error_stands(home: Home, say: Say) -> None:
    damage.drop_a_row(home, random.Random(7), "marks")
    told = say("selfcheck", "--no-repair", "--home", home.root)
    assert told.code == 1, told.err
    assert "1 missing" in told.out
    assert "NOT sound" in told.out
    done = say("selfcheck", "--json", "--home", home.root)
    mended = json.loads(done.out)
    assert done.code == 0
    assert (mended["is_sound"], len(mended["repairs"]), mended["standing"]) == (True, 1, [])
    refused = say("selfcheck", "--accept", "nothing", "--home", home.root)
    assert refused.code == 1
    assert "there is no such table" in refused.sentence


def test_what_was_written_wrongly_is_traced_back_to_the_journal(home: Home, sound: Home) -> None:
    # Wrong rows, written and sealed as an ingestion does: no file is under suspicion, but a trade has no outcome.
    outcome = Lake(home.lake).read("outcomes").row(0, named=True)
    others = pl.col("trade_id") != outcome["trade_id"]
    for table in ("raw_outcomes", "outcomes"):
        damage.rewrite(home, table, outcome["date"], lambda frame: frame.filter(others))
        Storage(root=str(home.root)).lake.seal(table, [outcome["date"]])
    checked = check(home, 1)
    assert "closed_trades_have_outcomes" in {one.check for one in checked.found}
    assert {one.table for one in checked.found} >= {"raw_outcomes", "outcomes"}
    assert_mended(home, sound, checked)


def test_a_file_that_goes_while_a_check_reads_is_told_and_stops_no_other_check(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> list[Any]:
        raise FileNotFoundError(2, "No such file or directory", "part-00000.parquet")

    monkeypatch.setattr(selfcheck, "CHECK_LIST", (Check("lost", "outcomes", (), gone),))
    (stands,) = check(home, 1).standing
    assert (stands.check, stands.table) == ("checks_can_be_made", "outcomes")
    assert "No such file" in stands.observed


def test_a_repair_that_does_not_help_is_reported_asks_the_terminal_once_and_ends(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = Lake(home.lake).dates("outcomes")[0]
    lost = about_table("closed_trades_have_outcomes", "outcomes", day, "an outcome", "none, whatever is done", "ask")
    monkeypatch.setattr(selfcheck, "CHECK_LIST", (Check("lost", "outcomes", (), lambda _storage, _days: [lost]),))
    actions: list[str] = []
    for minutes in (1, 2, 12, 60):
        checked = check(home, minutes)
        assert checked.standing == [lost]
        actions += [one.action for one in checked.repairs]
        assert not any(one.is_repaired for one in checked.repairs)
    assert actions == ["rebuild", "ask_deals"]
    (asked,) = take_commands(home.control)
    assert (asked.command, asked.argument) == ("query", "deals")


# --- days that retention dropped --------------------------------------------------------------------------------------

OLD, KEPT = DAYS[:2], DAYS[2:]
AFTER_400_DAYS = KEPT[0] + timedelta(days=400)
DROPPED = ("raw_quotes", "raw_daemon_heartbeats", "raw_component_states")


@pytest.fixture
def aged(home: Home) -> Home:
    """The home once the first two days are older than raw quotes are kept; the journal still has them."""
    done = retain_lake(home, AFTER_400_DAYS)
    assert done.problems == ()
    assert done.dropped_days["raw_quotes"] == len(OLD)
    return home


def assert_as_it_was(home: Home, sound: Home) -> None:
    """What was dropped stays dropped, and every other row of the lake is as it was."""
    assert [(table, day) for table in DROPPED for day in OLD if day in Lake(home.lake).dates(table)] == []
    assert damage.same_rows(home, sound, (*damage.TOLD, *DROPPED)) == []


def test_days_that_retention_dropped_are_no_finding_and_nothing_brings_them_back(
    aged: Home, sound: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the market the journal goes, too; that of heartbeats is kept for ever. What is left need not be compressed here.
    monkeypatch.setattr(journal_retention, "_compress", lambda _raw, _chain, _segments, _old, done: done)
    assert retain(aged, AFTER_400_DAYS, market_days=400).removed
    checked = check(aged, 10, is_thorough=True)
    assert (checked.found, checked.repairs, checked.standing) == ([], [], [])
    assert pending_days(aged) == []
    assert retain_lake(aged, AFTER_400_DAYS).dropped_days == {}
    assert_as_it_was(aged, sound)


def test_lost_marks_and_old_seals_do_not_bring_dropped_days_back(aged: Home, sound: Home) -> None:
    # As if retention was stopped between the rows and their seal.
    seals = aged.cursors / "seals" / "raw_quotes.json"
    seals.write_bytes((sound.cursors / "seals" / "raw_quotes.json").read_bytes())
    path = aged.cursors / "ingestion.json"
    marks = json.loads(path.read_bytes())
    old = {day.isoformat() for day in OLD}
    kept = {stream: {day: size for day, size in days.items() if day not in old} for stream, days in marks.items()}
    path.write_text(json.dumps(kept))
    assert set(pending_days(aged)) == set(OLD)
    checked = check(aged, 10)
    assert {one.check for one in checked.found} == {"ingestion_is_marked"}
    assert checked.standing == []
    assert json.loads(path.read_bytes()) == marks
    assert Storage(root=str(aged.root)).lake.suspicions("raw_quotes") == []
    assert_as_it_was(aged, sound)


def test_a_damaged_table_of_a_day_is_mended_without_what_was_dropped_of_it(aged: Home, sound: Home) -> None:
    day = OLD[1]
    damage.rewrite(aged, "raw_bars", day, lambda frame: frame.tail(-1))
    checked = check(aged, 10)
    assert [one.table for one in checked.found] == ["raw_bars"]
    assert checked.standing == []
    assert_as_it_was(aged, sound)


def test_a_run_by_hand_leaves_tables_alone_whose_sources_were_dropped_and_says_so(aged: Home, sound: Home) -> None:
    lake = Storage(root=str(aged.root)).lake
    for table in ("bars", "labels"):
        maker = rehearsal.maker_of(table)
        assert maker is not None
        rehearsal.make(aged, lake, maker, DAYS)
    assert_as_it_was(aged, sound)
    (said,) = left_alone.sentences(lake, ["ingest"], DAYS[0], DAYS[-1])
    assert said.startswith(f"bars of {OLD[0]} to {OLD[1]}: left as it is, because retention dropped raw_quotes")


def test_what_was_ingested_again_by_hand_is_made_again(aged: Home, sound: Home) -> None:
    lake = Storage(root=str(aged.root)).lake
    damage.rewrite(aged, "bars", OLD[0], lambda frame: frame.tail(-1))
    for table in ("raw_quotes", "bars"):
        maker = rehearsal.maker_of(table)
        assert maker is not None
        rehearsal.make(aged, lake, maker, OLD)
    assert dropped_days(lake, "raw_quotes") == set()
    assert damage.same_rows(aged, sound, (*damage.TOLD, *DROPPED)) == []
    assert retain_lake(aged, AFTER_400_DAYS).dropped_days == {}, "they wait for the end of the run"
    forget_run(aged, rehearsal.RUN_ID)
    assert retain_lake(aged, AFTER_400_DAYS).dropped_days["raw_quotes"] == len(OLD)


def test_a_day_that_cannot_be_made_again_is_told_of_and_never_replaced_by_less(aged: Home) -> None:
    day = OLD[1]
    damage.rewrite(aged, "bars", day, lambda frame: frame.tail(-1))
    rows = Lake(aged.lake).rows_by_date("bars")[day]
    checked = check(aged, 10)
    (told,) = checked.standing
    assert (told.check, told.table, told.day) == ("kept_days_are_as_written", "bars", day)
    assert "retention dropped what it was made from" in told.observed
    assert told.repair == "restore the table from a backup"
    assert checked.repairs == []
    assert Lake(aged.lake).rows_by_date("bars")[day] == rows


def test_a_gap_long_past_is_told_of_once_and_the_terminal_is_not_asked(aged: Home) -> None:
    day = OLD[1]
    hours = pl.col("open_at").dt.hour().is_between(9, 10) & (pl.col("symbol") == "EURUSD")
    damage.rewrite(aged, "bars", day, lambda frame: frame.filter(~hours))
    Storage(root=str(aged.root)).lake.seal("bars", [day])
    rows = Lake(aged.lake).rows_by_date("bars")[day]
    told = [check(aged, minutes) for minutes in (10, 25 * 60)]
    gaps = {one.subject for one in told[0].fresh if one.check == "bars_have_no_gaps"}
    assert gaps
    for checked in told:
        assert gaps <= {one.subject for one in checked.standing}
    assert [one for checked in told[1:] for one in checked.fresh] == []
    repairs = [one for checked in told for one in checked.repairs if one.subject in gaps]
    assert {one.action for one in repairs} == {"rebuild"}
    assert len(repairs) == len(gaps), "each is tried once, also a day later"
    assert all("cannot be made again: retention dropped" in one.after for one in repairs)
    assert take_commands(aged.control) == []
    assert Lake(aged.lake).rows_by_date("bars")[day] == rows
    alerts = [one for one in read_records(aged.raw, stream="ops", types=(OpsError,)) if isinstance(one, OpsError)]
    (alert,) = [one for one in alerts if one.component == "integrity: bars_have_no_gaps"]
    assert alert.message.endswith("hours it does not give stay a gap")


def test_every_table_made_from_one_whose_days_are_dropped_has_its_reach() -> None:
    passing = {name for name, table in TABLES.items() if table.keep_days is not None}
    made = {table: maker.sources & passing for maker in rehearsal.makers() for table in maker.tables}
    assert {table: set(reach.sources) for table, reach in left_alone.REACHES.items()} == {
        table: sources for table, sources in made.items() if sources
    }
