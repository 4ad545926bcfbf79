"""Which clock rule a server follows, told from its own history of H1 bars: one rule, or a refusal that says why.

Candidates are `utc`, `eu`, `us` and every fixed offset in whole hours; what refutes one is in `clock_fit`. Four things
make the verdict careful, as a wrong one would put every later record an hour off:

- **One odd weekend decides nothing.** A rule is out only when it is refuted whichever single weekend is left aside.
- **The rule that is left must fit well**: in every season most weeks end within minutes of Friday 17:00 New York time. A server
  that ends its weeks an hour early now and then (some did in 2013) looks like one of another rule: it is refused.
- **A fixed offset must be proved**: history has to hold weekends of American summer and of winter. Without both, a server
  that does not switch cannot be told from one that switches by a rule that is not known here.
- **What cannot be told apart is refused.** `eu` and `us` give the same times but for the two or three weeks between
  their dates in March and the one in autumn: history without those weeks fits both. Waiting until it matters would mean that
  the rule is guessed in the very week in which it counts; so a person names it once. History of a year decides by itself.

The server's time against a clock that is right narrows further, where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from trading_assets.core.market.clock import HOUR_MS, ClockRule, Milliseconds
from trading_assets.core.market.clock_fit import NAMED_RULES, Weekends, find_weekends, misfit_of
from trading_assets.core.market.timeframes import to_ms

HISTORY = timedelta(days=400)
"""How much history to ask for: a year holds every week between the American and the European dates."""
TOLERANCE_MS = 10 * 60_000
"""By how much a server's clock may be off, and quotes be under way, before its offset says something else."""

_FIXED_HOURS = tuple(hours for hours in range(-12, 15) if hours)
_AMERICAN_SUMMER = 1  # bit of the kinds of `Weekends`
# A week that ends this close to Friday 17:00 is sharp; so many of each season must be.
_SHARP_MIN, _SHARP_SHARE = 20.0, 2 / 3
# A rule is hours off when all weeks but a few end that far from Friday 17:00.
_FAR_MIN, _FEW = 130.0, 4
_HALF_HOUR_MS = HOUR_MS // 2


@dataclass(frozen=True, slots=True)
class Detection:
    """A verdict: `rule` when it is certain, else `problem` says why not."""

    candidates: tuple[str, ...]
    """Rules that are not refuted."""
    sharp: tuple[str, ...]
    """Those of them that fit well."""
    weekends: int
    problem: str

    @property
    def rule(self) -> ClockRule | None:
        """The rule, when exactly one is left and proved."""
        return None if self.problem else ClockRule.parse(self.candidates[0])

    def contradicts(self, rule: str) -> str:
        """Say why a rule cannot be the server's; empty when it may be, or when noise is all there is to judge by."""
        if not self.sharp or rule in self.candidates:
            return ""
        fitting = " or ".join(self.sharp)
        return f"the rule {rule} does not fit the {_weekends(self.weekends)} of the server's history, {fitting} would"


def detect(
    server_msc: Milliseconds,
    rule: ClockRule | None = None,
    *,
    offset_ms: int | None = None,
    now: datetime | None = None,
) -> Detection:
    """Tell the rule from opens of H1 bars (server time, in order); `rule` is looked at besides the usual candidates.

    `offset_ms`: by how much the server's time was ahead of UTC at `now`, where that is known.
    """
    rules = {one.name: one for one in (*_candidates(), *([rule] if rule else []))}
    found = {name: find_weekends(one.to_utc_ms(server_msc)) for name, one in rules.items()}
    weekends = max(len(one.close) for one in found.values())
    fitting = [name for name, one in found.items() if len(one.close) and not _is_refuted(one)]
    if offset_ms is not None and now is not None:
        # An offset that no rule explains says more of the offset (a clock that stands still on a holiday) than of the rules.
        fitting = [name for name in fitting if explains(rules[name], offset_ms, now)] or fitting
    sharp = [name for name in fitting if _is_sharp(name, found[name])]
    return Detection(tuple(fitting), tuple(sharp), weekends, _problem(fitting, sharp, found, weekends))


def explains(rule: ClockRule, offset_ms: int, at: datetime) -> bool:
    """Say whether a server whose time is `offset_ms` ahead of UTC at `at` may follow the rule."""
    return abs(offset_ms - (rule.to_server(at) - to_ms(at))) <= TOLERANCE_MS


def offset_text(offset_ms: int) -> str:
    """Return an offset rounded to the half hour as people write it, such as UTC+2 or UTC-5:30."""
    halves = round(offset_ms / _HALF_HOUR_MS)
    hours, half = divmod(abs(halves), 2)
    return f"UTC{'-' if halves < 0 else '+'}{hours}{':30' if half else ''}"


def _candidates() -> list[ClockRule]:
    fixed = [ClockRule.parse(f"{hours:+d}") for hours in _FIXED_HOURS]
    return [*(ClockRule.parse(name) for name in NAMED_RULES), *fixed]


def _is_refuted(weekends: Weekends) -> bool:
    if not misfit_of(weekends):
        return False
    count = len(weekends.close)
    if count > _FEW and np.sum(np.abs(weekends.close) > _FAR_MIN) > count - _FEW:
        return True  # No single weekend makes up for that.
    return count < 2 or all(misfit_of(weekends.without(index), 1) for index in range(count))


def _is_sharp(name: str, weekends: Weekends) -> bool:
    # Servers that switch may open at their own midnight, an hour late in some weeks; without a switch nothing excuses that.
    opens = name in ("eu", "us") or _are_near(weekends.open, weekends.open_kind)
    return opens and _are_near(weekends.close, weekends.close_kind)


def _are_near(residuals: npt.NDArray[np.float64], kinds: npt.NDArray[np.int64]) -> bool:
    near = np.abs(residuals) <= _SHARP_MIN
    return all(float(np.mean(near[kinds == kind])) >= _SHARP_SHARE for kind in np.unique(kinds))


def _problem(fitting: list[str], sharp: list[str], found: dict[str, Weekends], weekends: int) -> str:
    span = f"the {_weekends(weekends)} of its history"
    if not weekends:
        return "its history holds no weekend by which a rule could be told"
    if not fitting:
        return f"no rule known here fits {span}"
    if len(fitting) > 1:
        return f"{', '.join(fitting[:-1])} and {fitting[-1]} all fit {span}"
    (name,) = fitting
    if not sharp:
        return f"only {name} fits {span}, but too many of them do not begin or end at 17:00 New York time"
    seasons = {int(kind) & _AMERICAN_SUMMER for kind in found[name].close_kind}
    if name not in ("eu", "us") and len(seasons) < 2:
        return f"{name} fits {span}, but none of them lies on the other side of a change to or from summer time"
    return ""


def _weekends(count: int) -> str:
    return f"{count} weekend{'' if count == 1 else 's'}"
