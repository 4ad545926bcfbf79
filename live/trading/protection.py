"""Stop and target of our open positions, held against those of their decisions.

A stop or target that is missing (the broker dropped it, a person took it away) is asked for again once, and reported. Taken
away again after that it is a person's will, and respected. One that was moved is a person's will at once: reported, never put back.
A stop that is moved again and again (somebody trails it) is reported at the first move, then once an hour with where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from live.books.books import Books, Protected, Terms
from live.books.trades import Trade
from live.recorder import Recorder
from live.trading.sending import Sender
from trading_assets.core.ids import magic
from trading_assets.core.messages import ModifyCommand, OrderUpdate, PositionFacts
from trading_assets.core.records.operations import Finding
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import Protection
from trading_assets.core.trades.lifecycle import result_of
from trading_assets.core.trades.outcomes import candidate_of

Step = Literal["reattach", "attached", "refused", "missing", "moved"]
PREFIX = "modify-"
# Asking again for the same stop and target does nothing twice, so a lost answer may be asked for again.
_MOST_SENDS = 3
_HALF = 0.5
_REPORT_EVERY = timedelta(hours=1)
_REPAIR = "look at the position in the terminal; set its stop and target there, or close it"


@dataclass(frozen=True, slots=True)
class _Levels:
    """Stop and target: as the terminal holds them, and as decided."""

    stop: float
    target: float
    decided_stop: float
    decided_target: float


class Protector:
    """Watches the stops and targets of one account's positions."""

    def __init__(self, recorder: Recorder, terms: Terms, books: Books, sender: Sender) -> None:
        self._recorder = recorder
        self._terms = terms
        self._books = books
        self._sender = sender

    def look(self, facts: PositionFacts, trade: Trade, asked_at: datetime | None = None) -> None:
        """Compare a position as reported; `asked_at`: when the search it answers was asked for."""
        candidate = candidate_of(trade.decision)
        levels = _Levels(facts.sl, facts.tp, candidate.stop_price or 0.0, candidate.target_price or 0.0)
        trade.stop_price, trade.target_price = facts.sl, facts.tp
        if facts.volume <= Decimal(0) or not trade.is_open:
            return
        seen = self._books.protection_of(trade.trade_id)
        is_missing = bool((levels.decided_stop and not facts.sl) or (levels.decided_target and not facts.tp))
        if is_missing:
            self._missing(trade, levels, asked_at or self._recorder.clock.now())
        elif seen.step in ("reattach", "refused"):
            self._note(trade, "attached", levels, "the terminal holds stop and target again")
        elif self._is_moved(trade, levels) and self._is_news(seen, levels):
            words = "stop or target was changed in the terminal; it is left as it is"
            self._report(trade, levels, "warning")
            self._note(trade, "moved", levels, words)

    def answered(self, update: OrderUpdate) -> bool:
        """Take the answer to a change; returns whether it was one."""
        if not update.request_id.startswith(PREFIX):
            return False
        intent = self._books.orders.find(update.request_id.removeprefix(PREFIX).rpartition("-")[0])
        trade = None if intent is None else self._books.trades.open_on(intent.order.symbol)
        if trade is None or intent is None or trade.trade_id != intent.order.trade_id:
            return True  # The position is gone meanwhile.
        result = result_of(update.retcode)
        candidate = candidate_of(trade.decision)
        levels = _Levels(
            trade.stop_price or 0.0,
            trade.target_price or 0.0,
            candidate.stop_price or 0.0,
            candidate.target_price or 0.0,
        )
        if result.kind == "accepted":
            held = _Levels(
                levels.stop or levels.decided_stop,
                levels.target or levels.decided_target,
                levels.decided_stop,
                levels.decided_target,
            )
            self._note(trade, "attached", held, update.comment or result.words, update.retcode)
        elif result.kind != "unknown":
            self._note(trade, "refused", levels, update.comment or result.words, update.retcode)
        return True

    def _missing(self, trade: Trade, levels: _Levels, asked_at: datetime) -> None:
        seen = self._books.protection_of(trade.trade_id)
        match seen.step:
            case "attached" | "missing":
                if self._is_news(seen, levels):
                    self._report(trade, levels, "warning")
                    self._note(trade, "missing", levels, "taken away again after it was put back: it is left as it is")
            case "reattach" | "refused" if seen.at is not None and asked_at <= seen.at + self._patience:
                pass  # What was seen may be older than the answer.
            case "reattach" | "refused" if seen.sends >= _MOST_SENDS:
                self._report(trade, levels, "error")
                self._note(trade, "missing", levels, f"not to be had after {seen.sends} tries")
            case _:
                if seen.sends == 0:
                    self._report(trade, levels, "error")
                if self._is_far_enough(trade, levels):
                    self._recorder.start(self._reattach(trade, levels))

    async def _reattach(self, trade: Trade, levels: _Levels) -> None:
        """Ask for the decision's stop and target, for the one that is missing; durable before it is sent (invariant 1)."""
        recorder, link, decision = self._recorder, self._sender.link, trade.decision
        number = self._books.protection_of(trade.trade_id).sends + 1
        record = self._record(trade, "reattach", levels, "asked for once more, as decided", None)
        self._books.protected(record)
        if not await recorder.append([record]) or link is None:
            return
        await link.send(
            ModifyCommand,
            chain_id=decision.chain_id,
            request_id=f"{PREFIX}{record.magic}-{number}",
            signal_id=decision.signal_id,
            magic=record.magic,
            symbol=self._terms.raw_symbols[decision.symbol],
            position=trade.ticket or trade.position_id,
            sl=levels.stop or levels.decided_stop,
            tp=levels.target or levels.decided_target,
            deadline_msc=self._terms.rule.deadline_msc(recorder.clock.now() + self._patience),
        )

    @property
    def _patience(self) -> timedelta:
        return timedelta(seconds=self._terms.strategy.order_deadline_s)

    def _is_moved(self, trade: Trade, levels: _Levels) -> bool:
        symbol = self._books.specs.get(trade.decision.symbol)
        least = _HALF * symbol.tick_size if symbol else 0.0
        return abs(levels.stop - levels.decided_stop) > least or abs(levels.target - levels.decided_target) > least

    def _is_news(self, seen: Protected, levels: _Levels) -> bool:
        """Return whether levels are to be reported: those of one trade that change again and again are at intervals only."""
        if (levels.stop, levels.target) == seen.told:
            return False
        return seen.told is None or seen.at is None or self._recorder.clock.now() - seen.at >= _REPORT_EVERY

    def _is_far_enough(self, trade: Trade, levels: _Levels) -> bool:
        """Return whether the server may accept the decided levels at the present price; later ones are looked at later."""
        symbol, quote = self._books.specs.get(trade.decision.symbol), self._sender.quote(trade.decision.symbol)
        if symbol is None or quote is None:
            return False
        least = (max(symbol.stops_level, symbol.freeze_level) - _HALF) * symbol.point
        side, price = (1, quote.bid) if trade.side == "BUY" else (-1, quote.ask)
        stop, target = levels.stop or levels.decided_stop, levels.target or levels.decided_target
        return side * (price - stop) >= least and side * (target - price) >= least

    def _note(self, trade: Trade, step: Step, levels: _Levels, words: str, retcode: int | None = None) -> None:
        record = self._record(trade, step, levels, words, retcode)
        self._books.protected(record)
        records: list[Record] = [record]
        self._recorder.commit(records)

    def _record(self, trade: Trade, step: Step, levels: _Levels, words: str, retcode: int | None) -> Protection:
        return self._recorder.make(
            Protection,
            self._recorder.clock.now(),
            trade.decision.chain_id,
            trade_id=trade.trade_id,
            signal_id=trade.decision.signal_id,
            position_id=trade.position_id,
            # Not that of its first deal: on a netting account this may be somebody else's.
            magic=str(magic(trade.decision.signal_id, "OPEN")),
            symbol=trade.decision.symbol,
            step=step,
            stop_price=levels.stop,
            target_price=levels.target,
            decided_stop_price=levels.decided_stop,
            decided_target_price=levels.decided_target,
            retcode=retcode,
            reason=words,
        )

    def _report(self, trade: Trade, levels: _Levels, severity: Literal["warning", "error"]) -> None:
        recorder = self._recorder
        finding = recorder.make(
            Finding,
            recorder.clock.now(),
            trade.decision.chain_id,
            check="live.trading.protection",
            severity=severity,
            subject=f"position {trade.position_id} of trade {trade.trade_id}",
            expectation=f"stop {levels.decided_stop:g} and target {levels.decided_target:g}, as decided",
            observed=f"the terminal holds stop {levels.stop:g} and target {levels.target:g} (0: none)",
            repair=_REPAIR,
        )
        recorder.buffer([finding])
