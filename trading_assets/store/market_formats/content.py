"""From a file to its rows: unpacking, and reading of separated text with its faults kept.

Also the shape every format is read into (`Parsed`) and its refusal (`unusable`). What the columns of a format are
lives in its own module.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from trading_assets.core.errors import InputError

UNREADABLE_SHARE = 0.5
"""With more unreadable prices than this, a file is taken as corrupt rather than as faulty."""


@dataclass(frozen=True)
class Parsed:
    """One file's rows.

    `rows` of ticks: server_msc (int64), bid, ask. Of bars: server_msc of the open, open, high, low, close (bid),
    optional ask_open, ask_high, ask_low, ask_close, optional spread_points. Prices may be null: faults are kept.
    """

    path: Path
    format: str
    kind: Literal["ticks", "bars"]
    rows: pl.DataFrame
    clock: str | None = None
    """Rule the format itself prescribes, if any."""
    in_points: bool = False
    """Whether prices are whole points instead of prices."""


def unusable(path: Path, problem: str, hint: str) -> InputError:
    """Return the error of a market file that cannot be used."""
    return InputError("reading market data", path, problem, hint)


def unpack(path: Path) -> bytes:
    """Return the file's content: of a zip its only table, of gzip and LZMA what they hold. Raises InputError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise unusable(path, error.strerror or str(error), "pass a file that exists and can be read") from error
    if not raw:
        raise unusable(path, "it is empty", "fetch the file again or leave it out")
    try:
        if path.suffix == ".bi5":
            return lzma.decompress(raw)
        if raw.startswith(b"PK"):
            return _unzip(path, raw)
        return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") or path.suffix == ".gz" else _not_a_zip(path, raw)
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        gzip.BadGzipFile,
    ) as error:
        raise unusable(path, f"it is damaged ({error})", "fetch the file again") from error


def _not_a_zip(path: Path, raw: bytes) -> bytes:
    if path.suffix == ".zip":
        raise zipfile.BadZipFile("not a zip file")
    return raw


def _unzip(path: Path, raw: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if len(names) != 1:
            raise unusable(
                path, f"it holds {len(names)} files where one table is expected", "unpack it and pass one of them"
            )
        return archive.read(names[0])


def as_text(path: Path, content: bytes) -> bytes:
    """Return text as UTF-8 without a byte order mark. Raises InputError when it is empty or no text."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # MetaTrader saves UTF-16 on some systems
        content = content.decode("utf-16", errors="replace").encode()
    content = content.removeprefix(b"\xef\xbb\xbf").strip()
    if not content:
        raise unusable(path, "it is empty", "fetch the file again or leave it out")
    if b"\x00" in content[:4096]:
        raise unusable(path, "its format is unknown: it is no text", "pass one of the formats the documentation lists")
    return content


def first_line(content: bytes) -> str:
    """Return the first line of a text."""
    return content.split(b"\n", 1)[0].strip().decode("utf-8", errors="replace")


def read_rows(
    path: Path, content: bytes, columns: Mapping[str, type[pl.DataType]], *, separator: str = ",", has_header: bool
) -> pl.DataFrame:
    """Read separated text into `columns`, named in the order of the file. What is not a number becomes null.

    Raises InputError when there is no row, or when most prices cannot be read.
    """
    body = content.partition(b"\n")[2] if has_header else content
    if not body.strip():
        raise unusable(path, "it has a header and no rows", "fetch the file again or leave it out")
    try:
        text = pl.read_csv(
            body,
            has_header=False,
            separator=separator,
            schema=dict.fromkeys(columns, pl.String),
            truncate_ragged_lines=True,
            quote_char=None,
            encoding="utf8-lossy",
        )
    except pl.exceptions.PolarsError as error:
        raise unusable(path, f"it is no table ({str(error).splitlines()[0]})", "fetch the file again") from error
    rows = text.select(
        pl.col(name) if dtype is pl.String else pl.col(name).str.strip_chars().cast(dtype, strict=False)
        for name, dtype in columns.items()
    )
    prices = [name for name, dtype in columns.items() if dtype is pl.Float64]
    unreadable = max(int(rows[name].null_count()) for name in prices) / rows.height
    if unreadable > UNREADABLE_SHARE:
        raise unusable(path, f"{unreadable:.0%} of its prices cannot be read as numbers", "fetch the file again")
    return rows


def times(path: Path, text: pl.Series, pattern: str) -> pl.Series:
    """Read times as milliseconds. Raises InputError naming the first row whose time cannot be read."""
    read = text.str.strip_chars().str.to_datetime(pattern, time_unit="ms", strict=False).cast(pl.Int64)
    require_times(path, read, text)
    return read.alias("server_msc")


def require_times(path: Path, read: pl.Series, text: pl.Series) -> None:
    """Raise InputError naming the first row whose time was not read."""
    if read.null_count():
        row = int(read.is_null().arg_max() or 0)
        raise unusable(path, f"the time of row {row + 1} cannot be read ({text[row]!r})", "correct or remove the row")
