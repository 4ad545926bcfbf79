"""The normaliser: a robust location and scale for every feature, fitted before a cut and frozen in the release.

Before the first one it is the identity. It is applied value by value, so that the score of a row never depends on the
rows around it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import msgspec
import numpy as np

from trading_assets.core.features.window import Floats

# Interquartile range of a normal distribution over its standard deviation: scaled so, values read like deviations.
IQR_OF_NORMAL = 1.3489795003921634


class Normaliser(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Location and scale of every feature of a set, in its order; all finite, every scale positive."""

    version: str
    names: tuple[str, ...]
    location: tuple[float, ...]
    scale: tuple[float, ...]

    @cached_property
    def _location(self) -> Floats:
        return np.array(self.location, dtype=np.float64)

    @cached_property
    def _scale(self) -> Floats:
        return np.array(self.scale, dtype=np.float64)

    @property
    def is_identity(self) -> bool:
        """Whether it leaves values as they are."""
        return self.version == IDENTITY_VERSION

    def apply(self, values: Floats) -> Floats:
        """Normalise a row (k,) or a matrix (n, k); NaN stays NaN. Raises ValueError for another number of features."""
        if values.shape[-1] != len(self.names):
            raise ValueError(f"normaliser {self.version} knows {len(self.names)} features, got {values.shape[-1]}")
        if self.is_identity:
            return values.copy()
        normalised: Floats = (values - self._location) / self._scale
        return normalised


IDENTITY_VERSION = "identity"


def identity(names: Sequence[str]) -> Normaliser:
    """The normaliser before the first fitted one."""
    count = len(names)
    return Normaliser(version=IDENTITY_VERSION, names=tuple(names), location=(0.0,) * count, scale=(1.0,) * count)


# Reads as the constant it is where a release is absent.
IDENTITY = identity


def fit(matrix: Floats, names: Sequence[str]) -> Normaliser:
    """Fit median and interquartile range over rows (n, k), NaN left out.

    A feature without values keeps location 0 and scale 1; one without spread is only centred. Raises ValueError when
    the matrix does not have a column for each name.
    """
    if matrix.ndim != 2 or matrix.shape[1] != len(names):
        raise ValueError(f"expected rows of {len(names)} features, got an array of shape {matrix.shape}")
    location, scale = np.zeros(len(names)), np.ones(len(names))
    for index in range(len(names)):
        column = matrix[:, index]
        column = column[np.isfinite(column)]
        if not len(column):
            continue
        low, middle, high = np.percentile(column, (25.0, 50.0, 75.0))
        location[index] = middle
        width = (high - low) / IQR_OF_NORMAL
        scale[index] = width if np.isfinite(width) and width > 0.0 else 1.0
    digest = hashlib.sha256("\n".join(names).encode() + location.tobytes() + scale.tobytes()).hexdigest()
    return Normaliser(
        version=f"robust-{digest[:16]}",
        names=tuple(names),
        location=tuple(location.tolist()),
        scale=tuple(scale.tolist()),
    )
