"""The words of a decision: warnings and reasons a trader understands. Nothing here decides."""

from __future__ import annotations

from trading_assets.core.decisions.actions import Verdict
from trading_assets.core.decisions.forecasts import View
from trading_assets.core.decisions.sizing import Size
from trading_assets.core.decisions.strategy import Strategy
from trading_assets.core.decisions.weekend import minutes_to_weekend
from trading_assets.core.records.decisions import BreakerState, Candidate, DecisionInputs, FilterVerdict, Regime


def reasons(
    strategy: Strategy,
    regime: Regime,
    view: View,
    leading: Candidate | None,
    verdict: Verdict,
    limits: tuple[str, ...],
) -> tuple[str, ...]:
    """Return why it was decided so: the action, what stood in the way, the best candidate, the market, the forecasters.

    `limits` are those of the trader's own that bind.
    """
    words = [verdict.reason]
    if verdict.suggestion == "WAIT":
        words += verdict.obstacles
    if limits:
        words.append(f"the trader's own limits bind: {'; '.join(limits)}")
    if leading is not None:
        words.append(_candidate(strategy, leading))
    words.append(f"the market is {regime.label.replace('_', ' ')} (confidence {regime.confidence:.0%})")
    words.append(f"consensus {view.consensus:+.2f}, dispersion {view.dispersion:.2f}")
    words += [
        f"{forecast.forecaster.replace('_', ' ')} {forecast.value:+.2f} (confidence {forecast.confidence:.0%}): {forecast.reason}"
        for forecast in view.forecasts
    ]
    return tuple(words)


def warnings(
    strategy: Strategy,
    inputs: DecisionInputs,
    view: View,
    verdicts: tuple[FilterVerdict, ...],
    states: tuple[BreakerState, ...],
    entry: Size | None,
) -> tuple[str, ...]:
    """Return what a trader should know although it did not block. `entry` is the size of an entry, None without one."""
    words = [verdict.reason for verdict in verdicts if verdict.verdict == "not_available"]
    words += [state.cause for state in states if state.is_tripped and state.effect != "stop"]
    if entry is None:
        return tuple(words)
    if entry.bound != "risk":
        words.append(f"the volume is bounded by {entry.bound.replace('_', ' ')}, not by the risk per trade")
    if view.dispersion > 0.5 * strategy.filters.max_dispersion:
        words.append(f"the forecasters disagree: dispersion {view.dispersion:.2f}")
    left = (
        minutes_to_weekend(strategy.filters, inputs.quote_at, inputs.week_ends_at)
        - strategy.filters.weekend_exit_minutes
    )
    if left < 240:
        words.append(f"open positions are closed for the weekend in {left} minutes")
    return tuple(words)


def _candidate(strategy: Strategy, candidate: Candidate) -> str:
    text = f"best idea: {candidate.kind} {candidate.exit_profile}, rule score {candidate.rule_score:.2f}"
    if candidate.win_probability is not None:
        text += f", win probability {candidate.win_probability:.0%}, blended {candidate.blended_score:.2f}"
    return (
        f"{text}, reward {candidate.reward_r or 0.0:.1f} R, cost {candidate.cost_r or 0.0:.2f} R "
        f"(opens over {strategy.open_threshold:g})"
    )
