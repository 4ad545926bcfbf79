"""Why a decision was made, and whether it can be made again: recompute, compare bit for bit, say it in words.

Recomputing takes what the record holds; the caller brings the strategy and the release it names and the features made anew
from the window it references (or none, to use the recorded vector). Finding those is the caller's work.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from trading_assets.core.decisions.decide import DecisionContext, decide
from trading_assets.core.decisions.strategy import Strategy
from trading_assets.core.features.feature_set import decode_vector
from trading_assets.core.records.codec import encode_record
from trading_assets.core.records.decisions import Candidate, Decision, FilterVerdict
from trading_assets.core.release import Release


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One field that came out differently."""

    field: str
    recorded: str
    recomputed: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the recomputed decision is the recorded one, where not, and the decision in words."""

    is_identical: bool
    """Bit for bit; which version of the code made it does not count."""
    differences: tuple[Difference, ...]
    words: tuple[str, ...]
    other_version: str = ""
    """Which version recorded it, where it differs and was another one: no difference says that anything is wrong then."""


def context_of(decision: Decision) -> DecisionContext:
    """Return the context a recorded decision was made on."""
    return DecisionContext(
        tenant=decision.tenant,
        account=decision.account,
        chain_id=decision.chain_id,
        mode=decision.mode,
        symbol=decision.symbol,
        bar_open_at=decision.bar_open_at,
        bar_close_at=decision.bar_close_at,
        known_at=decision.known_at,
        inputs=decision.inputs,
        windows=decision.windows,
        window_sha256=decision.window_sha256,
        feature_window=decision.feature_window,
    )


def recompute(strategy: Strategy, decision: Decision, release: Release, features: np.ndarray | None = None) -> Decision:
    """Make a recorded decision again. `features` is the row made anew from the window; None takes the recorded one."""
    row = decode_vector(decision.features) if features is None else features
    return decide(strategy, context_of(decision), row, release)


def explain(decision: Decision, recomputed: Decision) -> Explanation:
    """Compare the encoded bytes of both, name every field that differs, and say why it was LONG, SHORT or WAIT."""
    made, here = decision.versions, recomputed.versions
    versions = msgspec.structs.replace(here, code=made.code, decisions=made.decisions)
    recomputed = msgspec.structs.replace(recomputed, versions=versions)
    is_identical = encode_record(decision) == encode_record(recomputed)
    differences = () if is_identical else tuple(_differences("", _plain(decision), _plain(recomputed)))
    is_other = (made.decisions, made.extractor) != (here.decisions, here.extractor)
    return Explanation(
        is_identical=is_identical,
        differences=differences,
        words=tuple(describe(decision)),
        other_version="" if is_identical or not is_other else _version(decision),
    )


def _version(decision: Decision) -> str:
    """Name the version that made a decision."""
    versions = decision.versions
    return f"software {versions.code}, decisions {versions.decisions or 'of before they had a version'}, {versions.extractor}"


def describe(decision: Decision) -> list[str]:
    """Return the decision in words: what and why, every filter, the cohort with its scores, every breaker."""
    return [
        *_headline(decision),
        *decision.reasons,
        *_filters(decision.filters),
        *[line for candidate in decision.candidates for line in _candidate(decision, candidate)],
        *_breakers(decision),
        *[f"warning: {warning}" for warning in decision.warnings],
        f"made by strategy {decision.versions.strategy}, features {decision.versions.feature_set}, "
        f"release {decision.versions.release}, software {decision.versions.code}",
    ]


def _headline(decision: Decision) -> list[str]:
    lines = [
        f"{decision.symbol} {decision.timeframe}, bar closed {decision.bar_close_at:%Y-%m-%d %H:%M} UTC, "
        f"{decision.inputs.bid:g}/{decision.inputs.ask:g}: {decision.suggestion}, action {decision.action} "
        f"(confidence {decision.confidence:.0%}, quality {decision.quality_score:.2f})"
    ]
    if decision.action in ("OPEN", "REVERSE"):
        lines.append(
            f"{decision.volume_lots} lots at {decision.entry_price:g}, stop {decision.stop_price:g}, "
            f"target {decision.target_price:g}, at risk {decision.risk_amount} {decision.inputs.account_state.currency}"
        )
    held = decision.inputs.position
    if held is not None:
        lines.append(
            f"held: {held.side} {held.volume_lots} lots from {held.entry_price:g}, "
            f"{held.bars_held} of {held.timeout_bars} bars, {held.unrealised_r:+.2f} R"
        )
    return lines


def _filters(verdicts: tuple[FilterVerdict, ...]) -> list[str]:
    return [
        f"filter {verdict.filter}: {verdict.verdict.replace('_', ' ')}, {verdict.reason} "
        f"(observed {verdict.observed}, limit {verdict.limit})"
        for verdict in verdicts
    ]


def _candidate(decision: Decision, candidate: Candidate) -> list[str]:
    name = f"{candidate.kind} {candidate.exit_profile}".strip()
    score = f"score {candidate.blended_score:.3f}"
    if candidate.win_probability is not None:
        score += (
            f" = {1.0 - decision.blend:.0%} rules {candidate.rule_score:.3f} "
            f"+ {decision.blend:.0%} win probability {candidate.win_probability:.3f}"
        )
    chosen = ", chosen" if candidate.idea_id == decision.idea_id else ""
    blocking = [verdict.reason for verdict in candidate.filters if verdict.verdict == "block"]
    obstacle = f", blocked: {'; '.join(blocking)}" if blocking else ""
    return [f"candidate {name}: {score}{chosen}{obstacle}"]


def _breakers(decision: Decision) -> list[str]:
    tripped = [
        f"breaker {state.breaker}: tripped, effect {state.effect}, {state.cause}"
        for state in decision.breakers
        if state.is_tripped
    ]
    clear = ", ".join([state.breaker for state in decision.breakers if not state.is_tripped])
    return [*tripped, f"breakers not tripped: {clear or 'none'}"]


def _plain(decision: Decision) -> Any:
    return msgspec.json.decode(encode_record(decision))


def _differences(path: str, recorded: Any, recomputed: Any) -> list[Difference]:
    if isinstance(recorded, dict) and isinstance(recomputed, dict):
        found: list[Difference] = []
        for key in recorded | recomputed:
            inner = f"{path}.{key}" if path else key
            found += _differences(inner, recorded.get(key), recomputed.get(key))
        return found
    if isinstance(recorded, list) and isinstance(recomputed, list) and len(recorded) == len(recomputed):
        found = []
        for index, (one, other) in enumerate(zip(recorded, recomputed, strict=True)):
            found += _differences(f"{path}[{index}]", one, other)
        return found
    if type(recorded) is type(recomputed) and recorded == recomputed:
        return []
    return [Difference(field=path, recorded=_text(recorded), recomputed=_text(recomputed))]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"
