"""The anchored chart window: which bars of a timeframe a feature row is a function of, and their hash.

The anchor of a base bar is the start of the UTC day of its open. The window of every timeframe holds the last
`WARM_UP_BARS` bars that opened before the anchor and, after it, the bars closed at or before the base bar's
close. Live and batch start at the same bar, which is what makes their values equal bit for bit (invariant 7).
Slices are views: nothing here copies a price. Features themselves live in `feature_set`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_assets.core.records.decisions import WindowReference

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

WARM_UP_BARS = 512
DAY_MS = 86_400_000

TIME_COLUMNS = ("open_ms", "close_ms")
VALUE_COLUMNS = (
    "open",
    "high",
    "low",
    "close",
    "ask_close",
    "tick_count",
    "spread_mean_points",
    "spread_max_points",
)
COLUMNS = TIME_COLUMNS + VALUE_COLUMNS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROW = np.dtype([(name, "<i8") for name in TIME_COLUMNS] + [(name, "<f8") for name in VALUE_COLUMNS])


def milliseconds(at: datetime) -> int:
    """Epoch milliseconds of an aware instant."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def instant(epoch_ms: int) -> datetime:
    """The aware UTC instant of epoch milliseconds."""
    return _EPOCH + timedelta(milliseconds=int(epoch_ms))


def anchor(open_at: datetime) -> datetime:
    """Start of the UTC day a base bar belongs to: the day of its open."""
    return instant(anchor_ms(milliseconds(open_at)))


def anchor_ms(open_ms: int) -> int:
    """The same in epoch milliseconds."""
    return open_ms - open_ms % DAY_MS


@dataclass(frozen=True, eq=False)
class ChartWindow:
    """Closed bars of one symbol and timeframe, oldest first, one array of equal length per column.

    Times are int64 epoch ms, everything else float64 (prices are bid unless they say ask); `open_ms` strictly
    increases. Raises ValueError for columns of another type or length.
    """

    timeframe: str
    open_ms: Integers
    close_ms: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    ask_close: Floats
    tick_count: Floats
    spread_mean_points: Floats
    spread_max_points: Floats

    def __post_init__(self) -> None:
        count = len(self.open_ms)
        for name in COLUMNS:
            column = getattr(self, name)
            kind = "i" if name in TIME_COLUMNS else "f"
            if column.dtype.kind != kind or column.itemsize != 8 or len(column) != count:
                raise ValueError(
                    f"{self.timeframe} window: column {name} is {column.dtype} of {len(column)} values, "
                    f"expected {'int64' if kind == 'i' else 'float64'} of {count}"
                )

    def __len__(self) -> int:
        return len(self.open_ms)

    @classmethod
    def empty(cls, timeframe: str) -> ChartWindow:
        """A window without bars."""
        times, values = np.empty(0, np.int64), np.empty(0, np.float64)
        return cls(timeframe, times, times, *(values for _ in VALUE_COLUMNS))

    @classmethod
    def from_frame(cls, bars: pl.DataFrame, timeframe: str | None = None) -> ChartWindow:
        """Read bars of one symbol from a frame with the columns of `core.market.bars.BARS_SCHEMA`.

        `timeframe` picks the rows of one timeframe; without it the frame must hold a single one. Raises
        ValueError when it holds several symbols or timeframes, or bars out of order.
        """
        if timeframe is not None and "timeframe" in bars.columns:
            bars = bars.filter(pl.col("timeframe") == timeframe)
        for key in ("symbol", "timeframe"):
            if key in bars.columns and bars[key].n_unique() > 1:
                raise ValueError(f"bars of several values of {key} cannot share one window; filter them first")
        if timeframe is None:
            if bars.is_empty():
                raise ValueError("an empty frame does not say its timeframe; pass it")
            timeframe = str(bars["timeframe"][0])
        columns = bars.select(
            pl.col("open_at").dt.epoch("ms").alias("open_ms"),
            pl.col("close_at").dt.epoch("ms").alias("close_ms"),
            *(pl.col(name).cast(pl.Float64) for name in VALUE_COLUMNS if name != "spread_mean_points"),
            _mean_spread().alias("spread_mean_points"),
        )
        window = cls(timeframe, **{name: columns[name].to_numpy() for name in COLUMNS})
        if len(window) > 1 and not (np.diff(window.open_ms) > 0).all():
            raise ValueError(f"{timeframe} bars are not in the order of their open; sort them by open_at")
        return window

    def slice(self, start: int, stop: int) -> ChartWindow:
        """Bars `start` to `stop` (exclusive), as views."""
        return ChartWindow(self.timeframe, *(getattr(self, name)[start:stop] for name in COLUMNS))

    def tail(self, count: int) -> ChartWindow:
        """The last `count` bars, or all when there are fewer."""
        return self.slice(max(0, len(self) - count), len(self))

    def until(self, close_ms: int) -> ChartWindow:
        """The bars closed at or before `close_ms`."""
        return self.slice(0, int(np.searchsorted(self.close_ms, close_ms, side="right")))

    def row_bytes(self, start: int = 0) -> bytes:
        """Bars from `start` on as bytes: ten little-endian 8-byte values a bar, in the order of `COLUMNS`."""
        rows = np.empty(len(self) - start, dtype=_ROW)
        for name in TIME_COLUMNS:
            rows[name] = getattr(self, name)[start:]
        for name in VALUE_COLUMNS:
            rows[name] = canonical(getattr(self, name)[start:])
        return rows.tobytes()

    def sha256(self) -> str:
        """Hash of the timeframe, a line feed, and the bars as `row_bytes` gives them."""
        return hashlib.sha256(f"{self.timeframe}\n".encode() + self.row_bytes()).hexdigest()

    def reference(self, sha256: str | None = None) -> WindowReference:
        """What a decision records of this window; pass the hash when `WindowHasher` has it already."""
        return WindowReference(
            timeframe=self.timeframe,
            first_open_at=instant(self.open_ms[0]) if len(self) else None,
            last_open_at=instant(self.open_ms[-1]) if len(self) else None,
            bar_count=len(self),
            sha256=sha256 if sha256 is not None else self.sha256(),
        )


class WindowHasher:
    """`ChartWindow.sha256` for a window that grows: within a day only the new bars are hashed."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._state: tuple[str, int, int, int] | None = None

    def sha256(self, window: ChartWindow) -> str:
        """Hash `window`; it may continue the one before or be any other."""
        done = self._continued(window)
        if done == 0:
            self._hash = hashlib.sha256(f"{window.timeframe}\n".encode())
        if done < len(window):
            self._hash.update(window.row_bytes(done))
        if len(window):
            self._state = (window.timeframe, int(window.open_ms[0]), int(window.open_ms[-1]), len(window))
        else:
            self._state = None
        return self._hash.hexdigest()

    def _continued(self, window: ChartWindow) -> int:
        """How many bars of `window` are hashed already; 0 when it does not continue the last one."""
        if self._state is None:
            return 0
        timeframe, first, last, count = self._state
        continues = (
            window.timeframe == timeframe
            and len(window) >= count
            and window.open_ms[0] == first
            and window.open_ms[count - 1] == last
        )
        return count if continues else 0


def _mean_spread() -> pl.Expr:
    """Mean spread of a bar in points; 0 for a bar that counts no quotes."""
    return (
        pl.when(pl.col("tick_count") > 0)
        .then(pl.col("spread_sum_points").cast(pl.Float64) / pl.col("tick_count").cast(pl.Float64))
        .otherwise(0.0)
    )


def anchored(bars: ChartWindow, anchor_ms: int, until_close_ms: int) -> ChartWindow:
    """The window of one timeframe for the day that starts at `anchor_ms`, as known at `until_close_ms`.

    The last `WARM_UP_BARS` bars that opened before the anchor (fewer when history is shorter) and the bars of the
    day closed at or before `until_close_ms`. Views only.
    """
    first = int(np.searchsorted(bars.open_ms, anchor_ms, side="left"))
    stop = int(np.searchsorted(bars.close_ms, until_close_ms, side="right"))
    end_of_day = int(np.searchsorted(bars.open_ms, anchor_ms + DAY_MS, side="left"))
    return bars.slice(max(0, min(first, stop) - WARM_UP_BARS), min(stop, end_of_day))


def day_windows(bars: dict[str, ChartWindow], anchor_ms: int) -> dict[str, ChartWindow]:
    """The windows of every timeframe for the whole day that starts at `anchor_ms`."""
    return {timeframe: anchored(chart, anchor_ms, anchor_ms + DAY_MS) for timeframe, chart in bars.items()}


def combined_sha256(references: Iterable[WindowReference]) -> str:
    """Hash over the windows of all timeframes: lines of timeframe, bar count and hash, in the given order."""
    lines = (f"{one.timeframe} {one.bar_count} {one.sha256}\n" for one in references)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def canonical(values: Floats) -> Floats:
    """The same values with every NaN written with one bit pattern, so that equal values have equal bytes."""
    missing = np.isnan(values)
    return np.where(missing, np.nan, values) if missing.any() else values


def row_digests(matrix: Floats) -> list[bytes]:
    """sha256 of every row, its values as little-endian float64 with one NaN."""
    rows = np.ascontiguousarray(canonical(matrix), dtype="<f8")
    return [hashlib.sha256(row.tobytes()).digest() for row in rows]


def hash_digests(digests: Iterable[bytes]) -> str:
    """Hash of a sequence of rows from the digests of its rows, so that a sliding window hashes each row once."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def hash_rows(matrix: Floats) -> str:
    """Hash of a matrix: sha256 over the sha256 of every row (little-endian float64, one NaN), first row first."""
    return hash_digests(row_digests(matrix))
