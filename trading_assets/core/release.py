"""What a release is: a model, its normaliser and how much it counts, all named and hashed.

A release is made by the learning half and read by the daemon; how it rests on disk is `store.release`. Here is
its meaning alone: the manifest, the protocol of a model, and the release there is before the first one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal, Protocol, TypeAlias, get_args

import msgspec
import numpy as np

from trading_assets.core.features.feature_set import FeatureSet
from trading_assets.core.features.normaliser import Normaliser, identity

RULES_ONLY_ID = "rules-only"

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class WinModel(Protocol):
    """A meta-model: how likely does each candidate win?"""

    def win_probability(self, matrix: np.ndarray) -> np.ndarray:
        """Return one calibrated probability for each row of candidate_matrix(), shape (n,)."""
        ...


CalibrationMethod: TypeAlias = Literal["isotonic", "platt", "beta"]
CALIBRATION_METHODS: tuple[CalibrationMethod, ...] = get_args(CalibrationMethod)
_PARAMETERS = {"isotonic": 0, "platt": 2, "beta": 3}


class Calibration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What raw scores mean as probabilities: knots joined by lines, or the parameters of a curve.

    `platt` has a slope and an intercept on the logit, `beta` the slopes a, b and the intercept of Kull, Silva Filho and Flach
    (2017). Knots alone have the bytes of releases from before there were curves.
    """

    raw: tuple[float, ...] = ()
    """Scores of the knots, rising."""
    calibrated: tuple[float, ...] = ()
    """The probabilities they mean."""
    method: CalibrationMethod = "isotonic"
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.parameters) != _PARAMETERS[self.method]:
            raise ValueError(f"a {self.method} calibration has {_PARAMETERS[self.method]} parameters")
        if len(self.raw) != len(self.calibrated) or (self.method == "isotonic") != bool(self.raw):
            raise ValueError("a calibration has either knots, each with its probability, or parameters")


class ReleaseManifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that identifies a release and what it was made from."""

    release_id: Annotated[str, msgspec.Meta(min_length=1)]
    created_at: datetime
    model_version: str
    feature_set_version: str
    strategy_version: str
    candidate_features: tuple[str, ...]
    """Columns of the matrix the model was trained on, in order."""
    blend: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
    """Weight of the model in the blended score; 0 is shadow."""
    normaliser: Normaliser
    calibration: Calibration
    dataset_version: int
    dataset_sha256: Sha256
    files: dict[str, Sha256]
    parent_release_id: str | None


@dataclass(frozen=True, slots=True)
class Release:
    """A release in use: its manifest and its loaded model; both are None for the rules alone."""

    manifest: ReleaseManifest | None
    model: WinModel | None
    has_probe: bool = False
    """Whether the model was shown to score the rows of its probe as it did when it was released."""

    def __post_init__(self) -> None:
        if (self.manifest is None) != (self.model is None):
            raise ValueError("a release has both a manifest and a model, or neither")

    @property
    def release_id(self) -> str:
        """Name of the release; `rules-only` without one."""
        return RULES_ONLY_ID if self.manifest is None else self.manifest.release_id

    @property
    def model_version(self) -> str | None:
        """Version of the meta-model; None without one."""
        return None if self.manifest is None else self.manifest.model_version

    @property
    def blend(self) -> float:
        """Weight of the model in the blended score."""
        return 0.0 if self.manifest is None else self.manifest.blend

    def normaliser(self, feature_set: FeatureSet) -> Normaliser:
        """Return the release's normaliser, the identity before the first release."""
        return _identity(feature_set.names) if self.manifest is None else self.manifest.normaliser

    def mismatch(self, feature_set: FeatureSet, candidate_features: tuple[str, ...]) -> str | None:
        """Say why this release cannot judge decisions made with `feature_set`; None when it can."""
        manifest = self.manifest
        if manifest is None:
            return None
        if manifest.feature_set_version != feature_set.version:
            return f"was trained on feature set {manifest.feature_set_version}, in use is {feature_set.version}"
        if manifest.candidate_features != candidate_features:
            return "was trained on other candidate features than this software makes"
        return None


@lru_cache(maxsize=8)
def _identity(names: tuple[str, ...]) -> Normaliser:
    return identity(names)


RULES_ONLY = Release(None, None)
