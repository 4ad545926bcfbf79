"""The only definition of what a feature row is: which features, in which order, from which windows, in which version.

A feature set puts the formulas of `chart_features` (every timeframe), `base_features`, `calendar_features` and
`ladder_features` together and computes all rows of a day in one call. `live_features` computes one row with the same functions. Two sets come
from the one definition: `intraday` on M5 and `scalp` on M1.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import talib

from trading_assets.core.errors import StateError
from trading_assets.core.features.base_features import BASE_FEATURES
from trading_assets.core.features.blocks import Block, assemble
from trading_assets.core.features.calendar_features import CALENDAR_FEATURES
from trading_assets.core.features.chart_features import CHART_FEATURES
from trading_assets.core.features.formulas import Formula
from trading_assets.core.features.indicators import Chart
from trading_assets.core.features.ladder import Ladder
from trading_assets.core.features.ladder_features import LADDER_FEATURES
from trading_assets.core.features.source import source_sha256
from trading_assets.core.features.window import (
    WARM_UP_BARS,
    ChartWindow,
    Floats,
    Integers,
    canonical,
)

MINIMUM_BASE_BARS = 128


@dataclass(frozen=True)
class FeatureDefinition:
    """What one column of a feature row says.

    `indicator` is the name without the timeframe's prefix; `timeframe` is empty for what compares several.
    """

    index: int
    name: str
    indicator: str
    timeframe: str
    group: str
    unit: str
    description: str


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """Feature rows of consecutive base bars: `open_ms` and `close_ms` of shape (n,), `matrix` of shape (n, k)."""

    open_ms: Integers
    close_ms: Integers
    matrix: Floats

    def __len__(self) -> int:
        return len(self.close_ms)

    def slice(self, start: int, stop: int) -> FeatureRows:
        """Rows `start` to `stop` (exclusive), as views."""
        return FeatureRows(self.open_ms[start:stop], self.close_ms[start:stop], self.matrix[start:stop])

    def opened_from(self, anchor_ms: int) -> FeatureRows:
        """The rows of bars that opened at or after `anchor_ms`: the day's own, without the warm-up before it."""
        return self.slice(int(np.searchsorted(self.open_ms, anchor_ms, side="left")), len(self))


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of four timeframes, shortest first; the first is the base, whose bars the rows stand for.

    Compared by identity, so that it is a cheap key; two that compute the same have the same `version`.
    """

    name: str
    timeframes: tuple[str, ...]
    chart_formulas: tuple[Formula[Chart], ...] = CHART_FEATURES.all
    base_formulas: tuple[Formula[Chart], ...] = BASE_FEATURES.all
    ladder_formulas: tuple[Formula[Ladder], ...] = CALENDAR_FEATURES.all + LADDER_FEATURES.all
    minimum_base_bars: int = MINIMUM_BASE_BARS

    @property
    def base(self) -> str:
        """The base timeframe."""
        return self.timeframes[0]

    @cached_property
    def definitions(self) -> tuple[FeatureDefinition, ...]:
        """Every column in order: base timeframe, longer timeframes, then what compares them."""
        parts: list[tuple[str, str, Formula[Chart] | Formula[Ladder]]] = []
        for timeframe in self.timeframes:
            parts += [(f"{timeframe.lower()}_", timeframe, formula) for formula in self.formulas(timeframe)]
        parts += [("", "", formula) for formula in self.ladder_formulas]
        return tuple(
            FeatureDefinition(
                index, prefix + formula.name, formula.name, timeframe, formula.group, formula.unit, formula.description
            )
            for index, (prefix, timeframe, formula) in enumerate(parts)
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(definition.name for definition in self.definitions)

    @cached_property
    def version(self) -> str:
        """Name and hash of the names, the timeframes, the warm-up and the source the features are computed by."""
        parts = [self.name, *self.timeframes, str(WARM_UP_BARS), str(self.minimum_base_bars), *self.names]
        parts.append(source_sha256())
        return f"{self.name}-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:16]}"

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    def index(self, indicator: str, timeframe: str | None = None) -> int:
        """Column of an indicator on `timeframe` (default: base), or of a cross-timeframe feature. KeyError if none."""
        prefixed = f"{(timeframe or self.base).lower()}_{indicator}"
        found = self._indices.get(prefixed)
        if found is None and timeframe is None:
            found = self._indices.get(indicator)
        if found is None:
            raise KeyError(f"feature set {self.name} has no feature {indicator} on {timeframe or self.base}")
        return found

    def formulas(self, timeframe: str) -> tuple[Formula[Chart], ...]:
        """The formulas computed from the chart of `timeframe` alone."""
        return self.chart_formulas + self.base_formulas if timeframe == self.base else self.chart_formulas

    def day(self, windows: Mapping[str, ChartWindow]) -> FeatureRows:
        """Rows of all base bars in `windows` (one anchored window a timeframe), warm-up included.

        A timeframe without a window counts as one without bars: its features are NaN.
        """
        blocks = [self.block(timeframe, windows) for timeframe in self.timeframes]
        base = blocks[0].chart
        return FeatureRows(base.open_ms, base.close_ms, self.assemble(blocks, np.arange(len(base))))

    def block(self, timeframe: str, windows: Mapping[str, ChartWindow]) -> Block:
        """The features of one timeframe."""
        window = windows.get(timeframe)
        return Block(window if window is not None else ChartWindow.empty(timeframe), self.formulas(timeframe))

    def assemble(self, blocks: Sequence[Block], rows: Integers) -> Floats:
        """Feature rows of the base bars at positions `rows`, shape (rows, k)."""
        return assemble(blocks, self.ladder_formulas, rows)


FEATURE_SETS: dict[str, FeatureSet] = {
    one.name: one
    for one in (
        FeatureSet("intraday", ("M5", "M15", "H1", "H4")),
        FeatureSet("scalp", ("M1", "M5", "M15", "H1")),
    )
}


def by_version(version: str) -> FeatureSet:
    """Return the feature set of this version. Raises StateError when this installation computes another one."""
    for feature_set in FEATURE_SETS.values():
        if feature_set.version == version:
            return feature_set
    known = ", ".join(feature_set.version for feature_set in FEATURE_SETS.values())
    raise StateError(
        "resolve feature set",
        version,
        f"this installation computes {known}",
        "install the version that recorded it, or train a release on the present one",
    )


def extractor_version() -> str:
    """Versions of the libraries the values come from; bit-identity holds for equal ones on the same platform."""
    return f"talib-{talib.__version__}-numpy-{np.__version__}"


def encode_vector(vector: Floats) -> str:
    """Write a row of features as base64 of little-endian float64, with one bit pattern for NaN."""
    return base64.b64encode(np.ascontiguousarray(canonical(vector), dtype="<f8").tobytes()).decode("ascii")


def decode_vector(text: str) -> Floats:
    """Read what `encode_vector` wrote, bit for bit."""
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f8").astype(np.float64)
