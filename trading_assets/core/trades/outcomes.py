"""How a trade ended: from the decision that opened it, its deals and its path to one outcome.

Prices are averages over the deals' volumes, money is the sum of the deals, R is measured with the risk unit of the decision. The
path while the trade was open is `path`; what a candidate would have come to is `labels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from trading_assets.core.errors import StateError
from trading_assets.core.ids import trade_id
from trading_assets.core.records.decisions import Candidate, Decision
from trading_assets.core.records.record import ExitReason
from trading_assets.core.records.trading import Deal, Outcome
from trading_assets.core.trades.deal_kinds import TRADE_KINDS
from trading_assets.core.trades.path import PathSummary, TradePath

__all__ = [
    "END_OF_TEST",
    "TradePath",
    "candidate_of",
    "entries_of",
    "exit_reason",
    "exits_of",
    "is_closed",
    "outcome",
    "revised",
]

END_OF_TEST = "end of test"
"""Comment of the deals that close what is still open when a replay ends."""

_BROKER_REASONS: dict[str, ExitReason] = {"SL": "stop", "TP": "target", "SO": "stop_out"}
_OUR_REASONS: dict[str, ExitReason] = {"signal": "signal", "timeout": "timeout", "weekend": "weekend"}
_ZERO = Decimal(0)


def outcome(
    decision: Decision, deals: Sequence[Deal], path: PathSummary, close_reason: str, known_at: datetime
) -> Outcome:
    """Return the outcome of the trade `decision` opened. `close_reason` is that of our closing order, empty without one.

    Raises StateError when the deals are not those of one closed trade: none, more closed than opened, or less.
    """
    entries, exits = entries_of(deals), exits_of(deals)
    _require_closed(decision, fills_of(deals), entries, exits)
    lives = lives_of(deals)
    (first, _), (_, last) = lives[0], lives[-1]
    candidate = candidate_of(decision)
    risk_unit = candidate.risk_unit or 0.0
    opened_at = min(deal.event_at for deal in entries)
    closed_at = max(deal.event_at for deal in exits)
    entry_price, exit_price = _average_price(first), _average_price(last)
    side = 1.0 if entries[0].kind == "BUY" else -1.0
    result = sum(_moved(entered, left, side, _volume(first)) for entered, left in lives) / risk_unit
    reason = exit_reason(last, close_reason)
    held_s = (closed_at - opened_at).total_seconds()
    # A fill through the stop, or better than any quote before it, belongs to the excursions too.
    best = max(path.mfe_r, result, 0.0)
    gross, commission = _total(deals, "profit"), _total(deals, "commission")
    swap, fee = _total(deals, "swap"), _total(deals, "fee")
    return Outcome(
        tenant=decision.tenant,
        account=decision.account,
        event_at=closed_at,
        known_at=known_at,
        chain_id=decision.chain_id,
        trade_id=trade_id(decision.signal_id),
        signal_id=decision.signal_id,
        idea_id=candidate.idea_id,
        position_id=entries[0].position_id,
        symbol=decision.symbol,
        side="BUY" if side > 0.0 else "SELL",
        opened_at=opened_at,
        closed_at=closed_at,
        exit_reason=reason,
        volume_lots=_volume(first),
        entry_price=entry_price,
        exit_price=exit_price,
        stop_price=candidate.stop_price or 0.0,
        target_price=candidate.target_price or 0.0,
        risk_unit=risk_unit,
        gross_pnl=gross,
        commission=commission,
        swap=swap,
        fee=fee,
        net_pnl=gross + commission + swap + fee,
        result_r=result,
        mae_r=min(path.mae_r, result, 0.0),
        mfe_r=best,
        time_to_mfe_s=held_s if best > path.mfe_r else min(path.time_to_mfe_s, held_s),
        time_to_target_s=held_s if reason == "target" else None,
        holding_s=held_s,
        realised_volatility=path.realised_volatility,
        slippage_points=_average_slippage(first) + _average_slippage(last),
        mark_count=path.mark_count,
    )


def revised(before: Outcome, deals: Sequence[Deal], known_at: datetime) -> Outcome | None:
    """Return the next revision of an outcome whose deals were changed, from all of them as told last; None when nothing changes.

    What the path was stays as it was seen. A trade whose deals were all taken back filled nothing and keeps its prices.
    """
    entries, exits = entries_of(deals), exits_of(deals)
    gross, commission = _total(deals, "profit"), _total(deals, "commission")
    swap, fee = _total(deals, "swap"), _total(deals, "fee")
    changes: dict[str, object] = {
        "gross_pnl": gross, "commission": commission, "swap": swap, "fee": fee, "net_pnl": gross + commission + swap + fee,
    }  # fmt: skip
    if entries and exits and is_closed(deals):
        lives = lives_of(deals)
        (first, _), (_, last) = lives[0], lives[-1]
        entry_price, exit_price = _average_price(first), _average_price(last)
        if (entry_price, exit_price) != (before.entry_price, before.exit_price):
            side = 1.0 if before.side == "BUY" else -1.0
            result = sum(_moved(entered, left, side, _volume(first)) for entered, left in lives) / before.risk_unit
            changes |= {"entry_price": entry_price, "exit_price": exit_price, "result_r": result}
            changes |= {"mae_r": min(before.mae_r, result), "mfe_r": max(before.mfe_r, result)}
        changes["volume_lots"] = _volume(first)
        ending = max(last, key=lambda deal: (deal.event_at, deal.deal_ticket))
        if ending.reason in _BROKER_REASONS:
            changes["exit_reason"] = _BROKER_REASONS[ending.reason]
    elif not entries:
        changes |= {"volume_lots": _ZERO, "result_r": 0.0}
    if all(getattr(before, name) == value for name, value in changes.items()):
        return None
    return msgspec.structs.replace(before, known_at=known_at, revision=before.revision + 1, **changes)


def fills_of(deals: Sequence[Deal]) -> list[Deal]:
    """Return the deals that fill volume: those the broker took back do not any more."""
    return [deal for deal in deals if deal.kind in TRADE_KINDS]


def entries_of(deals: Sequence[Deal]) -> list[Deal]:
    """Return the deals that opened."""
    return [deal for deal in fills_of(deals) if deal.entry == "IN"]


def is_closed(deals: Sequence[Deal]) -> bool:
    """Return whether as much was closed as was opened, and anything was."""
    opened = _volume(entries_of(deals))
    return opened > 0 and opened == _volume(exits_of(deals))


def exits_of(deals: Sequence[Deal]) -> list[Deal]:
    """Return the deals that closed, each with the volume it closed.

    A deal that turns a netted position round (INOUT) closes all that was open; the rest of it opens a position of another's.
    """
    fills = fills_of(deals)
    exits = [deal for deal in fills if deal.entry in ("OUT", "OUT_BY")]
    left = _volume(entries_of(fills)) - _volume(exits)
    for deal in fills:
        if deal.entry == "INOUT":
            exits.append(msgspec.structs.replace(deal, volume_lots=max(left, _ZERO)))
            left = _ZERO
    return exits


def lives_of(deals: Sequence[Deal]) -> list[tuple[list[Deal], list[Deal]]]:
    """Return entries and exits of each life of a trade that was entered, in the order of time.

    A trade has one, unless its position was closed and entered again: by the broker at the rollover, or to correct a deal.
    """
    entries, exits = entries_of(deals), exits_of(deals)
    lives: list[tuple[list[Deal], list[Deal]]] = [([], [])]
    held = _ZERO
    for deal in sorted([*entries, *exits], key=_moment):
        entered, left = lives[-1]
        if deal.entry != "IN":
            left.append(deal)
            held -= deal.volume_lots
            continue
        if left and not held:
            entered = []
            lives.append((entered, []))
        entered.append(deal)
        held += deal.volume_lots
    is_clear = all(entered and _volume(entered) == _volume(left) for entered, left in lives[:-1])
    # Times that contradict each other tell no lives apart.
    return lives if len(lives) > 1 and is_clear else [(entries, exits)]


def exit_reason(exits: Sequence[Deal], close_reason: str) -> ExitReason:
    """Return why a trade ended, by its last exit deal.

    SL, TP and SO are the broker's word. A deal of an Expert Advisor is ours when we have a closing order, whose reason
    counts; else someone closed the position by hand or with another program: manual.
    """
    last = max(exits, key=lambda deal: (deal.event_at, deal.deal_ticket))
    if last.reason in _BROKER_REASONS:
        return _BROKER_REASONS[last.reason]
    if last.comment == END_OF_TEST:
        return "end_of_test"
    return _OUR_REASONS.get(close_reason, "manual") if last.reason == "EXPERT" else "manual"


def candidate_of(decision: Decision) -> Candidate:
    """Return the candidate a decision chose. Raises StateError when it chose none with a stop."""
    for candidate in decision.candidates:
        if candidate.idea_id == decision.idea_id and candidate.risk_unit:
            return candidate
    raise StateError(
        "settling",
        f"signal {decision.signal_id}",
        f"the decision {decision.suggestion}/{decision.action} chose no candidate with a stop",
        "check with `trading verify` that the journal is the one the trade was made under",
    )


def _require_closed(decision: Decision, deals: Sequence[Deal], entries: Sequence[Deal], exits: Sequence[Deal]) -> None:
    if (
        entries
        and len({deal.kind for deal in entries}) == 1
        and len(entries) + len(exits) == len(deals)
        and is_closed(deals)
    ):
        return
    opened, closed = _volume(entries), _volume(exits)
    raise StateError(
        "settling",
        f"trade {trade_id(decision.signal_id)}",
        f"its {len(deals)} deals open {opened} and close {closed} lots, which is not one closed trade",
        "ask the terminal for the missing deals with the command `query`",
    )


def _moved(entries: Sequence[Deal], exits: Sequence[Deal], side: float, volume: Decimal) -> float:
    """Return what one life won for each lot of `volume`, in price."""
    moved = side * (_average_price(exits) - _average_price(entries))
    return moved if _volume(entries) == volume else moved * float(_volume(entries) / volume)


def _moment(deal: Deal) -> tuple[datetime, int, str]:
    """Order deals by time; those of one instant by their tickets, which are numbers."""
    return deal.event_at, len(deal.deal_ticket), deal.deal_ticket


def _volume(deals: Sequence[Deal]) -> Decimal:
    return sum((deal.volume_lots for deal in deals), _ZERO)


def _total(deals: Sequence[Deal], field: str) -> Decimal:
    return sum((getattr(deal, field) for deal in deals), _ZERO)


def _average_price(deals: Sequence[Deal]) -> float:
    """Return the average price over volumes; that of a single fill exactly."""
    if len({deal.price for deal in deals}) == 1:
        return deals[0].price
    return sum(deal.price * float(deal.volume_lots) for deal in deals) / float(_volume(deals))


def _average_slippage(deals: Sequence[Deal]) -> float:
    """Return the average slippage over volumes; a deal without an expected price slipped by nothing we know of."""
    return sum((deal.slippage_points or 0.0) * float(deal.volume_lots) for deal in deals) / float(_volume(deals))
