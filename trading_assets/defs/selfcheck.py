"""The self-check: every ten minutes the record is held against itself, mended where that is safe, and told of.

First the journal and the tables as they rest (`journal_watch`, `table_watch`), then what the rows say (`checks`), over the days
that have changed since the last time and those of findings that still stand; once a day over all of them. A finding is
recorded when it appears and when it is gone, each with its alert; a repair with what was before and after. What is tried on
which finding, how often and when again, is `core.repairs`.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from time import perf_counter
from typing import Any

import msgspec
import polars as pl
from filelock import FileLock, Timeout

from trading_assets.core import ids
from trading_assets.core.completeness import about_table
from trading_assets.core.errors import StateError, TradingError
from trading_assets.core.integrity import Difference
from trading_assets.core.job_health import CHECK as JOBS_CHECK
from trading_assets.core.job_health import differences
from trading_assets.core.records.operations import OpsError, Repair
from trading_assets.core.records.record import Record
from trading_assets.core.repairs import ACTION_WORDS, COUNTED, ONCE, Attempt, Plan, is_exhausted, plans
from trading_assets.core.tables import TABLES
from trading_assets.defs.checks import CHECK_LIST, Check, Days
from trading_assets.defs.dataset import learning_dataset
from trading_assets.defs.journal_watch import chain_faults, days_on_disk
from trading_assets.defs.ops import OPS_ACCOUNT, OPS_TENANT, write_ops
from trading_assets.defs.partitions import LATE_DAYS
from trading_assets.defs.rehearsal import make_whole, makers_behind
from trading_assets.defs.resources import Storage
from trading_assets.defs.table_asset import conform
from trading_assets.defs.table_watch import MOST_DAYS, TableWatch, repair_record
from trading_assets.store.control import Command, put_command
from trading_assets.store.dataset_versions import DATASET, record_version
from trading_assets.store.files import replace_atomically
from trading_assets.store.job_health import read_jobs
from trading_assets.store.lake import UNREADABLE, first_line
from trading_assets.store.seals import Suspicion
from trading_assets.store.under_way import unfinished_days

WHOLE_EVERY = timedelta(hours=24)
RECENT_DAYS = 2
"""The last days with rows are looked at every time, changed or not."""


class Marks(msgspec.Struct):
    """How far the last self-check had come: losing it costs a look at everything."""

    at: datetime | None = None
    whole_at: datetime | None = None
    versions: dict[str, int] = {}
    journal: dict[str, str] = {}


@dataclass
class Checked:
    """What one self-check saw and did. `standing` holds no longer be mended by itself now, `waiting` days are looked at later."""

    is_whole: bool
    found: list[Difference] = field(default_factory=list)
    fresh: list[Difference] = field(default_factory=list)
    resolved: list[Difference] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    standing: list[Difference] = field(default_factory=list)
    waiting: int = 0
    seconds: float = 0.0


def self_check(
    storage: Storage, at: datetime, *, is_repairing: bool = True, is_thorough: bool = False, is_whole: bool = False
) -> Checked:
    """Check the record, mend what is safe to mend, and record both. Raises StateError while another self-check runs.

    Thorough makes every day of every table again and reads every byte; whole holds the checks to all of history.
    """
    storage.home.cursors.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(storage.home.cursors / "selfcheck.lock", timeout=0), storage.lake.kept_open():
            return _Look(storage, at, is_repairing=is_repairing, is_thorough=is_thorough, is_whole=is_whole).run()
    except Timeout as error:
        raise StateError(
            "checking", storage.home.root, "another self-check runs in this home", "wait for its end"
        ) from error


class _Look:
    """One self-check."""

    def __init__(
        self, storage: Storage, at: datetime, *, is_repairing: bool, is_thorough: bool, is_whole: bool
    ) -> None:
        self._storage, self._at, self._is_repairing, self._is_thorough = storage, at, is_repairing, is_thorough
        self._path = storage.home.cursors / "selfcheck.json"
        self._marks = self._read_marks()
        is_due = self._marks.whole_at is None or at - self._marks.whole_at >= WHOLE_EVERY
        self._is_whole = is_whole or is_thorough or is_due
        self._open = open_findings(storage)
        self._tried = _attempts(storage, at)
        self._checked = Checked(self._is_whole)
        self._held: dict[tuple[str, date], str] = {}

    def run(self) -> Checked:
        """Look, mend, record."""
        started, checked = perf_counter(), self._checked
        journal = days_on_disk(self._storage.home)
        stands = any(one.check == "journal_chain" for one in self._open)
        faults = chain_faults(self._storage.home, self._marks.journal, journal, is_whole=self._is_whole or stands)
        jobs = self._look_at_jobs()
        checked.found += [*faults, *jobs]
        checked.standing += [*faults, *jobs]
        try:
            self._look_at_tables()
            self._look_at_rows()
        except BaseException:
            # Stopped halfway: what was mended is on record all the same, and nothing is taken for gone.
            checked.standing += [*self._open, *checked.found]
            self._record()
            raise
        self._record()
        sound = journal if not faults else {}
        versions = {name: self._storage.lake.version(name) for name in TABLES if self._is_readable(name)}
        whole_at = self._at if self._is_whole else self._marks.whole_at
        replace_atomically(self._path, msgspec.json.encode(Marks(self._at, whole_at, versions, sound)))
        checked.seconds = perf_counter() - started
        return checked

    def _read_marks(self) -> Marks:
        with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(self._path.read_bytes(), type=Marks)
        return Marks()

    def _is_readable(self, table: str) -> bool:
        return not any(one.check == "tables_can_be_read" and one.table == table for one in self._checked.standing)

    def _look_at_jobs(self) -> list[Difference]:
        """Return the jobs that do not do their work, as the watch over them said last; what is old says nothing new."""
        report = read_jobs(self._storage.home)
        if report is None or not report.is_fresh(self._at):
            return [one for one in self._open if one.check == JOBS_CHECK]
        return differences(report.jobs, OPS_TENANT, OPS_ACCOUNT)

    # --- tables as they rest ------------------------------------------------------------------------------------------

    def _watch(self) -> TableWatch:
        return TableWatch(
            self._storage, self._at, self._tried, since=self._marks.at, is_repairing=self._is_repairing,
            is_thorough=self._is_thorough,
        )  # fmt: skip

    def _look_at_tables(self) -> None:
        watch = self._watch()
        try:
            watch.look()
        finally:
            self._checked.found += watch.found
            self._checked.standing += watch.standing
            self._checked.repairs += watch.repairs
            self._checked.waiting = watch.waiting

    # --- what the rows say --------------------------------------------------------------------------------------------

    def _days(self) -> Days:
        if self._is_whole:
            return None
        lake, marks = self._storage.lake, self._marks.versions
        days = {one.day for one in self._open if one.day is not None}
        for table in TABLES:
            if not self._is_readable(table):
                continue
            version, before = lake.version(table), marks.get(table)
            if version != before:
                days |= lake.changed_dates(table, before if before is not None and before < version else None, version)
        recent = {day for table in ("bars", "signals") for day in lake.dates(table)[-RECENT_DAYS:]}
        return days | recent

    def _look_at_rows(self) -> None:
        days = self._days()
        for check in CHECK_LIST:
            found = self._checked_rows(check, days)
            self._checked.found += found
            planned = self._within_a_pass(plans(found, self._tried, self._at)) if self._is_repairing else []
            if not planned:
                self._checked.standing += found
                continue
            troubles = [self._carry_out(plan) for plan in planned]
            still = self._checked_rows(check, days)
            self._checked.standing += still
            left = {_name(one): one for one in still}
            for plan, trouble in zip(planned, troubles, strict=True):
                stands = left.get(_name(plan.difference))
                after = trouble or (
                    f"{stands.observed}; {ACTION_WORDS[plan.action]}" if stands else ACTION_WORDS[plan.action]
                )
                self._checked.repairs.append(repair_record(plan, self._at, after, is_repaired=stands is None))

    def _within_a_pass(self, planned: list[Plan]) -> list[Plan]:
        """Leave out days of tables beyond those one pass makes again: they stand, and are the next one's."""
        kept, days = [], set(self._held)
        for plan in planned:
            if plan.action == "rebuild" and plan.difference.day is not None:
                day = (plan.difference.table, plan.difference.day)
                if day not in days and len(days) >= MOST_DAYS and not self._is_thorough:
                    continue
                days.add(day)
            kept.append(plan)
        return kept

    def _checked_rows(self, check: Check, days: Days) -> list[Difference]:
        under_way = unfinished_days(self._storage.home)
        try:
            found = check.run(self._storage, days)
            # While an ingestion writes a day, its tables are of two times.
            under_way |= unfinished_days(self._storage.home)
            return [one for one in found if one.day not in under_way]
        except (TradingError, *UNREADABLE) as error:
            return [about_table("checks_can_be_made", check.asset, None, f"the check {check.name}", first_line(error),
                                "mend what is said of its tables; it is made again at the next self-check")]  # fmt: skip

    def _carry_out(self, plan: Plan) -> str:
        """Try one repair; return why it could not be tried."""
        one = plan.difference
        try:
            if plan.action in ("ask_deals", "ask_bars"):
                return self._ask(plan)
            if one.day is not None and makers_behind(one.table):
                return self._back_to_the_journal(one.table, one.day, one.check)
            if one.table == DATASET:
                make_whole(learning_dataset, self._storage.home, self._storage.lake)
                record_version(self._storage.lake)
                return ""
            return (
                self._all_deals_again(one.check)
                if one.check == "no_cent_is_lost"
                else "there is no day of a table to make again"
            )
        except TradingError as error:
            return str(error)

    def _back_to_the_journal(self, table: str, day: date, check: str) -> str:
        """Hold a day of a table, and what it is made from, against the journal, for what is wrong may have been written so.

        Once in a pass: many rows of one day may be wrong. Returns why it could not be mended.
        """
        if (table, day) in self._held:
            return self._held[table, day]
        watch = self._watch()
        for maker in makers_behind(table):
            late = day + timedelta(days=LATE_DAYS)
            for held in sorted({day, late} & {day, *self._storage.lake.dates(maker.tables[0])}):
                watch.hold(maker, held, Suspicion(table, held, f"{check} says so", is_lost=False, is_guess=True))
        watch.end()
        self._held[table, day] = self._told_by(watch) or watch.kept.get((table, day), "")
        return self._held[table, day]

    def _all_deals_again(self, check: str) -> str:
        """Hold every day with deals against the journal, its events against its deals, and what is made of those that were wrong."""
        watch = self._watch()
        for table in ("raw_deals", "pnl_events"):
            maker = makers_behind(table)[-1]
            for day in sorted({*self._storage.lake.dates("raw_deals"), *self._storage.lake.dates(table)}):
                watch.hold(maker, day, Suspicion(table, day, f"{check} says so", is_lost=False, is_guess=True))
        if watch.mended_days("raw_deals"):
            watch.follow()
        watch.end()
        return self._told_by(watch)

    def _told_by(self, watch: TableWatch) -> str:
        """Take over what a watch found and did; return what it could not mend."""
        self._checked.found += watch.found
        self._checked.standing += watch.standing
        self._checked.repairs += watch.repairs
        return watch.standing[0].observed if watch.standing else ""

    def _ask(self, plan: Plan) -> str:
        """Ask the daemon to ask its terminal: once for each question and hour, whatever the findings; it never trades."""
        what = plan.action.removeprefix("ask_")
        command = Command(f"selfcheck-{what}-{self._at:%Y%m%d-%H}", "query", what)
        with suppress(StateError):  # asked within this hour already
            put_command(self._storage.home.control, command)
        return ""

    # --- what is told -------------------------------------------------------------------------------------------------

    def _record(self) -> None:
        checked = self._checked
        known, standing = {_name(one) for one in self._open}, {_name(one) for one in checked.standing}
        checked.fresh = list({_name(one): one for one in checked.found if _name(one) not in known}.values())
        gone = [one for one in (*self._open, *checked.fresh) if _name(one) not in standing]
        checked.resolved = list({_name(one): one for one in gone}.values())
        found = [one.record(self._at, self._chain("finding", one)) for one in checked.fresh]
        resolved = [one.record(self._at, self._chain("resolved", one), "resolved") for one in checked.resolved]
        alerts = [self._alert(one) for one in checked.fresh]
        records: list[Record] = [*found, *alerts, *checked.repairs, *resolved]
        if records:
            write_ops(self._storage.home, records)
        for table, rows in (("findings", [*found, *resolved]), ("repairs", checked.repairs)):
            self._append(table, [msgspec.structs.asdict(one) for one in rows])
        self._append_told_by_the_daemon()

    def _chain(self, what: str, one: Difference) -> str:
        return ids.ulid(self._at, what, one.tenant, one.account, one.check, one.subject)

    def _alert(self, one: Difference) -> OpsError:
        mended = _name(one) not in {_name(other) for other in self._checked.standing}
        tried = [*self._tried, *(_attempt(repair) for repair in self._checked.repairs)]
        end = (
            "it is mended"
            if mended
            else one.repair
            if is_exhausted(one, tried, self._at)
            else f"it is tried: {one.repair}"
        )
        return OpsError(
            tenant=one.tenant, account=one.account, event_at=self._at, known_at=self._at, chain_id=self._chain("alert", one),
            component=f"integrity: {one.check}",
            message=f"{one.severity}: {one.subject}: expected {one.expectation}, found {one.observed}; {end}",
        )  # fmt: skip

    def _append(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows and self._is_readable(table):
            frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(date=pl.lit(self._at.date()))
            frame = frame.unique("chain_id", keep="first", maintain_order=True)
            self._storage.lake.append(table, conform(table, frame))

    def _append_told_by_the_daemon(self) -> None:
        """What the daemon found stands in the raw table once it is ingested."""
        lake = self._storage.lake
        if self._is_readable("findings") and self._is_readable("raw_findings") and lake.row_count("raw_findings"):
            key = ["tenant", "account", "chain_id"]
            told = lake.read("raw_findings").join(lake.scan("findings").select(key).collect(), on=key, how="anti")
            lake.append("findings", conform("findings", told.unique(key, keep="first", maintain_order=True)))


def _name(one: Difference) -> tuple[str, str, str, str]:
    return one.tenant, one.account, one.check, one.subject


def open_findings(storage: Storage) -> list[Difference]:
    """Return what was found here and is not resolved."""
    try:
        rows = storage.lake.read("findings").sort("known_at", "state")
    except TradingError:
        return []
    last = rows.unique(["tenant", "account", "check", "subject"], keep="last", maintain_order=True)
    ours = last.filter((pl.col("state") == "found") & ~pl.col("check").str.starts_with("live."))
    return [_difference(row) for row in ours.iter_rows(named=True)]


def _difference(row: Mapping[str, Any]) -> Difference:
    values = {name: row[name] for name in Difference.__struct_fields__ if name != "day"}
    return Difference(**values, day=date.fromisoformat(row["day"]) if row["day"] else None)


def _attempts(storage: Storage, at: datetime) -> list[Attempt]:
    """Return the repairs that count against new ones."""
    try:
        told = storage.lake.scan("repairs").filter(
            (pl.col("date") >= (at - COUNTED).date()) | pl.col("check").is_in(list(ONCE))
        )
        rows = told.select("tenant", "account", "check", "subject", "known_at").collect()
    except (TradingError, *UNREADABLE):
        return []
    return [
        Attempt(
            tenant=row["tenant"], account=row["account"], check=row["check"], subject=row["subject"], at=row["known_at"]
        )
        for row in rows.iter_rows(named=True)
    ]


def _attempt(one: Repair) -> Attempt:
    return Attempt(tenant=one.tenant, account=one.account, check=one.check, subject=one.subject, at=one.known_at)


def sentences(found: Iterable[Difference]) -> list[str]:
    """Return each difference as one sentence."""
    return [f"{one.subject}: expected {one.expectation}, found {one.observed}; {one.repair}" for one in found]
