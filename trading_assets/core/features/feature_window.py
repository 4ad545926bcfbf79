"""The feature window: the last rows of the base timeframe, raw and normalised, as a sequence model would see them.

Its two hashes stand in every decision; recomputed from the same chart windows they must be equal. The rows are those
of the *anchored* windows, also where the window reaches into the warm-up, so that they depend on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from trading_assets.core.features.feature_set import FeatureRows
from trading_assets.core.features.normaliser import Normaliser
from trading_assets.core.features.window import Floats, Integers, hash_digests, instant, row_digests
from trading_assets.core.records.decisions import FeatureWindowReference

FEATURE_WINDOW_ROWS = 64


@dataclass(frozen=True, eq=False)
class FeatureWindow:
    """At most `FEATURE_WINDOW_ROWS` rows, oldest first: `raw` and `normalised` of shape (n, k), and their hashes."""

    close_ms: Integers
    raw: Floats
    normalised: Floats
    sha256_raw: str
    sha256_normalised: str
    normaliser_version: str

    def reference(self) -> FeatureWindowReference:
        """What a decision records of it."""
        return FeatureWindowReference(
            row_count=len(self.close_ms),
            first_close_at=instant(self.close_ms[0]) if len(self.close_ms) else None,
            sha256_raw=self.sha256_raw,
            sha256_normalised=self.sha256_normalised,
            normaliser_version=self.normaliser_version,
        )


def feature_window(rows: FeatureRows, normaliser: Normaliser) -> FeatureWindow:
    """The window that ends with the last of `rows`."""
    return next(feature_windows(rows, normaliser, (len(rows) - 1,)))


def feature_windows(rows: FeatureRows, normaliser: Normaliser, ends: Iterable[int]) -> Iterator[FeatureWindow]:
    """The windows that end with the rows at positions `ends`, in turn; every row is hashed once."""
    normalised = normaliser.apply(rows.matrix)
    raw_digests, normalised_digests = row_digests(rows.matrix), row_digests(normalised)
    for end in ends:
        span = slice(max(0, end + 1 - FEATURE_WINDOW_ROWS), end + 1)
        yield FeatureWindow(
            close_ms=rows.close_ms[span],
            raw=rows.matrix[span],
            normalised=normalised[span],
            sha256_raw=hash_digests(raw_digests[span]),
            sha256_normalised=hash_digests(normalised_digests[span]),
            normaliser_version=normaliser.version,
        )


class RollingRows:
    """The last rows in both forms with their digests, extended by one row at a time (live)."""

    def __init__(self, rows: FeatureRows) -> None:
        self.rows = rows.slice(max(0, len(rows) - FEATURE_WINDOW_ROWS), len(rows))
        self._digests = row_digests(self.rows.matrix)
        self._normaliser_version = ""
        self._normalised = np.empty((0, rows.matrix.shape[1]))
        self._normalised_digests: list[bytes] = []

    def append(self, open_ms: int, close_ms: int, row: Floats) -> None:
        """Add the row of one more base bar, shape (1, k)."""
        keep = self.rows.slice(max(0, len(self.rows) + 1 - FEATURE_WINDOW_ROWS), len(self.rows))
        dropped = len(self.rows) - len(keep)
        self.rows = FeatureRows(
            np.append(keep.open_ms, open_ms), np.append(keep.close_ms, close_ms), np.concatenate([keep.matrix, row])
        )
        self._digests = self._digests[dropped:] + row_digests(row)
        self._normalised = self._normalised[dropped:]
        self._normalised_digests = self._normalised_digests[dropped:]

    def view(self, normaliser: Normaliser) -> FeatureWindow:
        """The window under `normaliser`; rows normalised before under the same version are not touched again."""
        if normaliser.version != self._normaliser_version:
            self._normaliser_version = normaliser.version
            self._normalised, self._normalised_digests = self._normalised[:0], []
        fresh = normaliser.apply(self.rows.matrix[len(self._normalised_digests) :])
        if len(fresh):
            self._normalised = np.concatenate([self._normalised, fresh])
            self._normalised_digests += row_digests(fresh)
        return FeatureWindow(
            close_ms=self.rows.close_ms,
            raw=self.rows.matrix,
            normalised=self._normalised,
            sha256_raw=hash_digests(self._digests),
            sha256_normalised=hash_digests(self._normalised_digests),
            normaliser_version=normaliser.version,
        )
