"""The hash of the source the features are computed by: what changes a value changes the version.

Comments, docstrings and layout do not count, otherwise a corrected spelling would orphan every release trained before
it. Only the modules named here take part in a value.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from functools import cache
from types import ModuleType

from trading_assets.core.features import (
    base_features,
    blocks,
    calendar,
    calendar_features,
    chart_features,
    indicators,
    ladder,
    ladder_features,
    window,
)

MODULES: tuple[ModuleType, ...] = (
    window,
    indicators,
    calendar,
    ladder,
    chart_features,
    base_features,
    calendar_features,
    ladder_features,
    blocks,
)


@cache
def source_sha256() -> str:
    """Hash of the code of `MODULES`, the same on every platform."""
    digest = hashlib.sha256()
    for module in MODULES:
        digest.update(code_only(inspect.getsource(module)).encode())
    return digest.hexdigest()


def code_only(source: str) -> str:
    """The program without comments, docstrings and layout, as Python writes its own syntax tree back."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
