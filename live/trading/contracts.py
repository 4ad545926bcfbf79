"""The contracts of an account's symbols, as its terminal told them last: every snapshot counts, a change is on record.

What a broker changes while a session lasts (trade mode, levels, volumes, tick value, swap) holds from the next decision on. A
contract nobody can count with is refused, and its symbol is not entered until a sound one is told. What a contract means for a
decision is `core.decisions`'.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from live.books.books import Books
from live.bridge.soundness import contract_fault
from live.recorder import Recorder
from live.settings import AccountSettings
from trading_assets.core.messages import SymbolFacts
from trading_assets.core.records.decisions import SymbolState
from trading_assets.core.records.market import Quarantine
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import SymbolSpec

# What moves with the rate is told anew all the time: it counts at once, and is recorded when it moved by this share.
_MOVES_WITH_THE_RATE = ("tick_value", "margin_per_lot")
_RECORDED_MOVE = Decimal("0.01")


class Contracts:
    """Takes the contracts told of one account."""

    def __init__(self, recorder: Recorder, settings: AccountSettings, books: Books) -> None:
        self._recorder = recorder
        self._commission = settings.commission_per_lot
        self._canonical = settings.symbols
        self._books = books
        self._recorded: dict[str, SymbolSpec] = {}

    def take(self, symbols: Sequence[SymbolFacts], chain_id: str, *, is_first: bool) -> list[Record]:
        """Let the contracts of a snapshot hold from now on; returns the records of those that changed.

        `is_first`: the snapshot opens a session, which has its contracts on record whether they changed or not. So has each day, or a
        session of weeks would have them in none that is read back.
        """
        records: list[Record] = []
        for facts in symbols:
            symbol = self._canonical.get(facts.symbol)
            if symbol is None:
                continue
            fault = contract_fault(facts)
            if fault:
                records += self._refused(symbol, fault, chain_id)
            else:
                records += self._taken(symbol, facts, chain_id, is_first=is_first)
        return records

    def unreadable(self, raw_symbol: str, problem: str) -> list[Record]:
        """A contract was told that cannot be read: the one before may hold no more."""
        symbol = self._canonical.get(raw_symbol)
        return [] if symbol is None else self._refused(symbol, f"its contract cannot be read: {problem}", "")

    def _taken(self, symbol: str, facts: SymbolFacts, chain_id: str, *, is_first: bool) -> list[Record]:
        books, recorder = self._books, self._recorder
        spec = self._state(symbol, facts)
        before = books.specs.get(symbol)
        books.contract_problems.pop(symbol, None)
        books.specs[symbol] = spec
        # A chart counts its spreads in one unit for ever, or bars from before and after a change could not be compared.
        chart_point = books.chart_points.setdefault(symbol, spec.point)
        if facts.week_end_minute is None:
            books.week_ends.pop(symbol, None)  # What was told earlier holds no more.
        else:
            books.week_ends[symbol] = facts.week_end_minute
        if spec != before:
            books.trades.revalue(spec)
        recorded, now = self._recorded.get(symbol), recorder.clock.now()
        changed = [] if recorded is None else changed_fields(recorded.spec, spec)
        if not (changed or is_first or recorded is None or now.date() > recorded.event_at.date()):
            return []
        chain = chain_id or recorder.chain(symbol)
        if changed:
            words = "; ".join(changed)
            recorder.log.warning("the broker changed a contract", symbol=symbol, changes=words, chain_id=chain)
        self._recorded[symbol] = record = recorder.make(
            SymbolSpec, now, chain, symbol=symbol, raw_symbol=facts.symbol, spec=spec, chart_point=chart_point
        )
        return [record]

    def _state(self, symbol: str, facts: SymbolFacts) -> SymbolState:
        return SymbolState(
            symbol=symbol,
            digits=facts.digits,
            point=facts.point,
            tick_size=facts.trade_tick_size,
            tick_value=facts.trade_tick_value,
            contract_size=facts.contract_size,
            volume_min=facts.volume_min,
            volume_max=facts.volume_max,
            volume_step=facts.volume_step,
            stops_level=facts.stops_level,
            freeze_level=facts.freeze_level,
            filling_mode=facts.filling_mode,
            trade_exemode=facts.trade_exemode,
            trade_mode=facts.trade_mode,
            volume_limit=facts.volume_limit,
            commission_per_lot=facts.commission_per_lot if self._commission is None else self._commission,
            swap_long=facts.swap_long,
            swap_short=facts.swap_short,
            margin_per_lot=facts.margin_per_lot,
        )

    def _refused(self, symbol: str, fault: str, chain_id: str) -> list[Record]:
        """Refuse a contract nobody can count with; it is looked at anew when it is told again. Each fault is told once."""
        if self._books.contract_problems.get(symbol) == fault:
            return []
        self._books.contract_problems[symbol] = fault
        recorder = self._recorder
        chain, subject = chain_id or recorder.chain(symbol), f"{fault}; it is not taken, the other symbols are traded"
        return [
            recorder.make(
                Quarantine, recorder.clock.now(), chain, symbol=symbol, reason="unsound_contract", subject=subject
            )
        ]


def changed_fields(before: SymbolState, now: SymbolState) -> list[str]:
    """Say what differs from the contract recorded last; a value that moves with the rate once it moved far enough."""
    return [
        f"{name} {getattr(before, name)} to {getattr(now, name)}"
        for name in SymbolState.__struct_fields__
        if _differs(name, getattr(before, name), getattr(now, name))
    ]


def _differs(name: str, before: object, now: object) -> bool:
    if name in _MOVES_WITH_THE_RATE and isinstance(before, Decimal) and isinstance(now, Decimal):
        return abs(now - before) > _RECORDED_MOVE * before
    return before != now
