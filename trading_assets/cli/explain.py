"""`trading explain`: make a past decision again from the record, the window and the release, and compare bit for bit.

The record comes from the journal, the bars from the lake, the release from its folder, the strategy from the journal.
What the comparison says is `core.decisions.explain`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from trading_assets.core.decisions.decide import decide
from trading_assets.core.decisions.explain import Explanation, context_of, explain
from trading_assets.core.decisions.strategy import Strategy
from trading_assets.core.errors import InputError, StateError
from trading_assets.core.features.feature_set import FEATURE_SETS, FeatureSet
from trading_assets.core.features.window import ChartWindow, combined_sha256, instant, milliseconds
from trading_assets.core.ids import shown, ulid_time
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.trading import StrategyLoad
from trading_assets.core.release import RULES_ONLY, RULES_ONLY_ID, Release
from trading_assets.defs.windows import Charts
from trading_assets.store.home import Home
from trading_assets.store.journal import read_records
from trading_assets.store.lake import Lake
from trading_assets.store.release import load_release


@dataclass(frozen=True)
class Explained:
    """A decision, the same decision made again, and what the comparison says."""

    decision: Decision
    recomputed: Decision
    explanation: Explanation


def explain_signal(home: Home, signal_id: str) -> Explained:
    """Explain one decision. Raises InputError for an id the journal does not hold."""
    try:
        day = ulid_time(signal_id).date()
    except ValueError as error:
        raise InputError(
            "explaining", shown(signal_id), str(error), "take a signal id from a table or `trading status`"
        ) from error
    for decision in decisions_of(home, [day, day + timedelta(days=1)]):
        if decision.signal_id == signal_id:
            return Explainer(home, [decision.known_at.date()]).explain(decision)
    raise InputError(
        "explaining",
        signal_id,
        "the journal holds no such decision",
        "check the id; a trade's id goes to `trading trace`",
    )


def decisions_of(home: Home, days: list[date]) -> Iterator[Decision]:
    """Yield the sealed decisions of some days, in the order of the journal."""
    for record in read_records(home.raw, stream="trading", dates=days, types=(Decision,)):
        assert isinstance(record, Decision)
        yield record


class Explainer:
    """Makes decisions of some days again. Bars, strategies and releases are read once."""

    def __init__(self, home: Home, days: list[date]) -> None:
        self._home = home
        self._days = [min(days) - timedelta(days=1), *days]
        self._charts: dict[str, Charts] = {}
        self._releases: dict[str, Release] = {RULES_ONLY_ID: RULES_ONLY}
        self._strategies: dict[str, Strategy] = {}

    def explain(self, decision: Decision) -> Explained:
        """Recompute the features and the decision, and compare."""
        feature_set = _feature_set(decision)
        windows = self._windows(decision, feature_set)
        references = tuple(window.reference() for window in windows.values())
        row = feature_set.day(windows).matrix[-1]
        context = msgspec.structs.replace(
            context_of(decision), windows=references, window_sha256=combined_sha256(references)
        )
        again = decide(self._strategy(decision), context, row, self._release(decision))
        return Explained(decision, again, explain(decision, again))

    def _windows(self, decision: Decision, feature_set: FeatureSet) -> dict[str, ChartWindow]:
        """Take exactly the bars the references name. Raises StateError when the lake does not hold them."""
        if feature_set.version not in self._charts:
            self._charts[feature_set.version] = Charts(Lake(self._home.lake), self._days, feature_set.timeframes)
        charts = self._charts[feature_set.version]
        windows = {}
        for reference in decision.windows:
            chart = charts.of(decision.tenant, decision.account, decision.symbol, reference.timeframe)
            if reference.first_open_at is None or reference.last_open_at is None:
                windows[reference.timeframe] = chart.slice(0, 0)
                continue
            start, stop = chart.open_ms.searchsorted(
                [milliseconds(reference.first_open_at), milliseconds(reference.last_open_at) + 1]
            )
            windows[reference.timeframe] = chart.slice(int(start), int(stop))
            if stop - start != reference.bar_count:
                raise StateError(
                    "explaining", decision.signal_id,
                    f"the lake holds {stop - start} of the {reference.bar_count} {reference.timeframe} bars it saw from {instant(milliseconds(reference.first_open_at))}",
                    f"ingest those days again: trading materialise ingest --from {_oldest(decision):%Y-%m-%d} "
                    f"--to {decision.bar_open_at:%Y-%m-%d} --home {self._home.root}",
                )  # fmt: skip
        return windows

    def _release(self, decision: Decision) -> Release:
        name = decision.versions.release
        if name not in self._releases:
            self._releases[name] = load_release(self._home.releases, name)
        return self._releases[name]

    def _strategy(self, decision: Decision) -> Strategy:
        if not self._strategies:
            loads = read_records(self._home.raw, stream="trading", types=(StrategyLoad,))
            self._strategies = {
                load.strategy_version: Strategy.from_json(load.parameters)
                for load in loads
                if isinstance(load, StrategyLoad)
            }
        try:
            return self._strategies[decision.versions.strategy]
        except KeyError:
            raise StateError(
                "explaining", decision.signal_id, f"the journal does not hold strategy {decision.versions.strategy}",
                "run `trading verify` to see which segment is missing",
            ) from None  # fmt: skip


def _feature_set(decision: Decision) -> FeatureSet:
    for feature_set in FEATURE_SETS.values():
        if feature_set.version == decision.versions.feature_set:
            return feature_set
    raise StateError(
        "explaining", decision.signal_id, f"it was made with feature set {decision.versions.feature_set}, which this software no longer has",
        f"use version {decision.versions.code} of the software",
    )  # fmt: skip


def explained(result: Explained) -> dict[str, Any]:
    """Return one explained decision as an object."""
    decision, explanation = result.decision, result.explanation
    return {
        "signal_id": decision.signal_id,
        "symbol": decision.symbol,
        "bar_close_at": decision.bar_close_at,
        "suggestion": decision.suggestion,
        "action": decision.action,
        "is_identical": explanation.is_identical,
        "other_version": explanation.other_version,
        "differences": [f"{one.field}: {one.recorded} became {one.recomputed}" for one in explanation.differences],
        "words": list(explanation.words),
    }


def explain_day(home: Home, day: date) -> dict[str, Any]:
    """Explain every decision of a UTC day; return how many were made again bit for bit, and those that were not."""
    decisions = list(decisions_of(home, [day]))
    if not decisions:
        raise InputError(
            "explaining", day, "the journal holds no decision of that day", "name a day on which the market was open"
        )
    explainer = Explainer(home, [day])
    results = [explained(explainer.explain(decision)) for decision in decisions]
    different = [result for result in results if not result["is_identical"]]
    return {
        "day": day,
        "decisions": len(results),
        "identical": len(results) - len(different),
        "is_identical": not different,
        "different": different,
    }


def _oldest(decision: Decision) -> datetime:
    """Return the open of the oldest bar the decision saw."""
    return min((one.first_open_at for one in decision.windows if one.first_open_at), default=decision.bar_open_at)
