"""How a feature is declared: a function of a chart (or of the ladder of timeframes), its group and its unit.

The function's name is the feature's, its docstring the description; both reach the registry, the documentation and
the feature definitions in the lake. The features themselves are in `chart_features`, `base_features`,
`calendar_features` and `ladder_features`; what puts them together is `feature_set`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args

from trading_assets.core.features.window import Floats

Group = Literal[
    "trend", "momentum", "volatility", "volume", "microstructure", "price_action", "calendar", "cross_timeframe"
]

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Formula(Generic[Subject]):
    """One feature: its name, what it says and how it is computed."""

    name: str
    group: Group
    unit: str
    description: str
    compute: Callable[[Subject], Floats]


class Formulas(Generic[Subject]):
    """An ordered collection of formulas on the same subject, filled by decorating their functions."""

    def __init__(self) -> None:
        self._formulas: dict[str, Formula[Subject]] = {}

    def __call__(self, group: Group, unit: str) -> Callable[[Callable[[Subject], Any]], Callable[[Subject], Any]]:
        """Declare the decorated function as a feature of `group`, measured in `unit`."""
        if group not in get_args(Group):
            raise ValueError(f"unknown group {group!r} of features; known are {', '.join(get_args(Group))}")

        def declare(compute: Callable[[Subject], Any]) -> Callable[[Subject], Any]:
            name = compute.__name__
            if name in self._formulas:
                raise ValueError(f"feature {name} is declared twice")
            description = inspect.getdoc(compute)
            if not description:
                raise ValueError(f"feature {name} has no description; write its docstring")
            self._formulas[name] = Formula(name, group, unit, " ".join(description.split()), compute)
            return compute

        return declare

    @property
    def all(self) -> tuple[Formula[Subject], ...]:
        """The formulas in the order of their declaration."""
        return tuple(self._formulas.values())
