"""The hash of the code decisions are made by: another filter, breaker or formula is another version.

A decision recorded by another version may come out differently without anything being wrong; `explain` says so. Comments,
docstrings and layout do not count.
"""

from __future__ import annotations

import hashlib
import inspect
from functools import cache
from importlib import import_module

from trading_assets.core.features.source import code_only

MODULES = (
    "actions",
    "assessment",
    "breakers",
    "broker_filters",
    "candidate_columns",
    "candidate_filters",
    "candidates",
    "decide",
    "filters",
    "forecasts",
    "scoring",
    "sizing",
    "strategy",
    "verdicts",
    "weekend",
    "wording",
)
"""Modules of this package that take part in a decision. By name: `decide` itself is among them."""


@cache
def decisions_version() -> str:
    """Short hash of the code of `MODULES`."""
    package = __name__.rpartition(".")[0]
    digest = hashlib.sha256()
    for name in MODULES:
        digest.update(code_only(inspect.getsource(import_module(f"{package}.{name}"))).encode())
    return digest.hexdigest()[:12]
