"""Variants: the ways to train that are tried against each other. What becomes of each is `training`."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from trading_assets.core.learning.meta_model import TrainingParams
from trading_assets.core.learning.walk_forward import Scheme


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One way to train: which rows a fold learns from, the trees' parameters, and whether base models forecast for it."""

    name: str
    scheme: Scheme
    params: TrainingParams = TrainingParams()
    is_stacked: bool = False

    @property
    def sha256(self) -> str:
        """Hash of everything but the name: the same twice is one variant tried."""
        return sha256(msgspec.json.encode(msgspec.structs.replace(self, name=""), order="sorted")).hexdigest()


VARIANTS = (
    Variant(name="expanding", scheme="expanding"),
    Variant(name="sliding", scheme="sliding"),
    Variant(name="stacked", scheme="expanding", is_stacked=True),
)
