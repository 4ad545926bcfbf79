"""Filters: what keeps a decision from entering, each with the value it saw, its limit and a sentence.

COHORT_FILTERS hold for every candidate of a decision, those of `broker_filters` among them; those of one candidate are in
`candidate_filters`. A filter without
its source says `not_available` and does not block. Filters concern entries; what closes a position is in `actions`.
"""

from __future__ import annotations

from collections.abc import Callable

from trading_assets.core.decisions.broker_filters import BROKER_FILTERS
from trading_assets.core.decisions.verdicts import Scene, not_available, verdict_on
from trading_assets.core.decisions.weekend import minutes_to_weekend
from trading_assets.core.records.decisions import FilterVerdict


def cohort_verdicts(scene: Scene) -> tuple[FilterVerdict, ...]:
    """Return the verdict of every cohort filter, in their order."""
    return tuple([judge(scene) for judge in COHORT_FILTERS])


# --- the whole cohort ---------------------------------------------------------------------------------------------


def history(scene: Scene) -> FilterVerdict:
    """There must be enough bars, and with them an ATR to measure stops with."""
    count, least = scene.inputs.base_bar_count, scene.minimum_bars
    if count >= least and scene.atr is None:
        return verdict_on(
            "history", True, f"{count}, no ATR", str(least), "", "insufficient history: there is no ATR yet"
        )
    return verdict_on(
        "history",
        count < least,
        str(count),
        str(least),
        "there is enough history",
        f"insufficient history: {count} bars, {least} are needed",
    )


def stale_data(scene: Scene) -> FilterVerdict:
    """Quote and bar must be recent by the clock of their origin, and not have been delivered late."""
    inputs = scene.inputs
    age = max((scene.known_at - min(inputs.quote_at, scene.bar_close_at)).total_seconds(), 0.0)
    limit = scene.strategy.filters.max_quote_age_s
    if inputs.is_late:
        return verdict_on(
            "stale_data", True, "late", f"{limit:g} s", "", "the quote was delivered late: it is recorded, not traded"
        )
    return verdict_on(
        "stale_data",
        age > limit,
        f"{age:.1f} s",
        f"{limit:g} s",
        "the quote is fresh",
        f"the last quote is {age:.0f} s old, over the limit of {limit:g} s",
    )


def bar_data(scene: Scene) -> FilterVerdict:
    """The bar must be made of all its quotes, in time: with some missing its prices are not the market's."""
    problem = scene.inputs.bar_problem
    return verdict_on(
        "bar_data", bool(problem), problem or "complete", "complete", "the bar has all its quotes", problem
    )


def spread(scene: Scene) -> FilterVerdict:
    """The spread must be small beside the usual range of a bar."""
    inputs, limit = scene.inputs, scene.strategy.filters.max_spread_atr
    points = (inputs.ask - inputs.bid) / inputs.symbol_state.point
    if scene.atr is None:
        return not_available(
            "spread", f"{points:.1f} points", f"{limit:g} ATR", "there is no ATR to hold the spread against"
        )
    share = (inputs.ask - inputs.bid) / scene.atr
    return verdict_on(
        "spread",
        share > limit,
        f"{share:.3f} ATR ({points:.1f} points)",
        f"{limit:g} ATR",
        "the spread is small enough",
        f"the spread of {points:.1f} points is {share:.0%} of the ATR, over the limit of {limit:.0%}",
    )


def session(scene: Scene) -> FilterVerdict:
    """Entries only in the hours of the strategy (UTC)."""
    start, end = scene.strategy.filters.session_start_hour, scene.strategy.filters.session_end_hour
    at = scene.bar_close_at
    is_inside = start <= at.hour < end if start < end else at.hour >= start or at.hour < end
    return verdict_on(
        "session",
        not is_inside,
        f"{at:%H:%M} UTC",
        f"{start:02d}-{end:02d} UTC",
        "the session is open for entries",
        f"no entries at {at:%H:%M} UTC, outside {start:02d}:00 to {end:02d}:00",
    )


def weekend(scene: Scene) -> FilterVerdict:
    """No entries shortly before the weekend, nor in it."""
    limits = scene.strategy.filters
    left = minutes_to_weekend(limits, scene.bar_close_at, scene.inputs.week_ends_at)
    return verdict_on(
        "weekend",
        left <= limits.weekend_entry_minutes,
        f"{left} min",
        f"{limits.weekend_entry_minutes} min",
        "the weekend is far enough",
        f"no entries in the last {limits.weekend_entry_minutes} minutes of the week"
        if left > 0
        else "the market is closed",
    )


def news(_scene: Scene) -> FilterVerdict:
    """No entries around announcements. No calendar is connected, so there is nothing to hold against."""
    return _NEWS


def regime(scene: Scene) -> FilterVerdict:
    """Some regimes are not traded once they are recognised with confidence."""
    seen, limits = scene.regime, scene.strategy.filters
    return verdict_on(
        "regime",
        seen.label in limits.blocked_regimes and seen.confidence >= limits.min_regime_confidence,
        f"{seen.label} {seen.confidence:.2f}",
        f"not {','.join(limits.blocked_regimes)} from {limits.min_regime_confidence:g}",
        "the regime may be traded",
        f"the market is {seen.label.replace('_', ' ')} with confidence {seen.confidence:.0%}",
    )


def volatility(scene: Scene) -> FilterVerdict:
    """No entries while the market moves far more than it usually does."""
    ratio, limit = scene.volatility_ratio, scene.strategy.filters.max_volatility_ratio
    if ratio is None:
        return not_available("volatility", "none", f"{limit:g}", "there is too little history for a usual volatility")
    return verdict_on(
        "volatility",
        ratio > limit,
        f"{ratio:.2f}",
        f"{limit:g}",
        "the volatility is usual",
        f"the market moves {ratio:.1f} times as much as usual, over the limit of {limit:g}",
    )


def consensus(scene: Scene) -> FilterVerdict:
    """The forecasters together must have an opinion."""
    strength, limit = abs(scene.consensus), scene.strategy.filters.min_consensus
    return verdict_on(
        "consensus",
        strength < limit,
        f"{scene.consensus:+.3f}",
        f"{limit:g}",
        "the forecasters have an opinion",
        f"the consensus of {scene.consensus:+.2f} is too weak, {limit:g} is needed",
    )


def dispersion(scene: Scene) -> FilterVerdict:
    """The forecasters must not contradict each other too much."""
    limit = scene.strategy.filters.max_dispersion
    return verdict_on(
        "dispersion",
        scene.dispersion > limit,
        f"{scene.dispersion:.3f}",
        f"{limit:g}",
        "the forecasters agree well enough",
        f"the forecasters contradict each other: dispersion {scene.dispersion:.2f}, over the limit of {limit:g}",
    )


def pending_orders(scene: Scene) -> FilterVerdict:
    """While the result of an order is not known, nothing new is sent (invariant 4)."""
    pending = scene.inputs.risk.pending_orders
    return verdict_on(
        "pending_orders",
        pending > 0,
        str(pending),
        "0",
        "no order waits for its result",
        "the result of an order on this symbol is not known yet",
    )


def positions(scene: Scene) -> FilterVerdict:
    """The account may hold so many positions; one on this symbol makes room when it is reversed."""
    risk, limit = scene.inputs.risk, scene.strategy.max_positions
    open_, pending = risk.open_positions - (scene.inputs.position is not None), risk.pending_entries
    words = f"{open_} positions are open on other symbols"
    return verdict_on(
        "positions",
        open_ + pending >= limit,
        str(open_ + pending),
        f"under {limit}",
        "there is room for a position",
        f"{words}{f' and {pending} entries are under way' if pending else ''}, the limit is {limit}",
    )


COHORT_FILTERS: tuple[Callable[[Scene], FilterVerdict], ...] = (
    *BROKER_FILTERS,
    history,
    stale_data,
    bar_data,
    spread,
    session,
    weekend,
    news,
    regime,
    volatility,
    consensus,
    dispersion,
    pending_orders,
    positions,
)

# Filters about quotes and bars: while one blocks, the breaker `data` is tripped for the decision.
DATA_FILTERS = frozenset({"stale_data", "bar_data"})
# Filters about what is seen: while one blocks, a signal means nothing, so it does not close a position either.
SIGHT_FILTERS = frozenset({"history", *DATA_FILTERS})


_NEWS = not_available("news", "no calendar", "none", "no news calendar is connected; announcements are not considered")
