"""Versions of the learning dataset: what each holds, how two differ, and going back to one.

A version is a version of the Delta table. Nothing is ever deleted: going back makes a new version with the old content. What
a version holds is named by a hash of its days' hashes (table `dataset_versions`), so that a version that grew by an hour
costs reading the days it grew in. What a row is lives in `core.learning.dataset`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import polars as pl

from trading_assets.core.errors import InputError
from trading_assets.core.learning.dataset import KEY, content_hash, day_hashes, hash_of_days
from trading_assets.core.tables import REGISTRY_DATE, REGISTRY_OWNER, TABLES
from trading_assets.store.lake import Lake

DATASET = "learning_dataset"
VERSIONS = "dataset_versions"


@dataclass(frozen=True)
class DatasetVersion:
    """One recorded version. `days`: the hash of each of its days."""

    version: int
    operation: str
    restored: int | None
    committed_at: datetime
    rows: int
    sha256: str
    days: Mapping[date, str]


@dataclass(frozen=True)
class Difference:
    """Keys of rows that `later` has more or less than `earlier`, or with another content; rows of KEY."""

    earlier: int
    later: int
    added: pl.DataFrame
    removed: pl.DataFrame
    changed: pl.DataFrame


def recorded_versions(lake: Lake) -> list[DatasetVersion]:
    """Return every recorded version, oldest first."""
    days: dict[date, str] = {}
    found = []
    for row in lake.read(VERSIONS).sort("delta_version").iter_rows(named=True):
        for day, digest in zip(row["changed_days"], row["changed_sha256"], strict=True):
            days[date.fromisoformat(day)] = digest
        days = {day: digest for day, digest in days.items() if digest}
        found.append(
            DatasetVersion(
                row["delta_version"],
                row["operation"],
                row["restored_version"],
                row["committed_at"],
                row["row_count"],
                row["sha256"],
                dict(days),
            )
        )
    return found


def is_held(lake: Lake) -> bool:
    """Whether the dataset was rolled back and nobody has said since that it may grow again: no row enters it then."""
    recorded = lake.read(VERSIONS, columns=["delta_version", "operation"]).sort("delta_version")
    by_person = recorded.filter(pl.col("operation").is_in(["rollback", "resume"]))["operation"]
    return len(by_person) > 0 and by_person[-1] == "rollback"


def resume(lake: Lake) -> DatasetVersion:
    """Let rows enter a dataset that was rolled back. Raises InputError for one that was not."""
    if not is_held(lake):
        raise InputError(
            "resuming", "the dataset", "it is not rolled back", "nothing is to be done: it grows each hour"
        )
    # What it holds now is what it was rolled back to: a version of its own says that a person has resumed it.
    chosen = next(one.restored for one in reversed(recorded_versions(lake)) if one.restored is not None)
    lake.restore(DATASET, chosen)
    return record_version(lake, operation="resume")


def record_version(
    lake: Lake, *, restored: int | None = None, operation: Literal["resume"] | None = None
) -> DatasetVersion:
    """Record the dataset's present version, hashing only the days whose files differ from the last recorded one.

    A version that is recorded already is returned as it is.
    """
    version = lake.version(DATASET)
    known = recorded_versions(lake)
    before = known[-1] if known else None
    if before is not None and before.version == version:
        return before
    grown = lake.changed_dates(DATASET, before.version if before else None, version)
    fresh = day_hashes(lake.read(DATASET, dates=grown, version=version)) if grown else {}
    old = dict(before.days) if before else {}
    changed = {day: fresh.get(day, "") for day in sorted(grown) if fresh.get(day, "") != old.get(day, "")}
    days = {day: digest for day, digest in (old | changed).items() if digest}
    rows = lake.row_count(DATASET, version=version)
    # Rows that changed without one more or less: outcomes that became known later or were told again.
    is_revised = before is not None and bool(changed) and rows == before.rows
    made = DatasetVersion(
        version=version,
        operation="rollback" if restored is not None else operation or ("revise" if is_revised else "append"),
        restored=restored,
        committed_at=lake.committed_at(DATASET, version),
        rows=rows,
        sha256=hash_of_days(days),
        days=days,
    )
    lake.append(VERSIONS, _row(made, changed))
    return made


def _row(version: DatasetVersion, changed: Mapping[date, str]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "tenant": REGISTRY_OWNER, "account": REGISTRY_OWNER, "date": REGISTRY_DATE, "delta_version": version.version,
                "operation": version.operation, "restored_version": version.restored,
                "committed_at": version.committed_at.astimezone(UTC), "row_count": version.rows, "sha256": version.sha256,
                "changed_days": [day.isoformat() for day in changed], "changed_sha256": list(changed.values()),
            }
        ],
        schema=TABLES[VERSIONS].schema,
    )  # fmt: skip


def find_version(versions: Sequence[DatasetVersion], number: int) -> DatasetVersion:
    """Return a recorded version. Raises InputError for another number."""
    for one in versions:
        if one.version == number:
            return one
    known = ", ".join(str(one.version) for one in versions[-10:]) or "none"
    raise InputError(
        "finding", f"version {number} of the dataset", "it was never recorded", f"use one of those recorded: {known}"
    )


def difference(lake: Lake, earlier: int, later: int) -> Difference:
    """Compare two recorded versions row by row; only days whose hashes differ are read. Raises InputError for unknown ones."""
    versions = recorded_versions(lake)
    first, second = find_version(versions, earlier), find_version(versions, later)
    differing = [day for day in first.days.keys() | second.days.keys() if first.days.get(day) != second.days.get(day)]
    old, new = (lake.read(DATASET, dates=differing, version=one.version) for one in (first, second))
    both = old.select(KEY).join(new.select(KEY), on=KEY, how="inner").sort(KEY)
    ours, theirs = (both.join(frame, on=KEY, how="left", maintain_order="left") for frame in (old, new))
    is_equal = pl.Series([True]).new_from_index(0, len(both)) if len(both) else pl.Series([], dtype=pl.Boolean)
    for name in old.columns:
        is_equal &= ours[name].eq_missing(theirs[name])
    return Difference(
        earlier,
        later,
        added=new.join(old, on=KEY, how="anti").select("date", *KEY).sort("date", *KEY),
        removed=old.join(new, on=KEY, how="anti").select("date", *KEY).sort("date", *KEY),
        changed=ours.filter(~is_equal).select("date", *KEY).sort("date", *KEY),
    )


def rollback(lake: Lake, number: int) -> DatasetVersion:
    """Make a new version whose content is that of a recorded one; return it. Raises InputError for an unknown one.

    It stays so until `resume`: neither the hourly job nor the self-check adds a row to it.
    """
    record_version(lake)
    target = find_version(recorded_versions(lake), number)
    lake.restore(DATASET, number)
    made = record_version(lake, restored=number)
    if made.sha256 != target.sha256:  # the files of the old version are not what they were
        raise InputError(
            "rolling back",
            f"the dataset to version {number}",
            f"its content hashes to {made.sha256}, recorded was {target.sha256}",
            "check the disk; `trading dataset rollback` to another version",
        )
    return made


def verify_version(lake: Lake, number: int) -> bool:
    """Read a recorded version whole and say whether its content still has the recorded hash."""
    target = find_version(recorded_versions(lake), number)
    return content_hash(lake.read(DATASET, version=number)) == target.sha256


def summaries(lake: Lake) -> list[dict[str, Any]]:
    """Return each version with its rows, hash and the models trained on it, oldest first."""
    models = lake.read("meta_models", columns=["model_version", "dataset_version"])
    trained: dict[int, list[str]] = {}
    for model, version in models.rows():
        trained.setdefault(version, []).append(model)
    return [
        {
            "version": one.version, "operation": one.operation, "restored_version": one.restored, "committed_at": one.committed_at,
            "rows": one.rows, "days": len(one.days), "sha256": one.sha256, "models": sorted(trained.get(one.version, [])),
        }
        for one in recorded_versions(lake)
    ]  # fmt: skip
