"""The trade server: checks commands, fills them, watches stops and targets, books swap, closes what margin cannot carry.

Deterministic and without I/O: time comes in with quotes and commands, chance is a hash of the seed and the request.

- Market orders fill at the last quote (BUY at ask, SELL at bid) plus slippage, an exponential number of points with
  mean `slippage_points`, always against the client. Further than `deviation` from the expected price: 10004.
- A stop is triggered by the first quote at or through it, on the side the position is closed at, and fills at that
  quote (so a gap fills at the gap's price) plus slippage. A target fills at its price: a limit without improvement.
- Commission and fee are charged on each side, swap on each server midnight (three nights on the triple day's, none on
  Saturday's and Sunday's) and paid with the exit. Under the stop-out level the worst position is closed, and so on.
- The same command again gets the same answer and does nothing (by request id, and by magic for entries), however often
  the process was restarted in between (invariant 3). How fills are booked is `dealing`'s, what is forbidden `checks`' and
  `limits`'; orders that are placed and not done are carried out by `settle`.
- Times are server milliseconds. Faulty quotes (crossed, non-finite) must not be passed in: nothing trades at them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from live.paper.checks import (
    TRANSIENT,
    WORDS,
    change_refusal,
    entry_refusal,
    exit_refusal,
    is_frozen,
    moved_since,
    price_refusal,
    timing_refusal,
    triggered,
)
from live.paper.dealing import OPPOSITE
from live.paper.executing import Executing
from live.paper.limits import entry_limit, exit_limit, filling_refusal, switch_refusal
from live.paper.orders import AS_ASKED, Answer, Command, Execution, Fill
from trading_assets.core.messages import (
    CancelCommand,
    CloseCommand,
    ModifyCommand,
    OrderCommand,
    PositionFacts,
)
from trading_assets.core.trades.lifecycle import result_of

_MINUTE_MS = 60_000


@dataclass
class Broker(Executing):
    """An account with the trade server that trades on it."""

    _asked_msc: deque[int] = field(default_factory=deque)

    def quote(self, symbol: str, msc: int, bid: float, ask: float) -> list[Fill]:
        """Take a quote and return what it triggered: stops, targets, stop-outs."""
        self.price(symbol, msc, bid, ask)
        fills = []
        for position in self.held_in(symbol):
            hit = triggered(position, bid, ask)
            if hit == "TP":
                fills.append(self.leave(position, position.volume, position.tp, hit, f"[tp {position.tp}]", msc))
            elif hit == "SL":
                price = self._stopped_price(position)
                fills.append(self.leave(position, position.volume, price, hit, f"[sl {position.sl}]", msc))
        return fills + self._stop_out(msc)

    def carry_out(self, command: Command, now_msc: int, execution: Execution = AS_ASKED) -> Answer:
        """Carry out any command."""
        match command:
            case OrderCommand():
                return self.open(command, now_msc, execution)
            case CloseCommand():
                return self.close(command, now_msc, execution)
            case ModifyCommand():
                return self.modify(command, now_msc, execution)
            case CancelCommand():
                return self.cancel(command, now_msc, execution)

    def open(self, command: OrderCommand, now_msc: int, execution: Execution = AS_ASKED) -> Answer:
        """Carry out an entry at market."""
        if repeat := self._repeat(command):
            return repeat
        contract, quoted = self.contracts.get(command.symbol), self.quotes.get(command.symbol)
        if contract is None:
            return self._refuse(command, 10013, f"{command.symbol} is not traded here")
        moved, words = moved_since(command, quoted, contract.facts.point, self.terms.conditions)
        if moved and not execution.retcode:
            return self._refuse(command, moved, words)
        price = self.slipped_price(contract, command.side, command.request_id)
        refusal = self._first_refusal(command, execution, now_msc) or price_refusal(
            command, command.side, contract, price
        )
        if not refusal and quoted is not None:
            refusal = self._switched_off() or entry_refusal(command, contract, quoted)
            refusal = refusal or entry_limit(command, contract.facts, self.book, self.terms.conditions)
        if not refusal and execution.filled_share < 1 and command.filling == "FOK":
            return self._refuse(command, 10006, "the volume cannot be filled whole, as FOK asks")
        if not refusal and self.account().margin_free < self.added_margin(
            command.symbol, command.side, command.volume, price
        ):
            refusal = 10019
        if refusal:
            return self._refuse(command, refusal)
        if execution.placed:
            return self.place(command, command.side, execution, now_msc)
        return self.fill(command, self.share_of(command, execution), price, execution, now_msc)

    def close(self, command: CloseCommand, now_msc: int, execution: Execution = AS_ASKED) -> Answer:
        """Close a position, or a part of it, at market."""
        if repeat := self._repeat(command):
            return repeat
        position = self.book.positions.get(command.position)
        if position is None:
            return self._refuse(command, 10036)
        if position.symbol != command.symbol:
            return self._refuse(command, 10013, f"position {position.ticket} is in {position.symbol}")
        contract, side = self.contracts[position.symbol], OPPOSITE[position.side]
        price = self.slipped_price(contract, side, command.request_id)
        refusal = self._first_refusal(command, execution, now_msc) or price_refusal(command, side, contract, price)
        refusal = refusal or exit_refusal(command, position, contract)
        refusal = refusal or filling_refusal(command, contract.facts)
        refusal = refusal or exit_limit(position, self.book, self.terms.conditions) or self._frozen(position)
        if refusal:
            return self._refuse(command, refusal)
        if execution.placed:
            return self.place(command, side, execution, now_msc)
        return self.close_out(command, position, price, execution, now_msc)

    def modify(self, command: ModifyCommand, now_msc: int, execution: Execution = AS_ASKED) -> Answer:
        """Set a position's stop and target."""
        if repeat := self._repeat(command):
            return repeat
        held = self.book.positions.get(command.position)
        if held is None:
            return self._refuse(command, 10036)
        if held.symbol != command.symbol:
            return self._refuse(command, 10013, f"position {held.ticket} is in {held.symbol}")
        refusal = self._first_refusal(command, execution, now_msc) or self._frozen(held)
        refusal = refusal or change_refusal(command, held, self.contracts[held.symbol], self.quotes.get(held.symbol))
        if refusal:
            return self._refuse(command, refusal)
        return self.accept(command, 10009, None, [self.change(held, sl=command.sl, tp=command.tp)])

    def cancel(self, command: CancelCommand, now_msc: int, execution: Execution = AS_ASKED) -> Answer:
        """Withdraw a working order."""
        if repeat := self._repeat(command):
            return repeat
        working = self.book.orders.get(command.order)
        if working is None:
            return self._refuse(
                command, 10013, f"order {command.order} is not working: it was filled, has ended or never was"
            )
        refusal = self._first_refusal(command, execution, now_msc)
        if refusal:
            return self._refuse(command, refusal)
        order = self.end(working, "CANCELLED", now_msc)
        return self.accept(command, 10009, order, [])

    def close_all(self, now_msc: int, comment: str) -> list[Fill]:
        """Close every position at the last quote, as a person at the terminal would."""
        return [
            self.leave(
                held, held.volume, self.quotes[held.symbol].market(OPPOSITE[held.side]), "CLIENT", comment, now_msc
            )
            for held in list(self.book.positions.values())
        ]

    # --- refusing ---------------------------------------------------------------------------------------------------

    def _repeat(self, command: Command) -> Answer | None:
        """Return the answer this command got before."""
        earlier = self.book.answer_to(command.request_id, command.magic, is_open=isinstance(command, OrderCommand))
        if earlier is None:
            return None
        return Answer(command.request_id, earlier.retcode, earlier.order, earlier.comment, is_repeat=True)

    def _first_refusal(self, command: Command, execution: Execution, now_msc: int) -> int | None:
        asked, allowed = self._asked_msc, self.terms.conditions.requests_per_minute
        while asked and asked[0] <= now_msc - _MINUTE_MS:
            asked.popleft()
        asked.append(now_msc)
        if execution.retcode:
            return execution.retcode
        if allowed and len(asked) > allowed:
            return 10024
        refusal = timing_refusal(command, self.quotes.get(command.symbol), self.terms.conditions, now_msc)
        # A halt of the daemon stops entries alone; whoever switched trading off stops everything.
        return refusal or (None if isinstance(command, OrderCommand) else self._switched_off(is_exit=True))

    def _switched_off(self, *, is_exit: bool = False) -> int | None:
        return switch_refusal(self.book, self.terms.conditions, is_halted=self.is_halted and not is_exit)

    def _frozen(self, held: PositionFacts) -> int | None:
        quoted = self.quotes.get(held.symbol)
        return 10029 if quoted and is_frozen(held, self.contracts[held.symbol], quoted) else None

    def _refuse(self, command: Command, retcode: int, comment: str = "") -> Answer:
        comment = comment or WORDS.get(retcode) or result_of(retcode).words
        if retcode not in TRANSIENT:
            self.remember(command, retcode, None, comment)
        return Answer(command.request_id, retcode, None, comment)

    # --- details ----------------------------------------------------------------------------------------------------

    def _stopped_price(self, held: PositionFacts) -> float:
        return self.slipped_price(self.contracts[held.symbol], OPPOSITE[held.side], held.ticket)

    def _stop_out(self, msc: int) -> list[Fill]:
        fills: list[Fill] = []
        while self.book.positions and not self.is_covered():
            worst = min(self.positions(), key=lambda held: (held.profit, held.ticket))
            held = self.book.positions[worst.ticket]
            fills.append(self.leave(held, held.volume, self._stopped_price(worst), "SO", "[so]", msc))
        return fills
