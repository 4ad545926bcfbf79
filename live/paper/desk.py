"""Between broker and bridge: carries out commands, and keeps their results until the daemon is known to have them.

No socket here. Each result is saved in the same transaction as what it reports, before it is sent (invariant 1, seen
from the other side): a result that could not be delivered, or whose delivery is not certain, is sent again later,
marked late. What becomes of a command by chance (rejects, partial fills, 10008) is drawn here, how it is told in `telling`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from live.paper.broker import Broker
from live.paper.death import Death
from live.paper.faults import Faults
from live.paper.orders import Command, Execution, Fill
from live.paper.state import PlayPosition, State
from live.paper.telling import Told, late, tell_answer, tell_deals, tell_events, tell_settled, unknown_update
from live.paper.working import Ending
from trading_assets.core.messages import CloseCommand, DealFacts, FromTerminal, OrderCommand
from trading_assets.core.trades.deal_kinds import TRADE_KINDS


@dataclass
class Result:
    """One message about a trade. `seq`: under which it was sent in this session; None while it was not."""

    number: int
    message: FromTerminal
    turn: int
    """Turn from which it may be sent."""
    seq: int | None = None


class Desk:
    """Broker, state and the results on their way."""

    def __init__(self, broker: Broker, state: State, position: PlayPosition, faults: Faults) -> None:
        self.broker = broker
        self.position = position
        self.death = Death(faults, state)
        self._state = state
        self._faults = faults
        self._turn = 0
        self._attempts: Counter[str] = Counter()
        self._results = [Result(number, late(message), 0) for number, message in state.load_results()]
        self._last_number = max((result.number for result in self._results), default=0)

    def carry_out(self, command: Command, now_msc: int) -> None:
        """Carry out a command, save what it did and its results, and queue them."""
        self.death.at("received")
        faults, key = self._faults, command.request_id
        # A command refused for a passing reason comes again under its id, and need not be refused again.
        self._attempts[key] += 1
        if faults.strikes(faults.unexecuted, "unexecuted", f"{key} {self._attempts[key]}"):
            self._queue([(unknown_update(faults, command), 0)])
            return
        answer = self.broker.carry_out(command, now_msc, self._execution(command))
        self.death.at("executed")
        self._queue(tell_answer(faults, command, answer))
        self.death.at("saved")

    def report(self, fills: Sequence[Fill], chain_id: str) -> None:
        """Save and queue what happened at the broker without a command."""
        self._queue(tell_events(self._faults, fills, chain_id))

    def report_cash(self, deals: Sequence[DealFacts], chain_id: str, wait: int = 0) -> None:
        """Save and queue the operations among `deals` that fill nothing, held back for `wait` turns."""
        self.report_deals([deal for deal in deals if deal.kind not in TRADE_KINDS], chain_id, wait)

    def report_deals(self, deals: Sequence[DealFacts], chain_id: str, wait: int = 0) -> None:
        """Save and queue deals without their positions: new ones that fill nothing, or booked ones that changed."""
        self._queue(tell_deals(deals, self.broker.account(), chain_id, wait))

    def settle(self, now_msc: int) -> None:
        """Let the working orders that are due get further; save and queue their results."""
        for command, answer in self.broker.settle(now_msc):
            self._queue(tell_settled(self._faults, command, answer))

    def sendable(self) -> list[Result]:
        """Return the results to send now, oldest first."""
        return [result for result in self._results if result.seq is None and result.turn <= self._turn]

    def next_turn(self) -> bool:
        """Begin the next step, so that results held back by a fault may go; return whether there are any to send."""
        self._turn += 1
        return bool(self.sendable())

    def acknowledge(self, seq: int, position: PlayPosition) -> None:
        """Forget the results sent up to `seq` and save the play position."""
        done = [result.number for result in self._results if result.seq is not None and result.seq <= seq]
        if done:
            self._results = [result for result in self._results if result.number not in done]
        self.position = position
        self._state.save(position, self.broker.book.take_changes(), delivered=done)

    def move(self, position: PlayPosition) -> None:
        """Take note of the play position; it is saved with the next change or acknowledgement."""
        self.position = position

    def save(self) -> None:
        """Save as it is now."""
        self._state.save(self.position, self.broker.book.take_changes())

    def lost_connection(self) -> None:
        """Results without an acknowledgement are sent again, marked late."""
        self._results = [Result(result.number, late(result.message), result.turn) for result in self._results]

    def _execution(self, command: Command) -> Execution:
        faults, key = self._faults, command.request_id
        attempt = f"{key} {self._attempts[key]}"
        if faults.strikes(faults.rejects, "reject", attempt):
            choices = faults.reject_retcodes or (faults.reject_retcode,)
            return Execution(retcode=faults.choose(choices, "retcode", attempt))
        held = self.broker.book.positions.get(command.position) if isinstance(command, CloseCommand) else None
        if held is not None and faults.strikes(faults.refused_exits, "refused exit", held.identifier):
            return Execution(retcode=faults.refused_exit_retcode)
        is_half = isinstance(command, OrderCommand) and faults.strikes(faults.partial_fills, "partial", key)
        is_split = faults.strikes(faults.split_fills, "split", key)
        has_other_words = faults.strikes(faults.changed_comments, "comment", key)
        return Execution(
            filled_share=Decimal("0.5") if is_half else Decimal(1),
            parts=2 if is_split else 1,
            placed=self._placed(command),
            placed_ms=int(faults.placed_s * 1000),
            comment=f"broker #{key[-8:]}" if has_other_words else None,
        )

    def _placed(self, command: Command) -> Ending | None:
        """Return how a command that is only placed will end; None for one carried out at once."""
        faults, key = self._faults, command.request_id
        if not isinstance(command, OrderCommand | CloseCommand) or not faults.strikes(faults.placed, "placed", key):
            return None
        endings: tuple[tuple[float, Ending], ...] = (
            (faults.placed_in_halves, "halves"),
            (faults.placed_in_part, "part"),
            (faults.placed_cancelled, "cancelled"),
            (faults.placed_expired, "expired"),
        )
        return next((ending for share, ending in endings if faults.strikes(share, ending, key)), "whole")

    def _queue(self, messages: Told) -> None:
        """Save what changed together with the messages that report it, and queue these."""
        numbered = enumerate(messages, start=self._last_number + 1)
        results = [Result(number, message, self._turn + wait) for number, (message, wait) in numbered]
        self._last_number += len(results)
        self._results.extend(results)
        changes = self.broker.book.take_changes()
        if changes or results:
            self._state.save(self.position, changes, [(result.number, result.message) for result in results])
