"""The log of a Delta table, read for a question: which files a version is made of, on which days, and what its commits note.

A question about one id opens two dozen tables, and Delta's own reader takes most of its time over all that their logs say of
every file. Here a line is read as far as it leads to rows. Only what `store.lake` writes is read: anything else a log may hold
(marked rows, renamed columns, checkpoints in parts) is refused as Unfamiliar, and `store.lake_rows` asks Delta. Nothing is
kept between two questions, so nothing here can be older than the table.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
import polars as pl

from trading_assets.store.table_files import file_path

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
# Other writers' forms of the same log: they could hold what the commits do not.
_OTHER_FORMS = re.compile(r"\d{20}\.(?!json$|crc$|checkpoint\.parquet$)|_sidecars")
# Relative, and with no character that a log writes in another way than the disk.
_FILE = re.compile(r"[^/%:][^%:]*")
_PLAIN = {
    "string": pl.String(), "long": pl.Int64(), "integer": pl.Int32(), "short": pl.Int16(), "byte": pl.Int8(),
    "double": pl.Float64(), "float": pl.Float32(), "boolean": pl.Boolean(), "binary": pl.Binary(), "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
}  # fmt: skip
_DECIMAL = re.compile(r"decimal\((\d+),\s*(\d+)\)")


class Unfamiliar(Exception):
    """The log holds something that only Delta's own reader understands: no error of the table, somebody else reads it."""


class _Stats(msgspec.Struct, rename="camel"):
    num_records: int | None = None
    min_values: dict[str, msgspec.Raw] | None = None
    max_values: dict[str, msgspec.Raw] | None = None
    null_count: dict[str, msgspec.Raw] | None = None


class File(msgspec.Struct, rename="camel", gc=False):
    """A file of a table; `modification_time` in milliseconds, `stats` as they stand in the log, not yet decoded."""

    path: str
    partition_values: dict[str, str | None]
    modification_time: int
    stats: msgspec.Raw | str | None = None


class _Removed(msgspec.Struct, gc=False):
    path: str


class _Protocol(msgspec.Struct, rename="camel"):
    min_reader_version: int


class _About(msgspec.Struct, rename="camel"):
    schema_string: str
    partition_columns: list[str]


class _Line(msgspec.Struct, rename="camel", gc=False):
    # Thousands a question, and none in a cycle: searching them for garbage took longer than reading them.

    add: File | None = None
    remove: _Removed | None = None
    meta_data: _About | None = None
    protocol: _Protocol | None = None


class _Told(msgspec.Struct, rename="camel"):
    commit_info: dict[str, Any] | None = None


_LINES = msgspec.json.Decoder(_Line)
_NOTES = msgspec.json.Decoder(_Told)
_STATS = msgspec.json.Decoder(_Stats)


@dataclass(frozen=True)
class TableLog:
    """What the log says of one version of a table that is partitioned by date."""

    folder: str
    version: int
    schema: pl.Schema
    added: tuple[File, ...]

    def paths(self, dates: Sequence[date] | None = None, one_of: Sequence[tuple[str, str]] = ()) -> list[str]:
        """Return the files of the dates that can hold, by their statistics, one of the values in its column."""
        texts = {day.isoformat() for day in dates} if dates is not None else None
        of_days = (one for one in self.added if texts is None or one.partition_values.get("date") in texts)
        return [file_path(self.folder, one.path) for one in of_days if not one_of or _can_hold(one, one_of)]

    def written_ms(self, day: date) -> int | None:
        """Return when the newest file of a day was written; None when the day has none."""
        text = day.isoformat()
        return max(
            (one.modification_time for one in self.added if one.partition_values.get("date") == text), default=None
        )

    def commits(self, limit: int) -> list[dict[str, Any]]:
        """Return what the latest commits note, newest first, each with its version; fewer where the log has fewer."""
        return commits_of(self.folder, self.version, limit)


def commits_of(folder: str, version: int, limit: int | None = None) -> list[dict[str, Any]]:
    """Return what the commits up to a version note, newest first, each with its version; fewer where the log has fewer.

    The table library's own finds none, and says nothing, in a folder whose path holds a `#` or a `?`.
    """
    noted = []
    last = -1 if limit is None else max(version - limit, -1)
    for number in range(version, last, -1):
        try:
            lines = _NOTES.decode_lines(_bytes(f"{folder}/_delta_log/{number:020d}.json"))
        except FileNotFoundError:
            break
        notes = [line.commit_info for line in lines if line.commit_info is not None]
        noted += [note | {"version": number} for note in notes[:1]]
    return noted


def read_log(folder: str, version: int | None = None) -> TableLog | None:
    """Return what the log of a folder says of a version, the newest for None; None when no table is there.

    Raises Unfamiliar when Delta's own reader has to be asked.
    """
    try:
        names = os.listdir(f"{folder}/_delta_log")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unfamiliar(str(error)) from error
    try:
        return _replayed(folder, *_parts(names, version))
    except (OSError, msgspec.MsgspecError, pl.exceptions.PolarsError) as error:
        # Damaged, or cleared away while it was read: whoever is asked next says so, or reads what is there by then.
        raise Unfamiliar(str(error)) from error


def _parts(names: Sequence[str], version: int | None) -> tuple[int, int | None]:
    """Return the version to read and the checkpoint below it to begin with."""
    commits, checkpoints = set(), set()
    for name in names:
        if found := _COMMIT.fullmatch(name):
            commits.add(int(found[1]))
        elif found := _CHECKPOINT.fullmatch(name):
            checkpoints.add(int(found[1]))
        elif _OTHER_FORMS.match(name):
            raise Unfamiliar(name)
    newest = max(commits | checkpoints, default=-1) if version is None else version
    begin = max((one for one in checkpoints if one <= newest), default=None)
    return newest, begin


def _replayed(folder: str, version: int, checkpoint: int | None) -> TableLog:
    """Return a version out of its commits, newest first: what was said last of a file is what holds."""
    about: _About | None = None
    protocol: _Protocol | None = None
    added: list[File] = []
    settled: set[str] = set()
    for lines in _newest_first(folder, version, checkpoint):
        here = set()
        for line in lines:
            about, protocol = about or line.meta_data, protocol or line.protocol
            file = line.add or line.remove
            if file is None or file.path in settled:
                continue
            if file.path in here:
                raise Unfamiliar(f"one commit names {file.path} twice")
            here.add(file.path)
            if line.add is not None:
                added.append(line.add)
        settled |= here
    if checkpoint is not None:
        before = _read_checkpoint(f"{folder}/_delta_log/{checkpoint:020d}.checkpoint.parquet")
        about, protocol = about or before.meta_data, protocol or before.protocol
        added += [one for one in before.files if one.path not in settled]
    if about is None or protocol is None or protocol.min_reader_version > 1 or about.partition_columns != ["date"]:
        raise Unfamiliar(f"{protocol}, {about and about.partition_columns}")
    if not all(_FILE.fullmatch(one.path) for one in added):
        raise Unfamiliar("files elsewhere, or of unusual names")
    return TableLog(folder, version, schema_of(about.schema_string), tuple(added))


def _newest_first(folder: str, version: int, checkpoint: int | None) -> Iterator[list[_Line]]:
    first = 0 if checkpoint is None else checkpoint + 1
    for number in range(version, first - 1, -1):
        yield _LINES.decode_lines(_bytes(f"{folder}/_delta_log/{number:020d}.json"))


@dataclass(frozen=True)
class _Checkpoint:
    files: list[File]
    meta_data: _About | None
    protocol: _Protocol | None


def _read_checkpoint(path: str) -> _Checkpoint:
    read = pl.scan_parquet(path).select("add", "metaData", "protocol").collect()
    about, protocol = read["metaData"].drop_nulls().to_list(), read["protocol"].drop_nulls().to_list()
    added = read["add"].drop_nulls().struct.unnest()
    # Column by column: a list of whole rows takes three times as long.
    columns = [added[name].to_list() for name in ("path", "partitionValues", "modificationTime", "stats")]
    return _Checkpoint(
        [File(*row) for row in zip(*columns, strict=True)],
        _About(about[0]["schemaString"], about[0]["partitionColumns"]) if about else None,
        _Protocol(protocol[0]["minReaderVersion"]) if protocol else None,
    )


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _can_hold(file: File, one_of: Sequence[tuple[str, str]]) -> bool:
    text = msgspec.json.decode(file.stats, type=str | None) if isinstance(file.stats, msgspec.Raw) else file.stats
    if not text:
        return True
    stats = _STATS.decode(text)
    return any(_in_reach(stats, column, value) for column, value in one_of)


def _in_reach(stats: _Stats, column: str, value: str) -> bool:
    """Return whether a value can be in a column. What the log does not tell of can hold everything."""
    least, greatest = (values.get(column) if values else None for values in (stats.min_values, stats.max_values))
    if least is None or greatest is None:
        nulls = stats.null_count.get(column) if stats.null_count else None
        return nulls is None or stats.num_records is None or bytes(nulls) != str(stats.num_records).encode()
    low, high = msgspec.json.decode(least), msgspec.json.decode(greatest)
    return not (isinstance(low, str) and isinstance(high, str)) or low <= value <= high


def schema_of(text: str) -> pl.Schema:
    """Return a schema as a log has it in the types of Polars. Raises Unfamiliar for a type the lake does not use."""
    return pl.Schema({field["name"]: _type(field["type"]) for field in json.loads(text)["fields"]})


def _type(told: Any) -> pl.DataType:
    match told:
        case str() if told in _PLAIN:
            return _PLAIN[told]
        case str() if found := _DECIMAL.fullmatch(told):
            return pl.Decimal(int(found[1]), int(found[2]))
        case {"type": "struct", "fields": fields}:
            return pl.Struct([pl.Field(field["name"], _type(field["type"])) for field in fields])
        case {"type": "array", "elementType": element}:
            return pl.List(_type(element))
        case _:
            raise Unfamiliar(f"the type {told}")
