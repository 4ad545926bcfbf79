"""Every table held against the seals of its writes, and every day that is not as it was written against its sources.

A day under suspicion is made again in memory. If it rests as it is due it is sealed anew; else it is a finding, and the repair
is to write what is due. Sources come before what is made from them, so one pass mends a chain of damage. Registries, which
are made of nothing, can go back to the version that was written last, or wait for a person.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from trading_assets.core import ids
from trading_assets.core.comparison import compare_rows
from trading_assets.core.completeness import about_table, table_is_as_due
from trading_assets.core.errors import TradingError
from trading_assets.core.integrity import Difference
from trading_assets.core.records.operations import Repair
from trading_assets.core.records.record import Stream
from trading_assets.core.repairs import ACTION_WORDS, Attempt, Plan, plans
from trading_assets.core.tables import REGISTRY_DATE, TABLES
from trading_assets.defs import dataset, transforms, windows
from trading_assets.defs.left_alone import beyond_making
from trading_assets.defs.rehearsal import RUN_ID, Maker, make, make_whole, makers, rehearse
from trading_assets.defs.resources import Storage
from trading_assets.store.dataset_versions import DATASET, is_held, record_version
from trading_assets.store.dropped_days import dropped_days
from trading_assets.store.ingestion import (
    grown_days,
    mark_ingested,
    mark_reached,
    marked_days,
    marked_reached,
    reached,
)
from trading_assets.store.journal_sizes import day_sizes
from trading_assets.store.lake import UNREADABLE, first_line
from trading_assets.store.rehearsal_lake import RehearsalLake
from trading_assets.store.seals import Suspicion, read_seals, sealed_since
from trading_assets.store.under_way import days_of_run, forget_run, unfinished_days

MOST_DAYS = 10
"""Days of a table that are made again in one self-check; the rest waits for the next."""
SETTLED = timedelta(minutes=2)
"""A write this young may not be sealed yet: its table is left alone."""
STREAMS: tuple[Stream, ...] = ("market", "trading", "ops")
_ADDED_AGAIN = {"feature_definitions": windows.feature_definitions, "label_definitions": dataset.label_definitions,
                DATASET: dataset.learning_dataset, "transforms": transforms.transforms}  # fmt: skip
"""Registries whose rows an asset adds or writes again from what is there."""


class TableWatch:
    """One pass over all tables. `since`: when the last pass over them ended."""

    def __init__(
        self, storage: Storage, at: datetime, tried: list[Attempt], *, since: datetime | None, is_repairing: bool, is_thorough: bool
    ) -> None:  # fmt: skip
        self._storage, self._at, self._tried, self._since = storage, at, tried, since
        self._is_repairing, self._is_thorough = is_repairing, is_thorough
        self._rehearsal = RehearsalLake(storage.home.lake)
        self._mended: dict[str, set[date]] = {}
        self._suspected: dict[str, set[date]] = {}
        self._pending = self._waiting_days()
        # What a self-check that was killed had ingested again: what is made of it was not held then, and is now.
        for day in days_of_run(storage.home, RUN_ID):
            for table in [table for maker in makers() if maker.group == "raw" for table in maker.tables]:
                self._mended.setdefault(table, set()).add(day)
        self.found: list[Difference] = []
        self.standing: list[Difference] = []
        self.repairs: list[Repair] = []
        self.kept: dict[tuple[str, date], str] = {}
        """Why days of tables cannot be made again: retention took what they were made from."""
        self.waiting = 0
        """Days under suspicion that wait: for an ingestion that is due, or for the next pass."""

    def look(self) -> None:
        """Look at every table once, sources first."""
        self._look_at_marks()
        for maker in makers():
            suspects = self._suspects(maker)
            # The oldest first: what is cumulative takes up the day before.
            due = sorted(suspects)
            self.waiting += 0 if self._is_thorough else max(0, len(due) - MOST_DAYS)
            for day in due if self._is_thorough else due[:MOST_DAYS]:
                self.hold(maker, day, suspects[day])
            self._hold_what_followed(maker, set(due))
        made = {table for maker in makers() for table in maker.tables}
        for table in sorted(TABLES.keys() - made):
            self._look_at_registry(table)
        self.end()

    def follow(self) -> None:
        """Hold what may be made from the days that were mended since the last pass."""
        for maker in makers():
            if maker.group == "raw":
                continue
            days = {day for table in maker.tables for day in self._made_from_damage(maker, table)} - self._pending
            for day in sorted(days):
                self.hold(maker, day, _guess(maker.tables[0], day))
            self._hold_what_followed(maker, days)

    def mended_days(self, table: str) -> set[date]:
        """Return the days of a table that this pass made again."""
        return set(self._mended.get(table, ()))

    def end(self) -> None:
        """What is made of the raw days that were ingested again has been held, too: they do not wait for an ingestion."""
        forget_run(self._storage.home, RUN_ID)

    # --- tables of days ---------------------------------------------------------------------------------------------

    def _suspects(self, maker: Maker) -> dict[date, Suspicion]:
        lake = self._storage.lake
        found: dict[date, Suspicion] = {}
        for table in maker.tables:
            if not self._can_be_read(table, "move the table's folder aside and materialise it again"):
                continue
            suspicions = lake.suspicions(table, is_thorough=self._is_thorough)
            for one in suspicions:
                if self._is_dropped(table, one.day):
                    # Retention was stopped between dropping the day and sealing it.
                    lake.seal(table, [one.day])
                else:
                    found[one.day] = one
                    self._suspected.setdefault(table, set()).add(one.day)
            days = set(lake.dates(table)) if self._is_thorough else self._made_from_damage(maker, table)
            for day in days:
                found.setdefault(day, _guess(table, day))
        for day in [day for day in found if day in self._pending]:
            self._wait_for_ingestion(found.pop(day))
        return found

    def _waiting_days(self) -> set[date]:
        """Return the days that an ingestion will write: all that have grown, and those that a run has begun."""
        return grown_days(self._storage.home) | unfinished_days(self._storage.home, but=RUN_ID)

    def _can_be_read(self, table: str, hint: str) -> bool:
        """Whether the table's log can be read; a last commit that was cut off is taken out of it."""
        trouble = self._trouble_with(table)
        if not trouble:
            return True
        difference = about_table("tables_can_be_read", table, None, "a table that can be read", trouble, hint)
        self.found.append(difference)
        for plan in self._planned(difference):
            self._storage.lake.drop_torn_commit(table)
            trouble = self._trouble_with(table)
            self._record(plan, trouble)
        if trouble:
            self.standing.append(difference)
        return not trouble

    def _trouble_with(self, table: str) -> str:
        lake = self._storage.lake
        try:
            lake.files(table)
            torn = lake.torn_commit(table)
        except TradingError as error:
            return str(error)
        return f"its last commit {torn} is cut off" if torn else ""

    def _hold_what_followed(self, maker: Maker, held: set[date]) -> None:
        """A day of a cumulative table that was written after an earlier one was damaged may have taken the damage up."""
        for table in maker.tables:
            if mended := self._mended.get(table):
                later = {day for day in sealed_since(self._storage.lake.seals, table, self._since) if day > min(mended)}
                for day in sorted(later - held - self._pending - mended):
                    self.hold(maker, day, _guess(table, day))
                    held.add(day)

    def _made_from_damage(self, maker: Maker, table: str) -> set[date]:
        """Return the days written after the last pass, or on the days, while a source of theirs was damaged."""
        mended = {day for source in maker.sources for day in self._mended.get(source, ())}
        if not mended:
            return set()
        near = {day - timedelta(days=late) for day in mended for late in (0, 1)}
        since = sealed_since(self._storage.lake.seals, table, self._since)
        written = set(self._storage.lake.dates(table))
        return (since | near) & (written | near & sealed_since(self._storage.lake.seals, table, None))

    def _wait_for_ingestion(self, suspicion: Suspicion) -> None:
        self.waiting += 1
        if suspicion.is_lost:
            self._tell(about_table("tables_wait_for_ingestion", suspicion.table, suspicion.day, "files as they were written",
                                   suspicion.problem, "nothing: the day has grown, and its ingestion writes it again"))  # fmt: skip

    def _tell(self, difference: Difference) -> None:
        self.found.append(difference)
        self.standing.append(difference)

    def hold(self, maker: Maker, day: date, suspicion: Suspicion) -> None:
        """Hold a day of the maker's tables against what it must be, and mend what is not."""
        if day in self._pending:
            self.waiting += 1
            return
        if any(beyond_making(self._storage.lake, table, [day]) for table in maker.tables):
            if suspicion.table in maker.tables:
                self._not_made_again(suspicion, "retention dropped what it was made from")
            return
        try:
            with self._rehearsal.without(self._suspected_since(maker, day)):
                due = rehearse(self._storage.home, self._rehearsal, maker, [day])
        except (TradingError, *UNREADABLE) as error:
            self._tell(about_table("tables_can_be_made_again", maker.tables[0], day, "rows that its sources give", first_line(error),
                                   "mend what is said of its sources; then this day is looked at again"))  # fmt: skip
            return
        for table in maker.tables:
            if day not in due[table]:
                if suspicion.table == table:
                    self._not_made_again(suspicion, "retention removed the day's journal")
                continue
            if self._is_dropped(table, day):
                self._rehearsal.forget(table, [day])
                continue
            is_spoilt = suspicion.is_lost and suspicion.table == table
            for difference in self._differences(table, day, suspicion.problem, is_spoilt=is_spoilt):
                self._mend(maker, table, difference, suspicion)

    def _suspected_since(self, maker: Maker, day: date) -> dict[str, set[date]]:
        """Return the days under suspicion that are not held yet; those before have been, and are what they are."""
        return {table: {one for one in self._suspected.get(table, ()) if one >= day} for table in maker.tables}

    def _differences(self, table: str, day: date, problem: str, *, is_spoilt: bool = False) -> list[Difference]:
        """Compare what rests with what is due; seal it when they are the same."""
        due = self._rehearsal.written[table][day]
        # Other bytes than were written are not read: rows of theirs say nothing, and a file that is cut off stops the reader.
        trouble = problem if is_spoilt else ""
        try:
            resting = TABLES[table].empty() if is_spoilt else self._storage.lake.read(table, dates=[day])
        except TradingError as error:
            trouble = problem or str(error)
        if trouble:
            return [about_table("tables_are_as_written", table, day, f"{due.height} rows, as its sources give them",
                                f"they cannot be read: {trouble}", "make the day's rows again from what they are made from")]  # fmt: skip
        found = list(table_is_as_due(compare_rows(TABLES[table], day, resting, due), problem))
        if not found:
            self._storage.lake.seal(table, [day])
            self._rehearsal.forget(table, [day])
        return found

    def _mend(self, maker: Maker, table: str, difference: Difference, suspicion: Suspicion) -> None:
        self.found.append(difference)
        day = suspicion.day
        after = difference
        for plan in self._planned(difference):
            problem = ""
            try:
                if suspicion.is_lost:
                    self._storage.lake.drop_lost_files(table)
                if maker.group == "raw":
                    self._ingest_again(maker, day)
                else:
                    self._storage.lake.overwrite_dates(table, self._rehearsal.written[table][day], [day])
                still = self._differences(table, day, "after the repair")
            except TradingError as error:
                still, problem = [difference], str(error)
            self._mended.setdefault(table, set()).add(day)
            self._record(plan, "" if not still else problem or still[0].observed)
            if not still:
                return
            after = still[0]
        self.standing.append(after)

    def _ingest_again(self, maker: Maker, day: date) -> None:
        """Make a raw day again; what retention dropped of it stays dropped."""
        dropped = [table for table in maker.tables if self._is_dropped(table, day)]
        make(self._storage.home, self._storage.lake, maker, [day])
        for table in dropped:
            self._storage.lake.overwrite_dates(table, TABLES[table].empty(), [day])

    def _is_dropped(self, table: str, day: date) -> bool:
        return day in dropped_days(self._storage.lake, table)

    def _planned(self, difference: Difference) -> list[Plan]:
        return plans([difference], self._tried, self._at) if self._is_repairing else []

    def _record(self, plan: Plan, trouble: str) -> None:
        self.repairs.append(
            repair_record(plan, self._at, trouble or ACTION_WORDS[plan.action], is_repaired=not trouble)
        )

    def _not_made_again(self, suspicion: Suspicion, why: str) -> None:
        """What the day was made from is not whole any more: the lake holds the only copy."""
        self.kept[suspicion.table, suspicion.day] = f"the day's rows cannot be made again: {why}"
        seals = read_seals(self._storage.lake.seals, suspicion.table)
        if (seals is None or suspicion.day.isoformat() not in seals.days) and not suspicion.is_lost:
            self._storage.lake.seal(suspicion.table, [suspicion.day])
        elif not suspicion.is_guess:
            self._tell(about_table("kept_days_are_as_written", suspicion.table, suspicion.day, "the rows as they were written",
                                   f"{suspicion.problem}; {why}", "restore the table from a backup"))  # fmt: skip

    # --- how far ingestion has come -----------------------------------------------------------------------------------

    def _look_at_marks(self) -> None:
        """The mark of an ingested day can be lost, and costs an ingestion then; where the rows are right it is set again."""
        for maker in [maker for maker in makers() if maker.group == "raw"]:
            stream = next(stream for stream in STREAMS if maker.name == f"raw_{stream}")
            marked = marked_days(self._storage.home, stream)
            # By the seals, and by the rows where these are lost, too.
            known = {
                day
                for table in maker.tables
                for day in (*sealed_since(self._storage.lake.seals, table, None), *self._days(table))
            }
            lost = sorted((known & day_sizes(self._storage.home.raw, stream).keys()) - marked)
            if not lost:
                continue
            difference = about_table(
                "ingestion_is_marked", maker.name, None, "a mark for each day that was ingested",
                f"none for {len(lost)} days from {lost[0]} to {lost[-1]}",
                "set the mark where the rows are those of the journal; read damaged days again, and leave grown ones to the ingestion", "warning",
            )  # fmt: skip
            self.found.append(difference)
            planned = self._planned(difference)
            trouble = self._mark(maker, stream, lost) if planned else "not tried"
            for plan in planned:
                self._record(plan, trouble)
            if trouble:
                self.standing.append(difference)
        self._pending = self._waiting_days()
        if not self._pending and self._is_repairing and not marked_reached(self._storage.home):
            mark_reached(self._storage.home, reached(self._storage.home))

    def _mark(self, maker: Maker, stream: Stream, days: list[date]) -> str:
        """Mark the days whose rows are those of the journal, read the damaged ones again; return why some are not marked.

        A day that rests as it was written and yet differs has grown since: what else is made of it is the ingestion's.
        """
        damaged = {one.day for table in maker.tables for one in self._suspicions(table)}
        left = []
        for day in days:
            sizes = day_sizes(self._storage.home.raw, stream, days=[day])
            if self._is_as_journalled(maker, day):
                mark_ingested(self._storage.home, stream, [day], sizes)
            elif day in damaged:
                left += self._read_again(maker, day)
            else:
                left.append(f"{day} holds other rows than the journal")
        return f"{len(left)} days are left, such as: {left[0]}" if left else ""

    def _read_again(self, maker: Maker, day: date) -> list[str]:
        """Ingest a damaged day again, which marks it; return why it could not be."""
        try:
            for table in maker.tables:
                self._storage.lake.drop_lost_files(table)
                self._mended.setdefault(table, set()).add(day)
            self._ingest_again(maker, day)
        except TradingError as error:
            return [str(error)]
        return []

    def _days(self, table: str) -> list[date]:
        try:
            return self._storage.lake.dates(table)
        except TradingError:  # told of when it is the table's turn
            return []

    def _suspicions(self, table: str) -> list[Suspicion]:
        try:
            return self._storage.lake.suspicions(table, is_thorough=self._is_thorough)
        except TradingError:  # told of when it is the table's turn
            return []

    def _is_as_journalled(self, maker: Maker, day: date) -> bool:
        """Whether a day of the maker's tables rests as the journal gives it."""
        try:
            due = rehearse(self._storage.home, self._rehearsal, maker, [day])
            return all(
                compare_rows(TABLES[table], day, self._storage.lake.read(table, dates=[day]), of_table[day]).is_equal
                for table, of_table in due.items()
                if day in of_table and not self._is_dropped(table, day)
            )
        except TradingError:
            return False
        finally:
            for table in maker.tables:
                self._rehearsal.forget(table, [day])

    # --- registries -------------------------------------------------------------------------------------------------

    def _look_at_registry(self, table: str) -> None:
        lake = self._storage.lake
        if not self._can_be_read(table, "restore the table from a backup"):
            return
        if read_seals(lake.seals, table) is None:
            try:
                lake.seal(table, None)
            except TradingError as error:
                self._tell(about_table("registries_are_whole", table, None, "files that can be read", str(error),
                                       "restore it from a backup"))  # fmt: skip
            return
        suspicions = lake.suspicions(table, is_thorough=self._is_thorough)
        if not suspicions or self._at - lake.committed_at(table, lake.version(table)) < SETTLED:
            return
        is_lost = any(one.is_lost for one in suspicions)
        difference = _about_registry(table, suspicions, is_lost=is_lost)
        self.found.append(difference)
        # Rows of a dataset that was rolled back are those a person chose: they are brought back, never added anew.
        is_held_back = table == DATASET and is_lost and is_held(lake)
        for plan in self._planned(difference) if table in _ADDED_AGAIN and not is_held_back else ():
            try:
                self._bring_back(table, plan)
                trouble = "; ".join(one.problem for one in lake.suspicions(table))
            except TradingError as error:
                trouble = str(error)
            self._record(plan, trouble)
            if not trouble:
                return
        self.standing.append(difference)

    def _bring_back(self, table: str, plan: Plan) -> None:
        lake, seals = self._storage.lake, read_seals(self._storage.lake.seals, table)
        if plan.action == "restore" and seals is not None:
            lake.restore(table, seals.version)
        else:
            lost = {one.day for one in lake.suspicions(table) if one.is_lost}
            lake.drop_lost_files(table)
            # What is left of a day whose files are spoilt goes, too: all of its rows are added anew.
            lake.overwrite_dates(table, TABLES[table].empty(), lost or {REGISTRY_DATE})
            lake.seal(table, None)
        make_whole(_ADDED_AGAIN[table], self._storage.home, lake)
        if table == DATASET:
            record_version(lake)


def _guess(table: str, day: date) -> Suspicion:
    return Suspicion(table, day, "it may be made from what was damaged", is_lost=False, is_guess=True)


def _about_registry(table: str, suspicions: Iterable[Suspicion], *, is_lost: bool) -> Difference:
    check = "registries_are_whole" if is_lost else "registries_are_as_written"
    hint = (
        "bring back the version that was written last, and add what is missing" if table in _ADDED_AGAIN
        else "restore it from a backup" if is_lost
        else f"look at its last versions; then restore it from a backup, or `trading selfcheck --accept {table}`"
    )  # fmt: skip
    problems = "; ".join(f"{one.day}: {one.problem}" for one in suspicions)
    return about_table(check, table, None, "rows as they were written", problems, hint)


def repair_record(plan: Plan, at: datetime, after: str, *, is_repaired: bool) -> Repair:
    """Return an attempt as a record of the journal."""
    one = plan.difference
    return Repair(
        tenant=one.tenant, account=one.account, event_at=at, known_at=at,
        chain_id=ids.ulid(at, "repair", one.tenant, one.account, one.check, one.subject, str(plan.attempt)),
        check=one.check, subject=one.subject, action=plan.action, attempt=plan.attempt, before=one.observed, after=after,
        is_repaired=is_repaired,
    )  # fmt: skip
