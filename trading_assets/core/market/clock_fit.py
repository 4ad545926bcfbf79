"""Whether a clock rule fits the data: the market's weekends must lie where New York puts them.

The FX week ends on Friday 17:00 New York time and starts on Sunday 17:00. Closes are sharp; opens are noisy: some
servers open an hour late, some quote early. So a rule is refused when, taken over the weekends of one kind (American
and European daylight saving each on or off), the middle one

- closes more than 20 minutes after Friday 17:00, or
- closes *and* opens more than 20 minutes early: a shift of the clock moves both, a broker's habit moves one; or
- closes more than 30 minutes earlier than weekends of another kind: a rule with the wrong dates of daylight saving.

Single odd weekends and holidays change nothing. Data without a weekend cannot be refused, nor can bars longer than H1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trading_assets.core.errors import InputError
from trading_assets.core.market.clock import HOUR_MS, ClockRule, Milliseconds

NAMED_RULES = ("utc", "eu", "us")

_MINUTE_MS = 60_000
_DAY_MS = 24 * HOUR_MS
_WEEK_MS = 7 * _DAY_MS
# 1970-01-04, the first Sunday.
_SUNDAY_MS = 3 * _DAY_MS
_TOLERANCE_MIN = 20.0
_STEADY_MIN = 30.0
# Shorter gaps are pauses and holidays, longer ones missing data.
_SHORTEST_MS, _LONGEST_MS = 30 * HOUR_MS, 4 * _DAY_MS
_US, _EU = ClockRule.parse("us"), ClockRule.parse("eu")


class Weekends(NamedTuple):
    """Residuals of all weekends in minutes (positive: late), and their kinds at the close and at the open."""

    close: np.ndarray
    close_kind: np.ndarray
    open: np.ndarray
    open_kind: np.ndarray

    def without(self, index: int) -> Weekends:
        """Return all weekends but one."""
        return Weekends(*(np.delete(column, index) for column in self))


def check_fit(open_ms_utc: Milliseconds, rule: ClockRule, subject: object = "market data") -> None:
    """Raise InputError when the weekend gaps of the times (quotes or opens of bars, in order) do not fit.

    `open_ms_utc` are the times `rule` made of server times; `subject` names the data in the error.
    """
    problem = misfit(open_ms_utc)
    if not problem:
        return
    fitting = [name for name in fitting_rules(rule.to_server_ms(open_ms_utc)) if name != rule.name]
    verb = "fits" if len(fitting) == 1 else "fit"
    hint = f"pass the clock {' or '.join(fitting)}, which {verb}" if fitting else "pass the rule of the server's clock"
    raise InputError("reading", subject, f"the clock rule {rule.name} does not fit its weekends: {problem}", hint)


def fitting_rules(server_msc: Milliseconds) -> list[str]:
    """Return the names of the rules, of utc, eu and us, that the weekend gaps of server times do not refuse."""
    rules = [ClockRule.parse(name) for name in NAMED_RULES]
    return [rule.name for rule in rules if not misfit(rule.to_utc_ms(server_msc))]


def misfit(open_ms_utc: Milliseconds) -> str:
    """Return what does not fit, in words; empty when all does or when there is nothing to judge by."""
    return misfit_of(find_weekends(open_ms_utc))


def misfit_of(weekends: Weekends, fewest: int = 2) -> str:
    """Return what does not fit of these weekends, see `misfit`; of a kind with less than `fewest` the close may move."""
    closes: dict[int, float] = {}
    for kind in np.unique(weekends.close_kind):
        close = weekends.close[weekends.close_kind == kind]
        middle = closes[int(kind)] = _middle(close)
        opens = weekends.open[weekends.open_kind == kind]
        count = f"{close.size} weekend{'s' if close.size > 1 else ''}"
        if middle > _TOLERANCE_MIN:
            return f"in {count} the market would close {middle:.0f} minutes after Friday 17:00 New York time"
        if middle < -_TOLERANCE_MIN and opens.size and (early := _middle(opens)) < -_TOLERANCE_MIN:
            return f"in {count} the market would open {-early:.0f} minutes before Sunday 17:00 New York time"
    steady = {kind: middle for kind, middle in closes.items() if np.sum(weekends.close_kind == kind) >= fewest}
    if steady and (apart := max(steady.values()) - min(steady.values())) > _STEADY_MIN:
        return f"the Friday close would move by {apart:.0f} minutes against New York with daylight saving time"
    return ""


def find_weekends(open_ms_utc: Milliseconds) -> Weekends:
    """Find the weekend gaps and how far their ends lie from Friday and Sunday 17:00 New York time."""
    gaps = np.diff(open_ms_utc)
    step = _usual_step(gaps)
    at = (
        np.nonzero((gaps >= _SHORTEST_MS) & (gaps <= _LONGEST_MS))[0]
        if step <= HOUR_MS
        else np.empty(0, dtype=np.int64)
    )
    last, first = open_ms_utc[at], open_ms_utc[at + 1]
    # In New York + 7 h the weekend is Saturday and Sunday, from midnight to midnight.
    last_local, first_local = _US.to_server_ms(last) + step, _US.to_server_ms(first)
    middle = (last_local + first_local) // 2
    sunday = (middle - _SUNDAY_MS + _WEEK_MS // 2) // _WEEK_MS * _WEEK_MS + _SUNDAY_MS
    is_weekend = np.abs(middle - sunday) <= _DAY_MS
    return Weekends(
        ((last_local - sunday + _DAY_MS) / _MINUTE_MS)[is_weekend],
        _kinds(last)[is_weekend],
        ((first_local - sunday - _DAY_MS) / _MINUTE_MS)[is_weekend],
        _kinds(first)[is_weekend],
    )


def _usual_step(gaps: Milliseconds) -> int:
    """Return the length of the bars; for quotes about the time between two."""
    positive = gaps[gaps > 0]
    if not positive.size:
        return 0
    lengths, counts = np.unique(positive, return_counts=True)
    return int(lengths[np.argmax(counts)])


def _kinds(at_ms: Milliseconds) -> np.ndarray:
    """Number the kinds of weekends: bit 0 American, bit 1 European daylight saving time."""
    us = (_US.to_server_ms(at_ms) - at_ms) // HOUR_MS - 2
    eu = (_EU.to_server_ms(at_ms) - at_ms) // HOUR_MS - 2
    return np.asarray(us + 2 * eu)


def _middle(values: np.ndarray) -> float:
    """Return the median; of an even number the later one, as holidays only close early."""
    return float(np.quantile(values, 0.5, method="higher"))
