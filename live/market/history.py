"""How a symbol's charts are filled before its first decision: earlier runs' bars from the journal, the rest from the terminal.

The same precedence as in the lake: a bar built from quotes stands, a longer bar is made of shorter ones where there
are any, and the terminal's history fills what is missing. Bars of 4 hours and more are always made from H1: the
terminal's stand on its server's clock, ours on the UTC grid. Asking and waiting is `live.desk.desk`'s business.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from live.bridge.soundness import MOST_PRICE
from live.market.window import SymbolWindow
from trading_assets.core.features.feature_set import FeatureSet
from trading_assets.core.features.window import WARM_UP_BARS
from trading_assets.core.market.bars import BarAggregator, BarValues
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.market.timeframes import MINUTES, duration, floor
from trading_assets.core.messages import BarFacts

_ANSWERED_UP_TO = "H1"
# Five trading days a week, and a few days for holidays.
_CALENDAR_PER_TRADING = 7 / 5
_SPARE_DAYS = 5
# Ticks of a bar, points of a spread: their product must fit into 64 bits.
_MOST_COUNT = 2**31


def asked_timeframes(feature_set: FeatureSet) -> tuple[str, ...]:
    """Return the timeframes whose history the terminal is asked for, shortest first."""
    asked = [timeframe for timeframe in feature_set.timeframes if MINUTES[timeframe] <= MINUTES[_ANSWERED_UP_TO]]
    if len(asked) < len(feature_set.timeframes) and _ANSWERED_UP_TO not in asked:
        asked.append(_ANSWERED_UP_TO)
    return tuple(asked)


def asked_from(feature_set: FeatureSet, timeframe: str, now: datetime) -> datetime:
    """Return from when a first start asks for `timeframe`: a UTC midnight far enough back for every warm-up it serves."""
    served = [
        longer
        for longer in feature_set.timeframes
        if longer == timeframe or (timeframe == _ANSWERED_UP_TO and MINUTES[longer] > MINUTES[timeframe])
    ]
    longest = max(MINUTES[name] for name in served)
    days = math.ceil(WARM_UP_BARS * longest / MINUTES["D1"] * _CALENDAR_PER_TRADING) + _SPARE_DAYS
    return floor(now, "D1") - timedelta(days=days)


def bar_of(
    facts: BarFacts, symbol: str, timeframe: str, point: float, rule: ClockRule, chart_point: float | None = None
) -> BarValues | None:
    """Return a bar of the terminal's history; None for one that does not stand on the UTC grid, or is no bar.

    `point` is the terminal's now, `chart_point` the step the chart counts spreads in, where that is another one.
    """
    open_at = rule.to_utc(facts.time_msc)
    if floor(open_at, timeframe) != open_at or not _is_sound(facts):
        return None
    spread = facts.spread * point
    points = facts.spread if chart_point is None or chart_point == point else round(spread / chart_point)
    if points >= _MOST_COUNT:
        return None
    return BarValues(
        symbol=symbol,
        timeframe=timeframe,
        open_at=open_at,
        close_at=open_at + duration(timeframe),
        open=facts.open,
        high=facts.high,
        low=facts.low,
        close=facts.close,
        ask_open=facts.open + spread,
        ask_high=facts.high + spread,
        ask_low=facts.low + spread,
        ask_close=facts.close + spread,
        tick_count=facts.tick_volume,
        spread_min_points=points,
        spread_max_points=points,
        spread_sum_points=points * facts.tick_volume,
        source="history",
    )


def _is_sound(facts: BarFacts) -> bool:
    """Whether the values can be those of a bar."""
    is_ordered = 0.0 < facts.low <= min(facts.open, facts.close) <= max(facts.open, facts.close) <= facts.high
    return (
        is_ordered
        and facts.high < MOST_PRICE
        and 0 <= facts.tick_volume < _MOST_COUNT
        and 0 <= facts.spread < _MOST_COUNT
    )


def first_fill(feature_set: FeatureSet, answered: dict[str, list[BarValues]]) -> dict[str, list[BarValues]]:
    """Return the bars of every timeframe of the set for a chart without a past, each in order.

    A longer bar is made of the shorter ones where there are any, else it is the terminal's. `answered` holds closed bars
    by timeframe. The last longer bar is left out while the shorter ones have not reached its end.
    """
    levels: dict[str, list[BarValues]] = {}
    shorter: list[BarValues] = []
    for timeframe in sorted({*feature_set.timeframes, *answered}, key=MINUTES.__getitem__):
        made = _made(shorter, timeframe)
        taken = {bar.open_at for bar in made}
        own = [bar for bar in _from_midnight(answered.get(timeframe, [])) if bar.open_at not in taken]
        shorter = sorted([*made, *own], key=lambda bar: bar.open_at)
        levels[timeframe] = shorter
    reached = max((bars[-1].close_at for bars in answered.values() if bars), default=None)
    return {
        timeframe: [bar for bar in levels[timeframe] if reached is None or bar.close_at <= reached]
        for timeframe in feature_set.timeframes
    }


def gap_fill(window: SymbolWindow, answered: Iterable[BarValues], now: datetime) -> list[BarValues]:
    """Append the base bars that closed while nobody watched; returns them and the longer bars they close.

    A bar that quotes of an earlier run began is made of those quotes, however few; bars after it are the terminal's.
    """
    filled: list[BarValues] = []
    for bar in answered:
        if window.forming_open is not None and bar.open_at >= window.forming_open:
            closing = window.advance(now)
            if closing is None:
                break
            filled += [closing.bar, *closing.longer]
        if bar.open_at >= window.closed_until:
            filled.append(bar)
            filled += window.fill([bar])
    return filled


def _made(shorter: Sequence[BarValues], timeframe: str) -> list[BarValues]:
    """Return the longer bars made of shorter ones, the last one also when it is not complete."""
    made: list[BarValues] = []
    if not shorter:
        return made
    aggregator = BarAggregator(shorter[0].symbol, timeframe)
    for bar in shorter:
        closed = aggregator.add(bar)
        if closed is not None:
            made.append(closed)
    if aggregator.forming is not None:
        made.append(aggregator.forming)
    return made


def _from_midnight(bars: Sequence[BarValues]) -> list[BarValues]:
    """Drop the bars before the first UTC midnight, so that no longer bar is made of a part of its time.

    A terminal that holds less history than asked for begins anywhere.
    """
    if not bars:
        return []
    first = bars[0].open_at
    midnight = floor(first, "D1")
    start = midnight if midnight == first else midnight + timedelta(days=1)
    # A week begins on Sunday evening: nothing of that day is missing.
    if first.weekday() == 6:
        start = midnight
    return [bar for bar in bars if bar.open_at >= start]
