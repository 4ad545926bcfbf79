"""The trade server: checks commands, fills them, watches stops and targets, books swap, closes what margin cannot carry.

Deterministic and without I/O: time comes in with quotes and commands, chance is a hash of the seed and the request.

- Market orders fill at the last quote (BUY at ask, SELL at bid) plus slippage, an exponential number of points with
  mean `slippage_points`, always against the client. Further than `deviation` from the expected price: 10004.
- A stop is triggered by the first quote at or through it, on the side the position is closed at, and fills at that
  quote (so a gap fills at the gap's price) plus slippage. A target fills at its price: a limit without improvement.
- Commission is charged on each side, swap on each server midnight (three nights on Wednesday's, none on Saturday's
  and Sunday's) and paid with the exit. Under 50 % margin level the worst position is closed, and so on.
- Hedging: each entry is a position of its own. The same command again gets the same answer and does nothing
  (by request id, and by magic for entries), however often the process was restarted in between (invariant 3).
- Times are server milliseconds. Faulty quotes (crossed, non-finite) must not be passed in: nothing trades at them.
"""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec

from live.paper.account import Account
from live.paper.book import Remembered
from live.paper.checks import TRANSIENT, WORDS, entry_refusal, exit_refusal, request_refusal, triggered
from live.paper.contracts import Contract, cents
from live.paper.faults import draw
from live.paper.orders import AS_ASKED, Answer, Execution, Fill, order_of, parts_of
from trading_assets.core.messages import CloseCommand, DealFacts, OrderCommand, OrderFacts, PositionFacts
from trading_assets.core.records.record import Side

_OPPOSITE: dict[Side, Side] = {"BUY": "SELL", "SELL": "BUY"}


class Broker(Account):
    """An account with the trade server that trades on it."""

    def quote(self, symbol: str, msc: int, bid: float, ask: float) -> list[Fill]:
        """Take a quote and return what it triggered: stops, targets, stop-outs."""
        self.price(symbol, msc, bid, ask)
        fills = []
        for position in [held for held in self.book.positions.values() if held.symbol == symbol]:
            hit = triggered(position, bid, ask)
            if hit == "TP":
                fills.append(self._exit(position, position.volume, position.tp, hit, f"[tp {position.tp}]", msc))
            elif hit == "SL":
                fills.append(
                    self._exit(
                        position, position.volume, self._stopped_price(position), hit, f"[sl {position.sl}]", msc
                    )
                )
        return fills + self._stop_out(msc)

    def open(self, command: OrderCommand, now_msc: int, execution: Execution = AS_ASKED) -> Answer:
        """Carry out an entry at market."""
        earlier = self.book.answer_to(command.request_id, command.magic, is_open=True)
        if earlier:
            return Answer(command.request_id, earlier.retcode, earlier.order, earlier.comment, is_repeat=True)
        contract, quoted = self.contracts.get(command.symbol), self.quotes.get(command.symbol)
        if contract is None:
            return self._refuse(command, 10013, f"{command.symbol} is not traded here")
        price = self._slipped_price(contract, command.side, command.request_id)
        refusal = execution.retcode or request_refusal(command, command.side, contract, quoted, price, now_msc)
        if not refusal and quoted is not None:
            refusal = 10027 if self.is_halted else entry_refusal(command, contract, quoted)
        if not refusal and contract.margin(command.volume, price, self.terms.leverage) > self.account().margin_free:
            refusal = 10019
        if refusal:
            return self._refuse(command, refusal)
        # A refused command takes no ticket: it leaves no trace, so that a restart in between changes nothing.
        ticket, step = self.book.ticket(), contract.facts.volume_step
        volume = max(command.volume * execution.filled_share // step * step, contract.facts.volume_min)
        fills = self._enter(command, ticket, volume, price, execution.parts, now_msc)
        order = order_of(command, ticket, ticket, command.side, volume, price, now_msc)
        return self._accept(command, 10009 if volume == command.volume else 10010, order, fills)

    def close(self, command: CloseCommand, now_msc: int, execution: Execution = AS_ASKED) -> Answer:
        """Close a position, or a part of it, at market."""
        earlier = self.book.answer_to(command.request_id, command.magic, is_open=False)
        if earlier:
            return Answer(command.request_id, earlier.retcode, earlier.order, earlier.comment, is_repeat=True)
        position = self.book.positions.get(command.position)
        if position is None:
            return self._refuse(command, 10036)
        if position.symbol != command.symbol:
            return self._refuse(command, 10013, f"position {position.ticket} is in {position.symbol}")
        contract, side = self.contracts[position.symbol], _OPPOSITE[position.side]
        price = self._slipped_price(contract, side, command.request_id)
        refusal = execution.retcode or request_refusal(
            command, side, contract, self.quotes.get(command.symbol), price, now_msc
        )
        refusal = refusal or exit_refusal(command, position, contract)
        if refusal:
            return self._refuse(command, refusal)
        fills, ticket = [], self.book.ticket()
        for volume in parts_of(command.volume, execution.parts, contract.facts.volume_step):
            held = self.book.positions[position.ticket]
            fills.append(self._exit(held, volume, price, "EXPERT", command.comment, now_msc, ticket, command.magic))
        order = order_of(command, ticket, position.ticket, side, command.volume, price, now_msc)
        return self._accept(command, 10009, order, fills)

    def close_all(self, now_msc: int, comment: str) -> list[Fill]:
        """Close every position at the last quote, as a person at the terminal would."""
        return [
            self._exit(
                held, held.volume, self.quotes[held.symbol].market(_OPPOSITE[held.side]), "CLIENT", comment, now_msc
            )
            for held in list(self.book.positions.values())
        ]

    def _enter(
        self, command: OrderCommand, ticket: str, volume: Decimal, price: float, parts: int, now_msc: int
    ) -> list[Fill]:
        contract, fills = self.contracts[command.symbol], []
        position = PositionFacts(
            ticket=ticket, identifier=ticket, magic=command.magic, symbol=command.symbol, side=command.side, volume=Decimal(0),
            price_open=price, sl=command.sl, tp=command.tp, swap=Decimal("0.00"), profit=Decimal("0.00"), time_msc=now_msc,
            comment=command.comment[:31],
        )  # fmt: skip
        for part in parts_of(volume, parts, contract.facts.volume_step):
            position = msgspec.structs.replace(position, volume=position.volume + part)
            deal = DealFacts(
                ticket=self.book.ticket(), order=ticket, position_id=ticket, magic=command.magic, symbol=command.symbol,
                kind=command.side, entry="IN", reason="EXPERT", volume=part, price=price, profit=Decimal("0.00"),
                commission=contract.commission(part), swap=Decimal("0.00"), fee=Decimal("0.00"), time_msc=now_msc,
                comment=command.comment[:31],
            )  # fmt: skip
            fills.append(self._book(deal, position))
        return fills

    def _exit(
        self,
        held: PositionFacts,
        volume: Decimal,
        price: float,
        reason: str,
        comment: str,
        msc: int,
        order: str = "",
        magic: str = "",
    ) -> Fill:
        """Close `volume` of a position at `price`; its swap is paid in proportion."""
        contract = self.contracts[held.symbol]
        swap = held.swap if volume == held.volume else cents(held.swap * volume / held.volume)
        deal = DealFacts(
            ticket=self.book.ticket(), order=order or self.book.ticket(), position_id=held.identifier, magic=magic or held.magic,
            symbol=held.symbol, kind=_OPPOSITE[held.side], entry="OUT", reason=reason, volume=volume, price=price,
            profit=contract.profit(held.side, volume, held.price_open, price), commission=contract.commission(volume), swap=swap,
            fee=Decimal("0.00"), time_msc=msc, comment=comment[:31],
        )  # fmt: skip
        return self._book(deal, msgspec.structs.replace(held, volume=held.volume - volume, swap=held.swap - swap))

    def _book(self, deal: DealFacts, position: PositionFacts) -> Fill:
        self.book.add(deal)
        self.book.put(position)
        valued = msgspec.structs.replace(
            position, profit=self.floating(position) if position.volume else Decimal("0.00")
        )
        return Fill(deal, valued, self.account())

    def _slipped_price(self, contract: Contract, side: Side, key: str) -> float:
        """Return the price a market order trades at now; NaN without a quote."""
        quoted = self.quotes.get(contract.facts.symbol)
        if quoted is None:
            return math.nan
        points = math.floor(-self.terms.slippage_points * math.log(1.0 - draw(self.terms.seed, "slippage", key)) + 0.5)
        shift = points * contract.facts.point
        return contract.round_price(quoted.market(side) + (shift if side == "BUY" else -shift))

    def _stopped_price(self, held: PositionFacts) -> float:
        return self._slipped_price(self.contracts[held.symbol], _OPPOSITE[held.side], held.ticket)

    def _stop_out(self, msc: int) -> list[Fill]:
        fills: list[Fill] = []
        while self.book.positions and not self.is_covered():
            worst = min(self.positions(), key=lambda held: (held.profit, held.ticket))
            fills.append(
                self._exit(
                    self.book.positions[worst.ticket], worst.volume, self._stopped_price(worst), "SO", "[so]", msc
                )
            )
        return fills

    def _accept(
        self, command: OrderCommand | CloseCommand, retcode: int, order: OrderFacts, fills: list[Fill]
    ) -> Answer:
        self._remember(command, retcode, order, WORDS[retcode])
        return Answer(command.request_id, retcode, order, WORDS[retcode], tuple(fills))

    def _refuse(self, command: OrderCommand | CloseCommand, retcode: int, comment: str = "") -> Answer:
        comment = comment or WORDS.get(retcode, "refused by the trade server")
        if retcode not in TRANSIENT:
            self._remember(command, retcode, None, comment)
        return Answer(command.request_id, retcode, None, comment)

    def _remember(
        self, command: OrderCommand | CloseCommand, retcode: int, order: OrderFacts | None, comment: str
    ) -> None:
        self.book.remember(
            Remembered(
                request_id=command.request_id,
                magic=command.magic,
                is_open=isinstance(command, OrderCommand),
                retcode=retcode,
                order=order,
                comment=comment,
            )
        )
