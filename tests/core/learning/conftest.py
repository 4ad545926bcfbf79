"""Synthetic dataset rows, with an edge or without one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from planted import synthetic_rows


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., pl.DataFrame]:
    """The factory of synthetic dataset rows."""
    return synthetic_rows


@pytest.fixture(scope="session")
def feature_names() -> tuple[str, ...]:
    """Names of the synthetic features."""
    return tuple(f"feature_{number}" for number in range(8))
