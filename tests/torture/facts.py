"""What must be true when a play has ended: the terminal's books, the journal and what was sent, held against each other.

Pure reading. The terminal's side is its SQLite state, ours the sealed records; how it came to this is `torture_orders`'.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import polars as pl
from msgspec.structs import asdict

from live.paper.book import Book
from live.paper.state import State
from trading_assets.core.ids import is_magic, magic, trade_id
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.operations import Finding, OpsError
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import Deal, Order, Outcome, Session
from trading_assets.core.trades.deal_kinds import CASH_KINDS
from trading_assets.core.trades.ledger import MONEY, conservation, pnl_events
from trading_assets.core.trades.lifecycle import OPEN_STATES
from trading_assets.store.journal import read_records, verify

_ZERO = Decimal(0)
_MOST_UNKNOWN = 2
_BY_CONTRACT = (10014, 10016, 10017, 10042, 10043, 10044)
_MOST_BY_CONTRACT = 2
"""Entries refused until the change is told: the terminal tells contracts in snapshots."""
_FLOATING = Decimal("0.2")
_MISSED = re.compile(r"(\d+) bars of (\w+) (?:closed after .* without a decision|up to .* came late)")


@dataclass(frozen=True)
class Records:
    """What our journal says, in its order."""

    decisions: list[Decision]
    orders: list[Order]
    deals: list[Deal]
    outcomes: list[Outcome]
    findings: list[Finding]
    errors: list[OpsError]
    sessions: list[Session]

    @property
    def told_last(self) -> list[Deal]:
        """Each deal as it was told last, in the order of the first tellings."""
        return list({deal.deal_ticket: deal for deal in self.deals}.values())


@dataclass(frozen=True)
class Facts:
    """The end of one play: figures, a digest of what it came to, and a sentence for each thing that is not right."""

    counts: Counter[str]
    digest: str
    problems: list[str]


def read_journal(raw: Path) -> Records:
    """Read all records the checks are about. Raises JournalError for a journal that is not what was written."""
    found: dict[type, list[Record]] = {
        kind: [] for kind in (Decision, Order, Deal, Outcome, Finding, OpsError, Session)
    }
    for record in read_records(raw, types=tuple(found)):
        found[type(record)].append(record)
    return Records(*found.values())  # type: ignore[arg-type]


def examine(
    raw: Path,
    terminal: Path,
    frames: Iterable[str],
    commands: Iterable[str],
    closes: Collection[tuple[str, datetime]] = (),
) -> Facts:
    """Hold everything against everything. `closes`: the bars that closed, by symbol and time."""
    report = verify(raw)
    problems = [f"{fault.segment}:{fault.line} {fault.observed}" for fault in report.faults]
    if problems:
        return Facts(Counter(), "", problems)
    records, book = read_journal(raw), _book(terminal)
    problems += _decided_once(records)
    problems += _none_is_forgotten(records, closes)
    problems += deals_agree(records, book)
    problems += _one_position_each(records, book, commands)
    problems += _orders_agree(records, book)
    problems += _trades_are_whole(records, book)
    problems += undecided(durable(raw), [*frames, *commands])
    problems += _sent_once(commands)
    problems += [
        f"finding {one.check}: {one.subject}: {one.observed}"
        for one in records.findings
        if one.check == "live.trading.reconciliation" and one.severity == "error"
    ]
    problems += [
        f"error of {one.component}: {one.message}"
        for one in records.errors
        if "report this with the log" in one.message
    ]
    problems += _money(records, book)
    problems += _terms_are_taken(records)
    problems += _is_one_account(records)
    problems += _marks_hold_no_deposits(records)
    return Facts(_counts(records, book), _digest(records, book), problems)


class Durable(NamedTuple):
    """What of a decision and its orders the journal holds."""

    signals: set[str]
    magics: set[str]


def durable(raw: Path) -> Durable:
    """Read which decisions and which orders are in the journal."""
    found = Durable(set(), set())
    for record in read_records(raw, stream="trading", types=(Decision, Order)):
        if isinstance(record, Decision):
            found.signals.add(record.signal_id)
        else:
            found.magics.add(record.magic)
    return found


def undecided(held: Durable, lines: Iterable[str]) -> list[str]:
    """Return the trade commands that left or arrived although their decision is not in the journal (invariant 1).

    A close names the signal of its position; the order planned with the decision to close has its magic.
    """
    problems = []
    for line in lines:
        kind, _, number, signal = line.split()
        if number not in held.magics or signal not in held.signals:
            problems.append(f"{kind} {number} of signal {signal} was sent, but its decision is not durable")
    return problems


def _book(folder: Path) -> Book:
    state = State(folder)
    try:
        return state.load_book()
    finally:
        state.close()


def _decided_once(records: Records) -> list[str]:
    """Invariant 3: a bar close gives one decision."""
    seen = Counter((one.symbol, one.bar_close_at) for one in records.decisions)
    return [f"{symbol} at {at} was decided {count} times" for (symbol, at), count in seen.items() if count > 1]


def _none_is_forgotten(records: Records, closes: Collection[tuple[str, datetime]]) -> list[str]:
    """Every bar that closed has its decision, or is among those a record says were missed."""
    decided = {(one.symbol, one.bar_close_at) for one in records.decisions}
    told: Counter[str] = Counter()
    for error in records.errors:
        if found := _MISSED.match(error.message):
            told[found[2]] += int(found[1])
    missing: dict[str, list[datetime]] = {}
    for symbol, at in sorted(set(closes) - decided):
        missing.setdefault(symbol, []).append(at)
    return [
        f"{len(them)} bars of {symbol} were not decided, {told[symbol]} of them are on record as missed; the first "
        f"closed at {them[0]:%H:%M}"
        for symbol, them in missing.items()
        if len(them) > told[symbol]
    ]


def deals_agree(records: Records, book: Book) -> list[str]:
    """Every deal of the terminal is in the journal as it is now, again only where it changed, and no other is."""
    ours: dict[str, list[Deal]] = {}
    for deal in records.deals:
        ours.setdefault(deal.deal_ticket, []).append(deal)
    theirs = {deal.ticket: deal for deal in book.deals}
    problems = [
        f"deal {ticket} is recorded {len(tellings)} times, twice with the same figures"
        for ticket, tellings in ours.items()
        if any(_figures(before) == _figures(after) for before, after in pairwise(tellings))
    ]
    problems += [f"deal {ticket} of the terminal is not recorded" for ticket in theirs if ticket not in ours]
    problems += [
        f"deal {ticket} is recorded, the terminal knows nothing of it" for ticket in ours if ticket not in theirs
    ]
    for deal in records.told_last:
        told = theirs.get(deal.deal_ticket)
        if told is not None and _figures(deal) != (
            told.kind, told.volume, told.price, told.profit, told.commission, told.swap, told.fee, told.position_id,
        ):  # fmt: skip
            problems.append(f"deal {deal.deal_ticket} is recorded with other figures than the terminal's")
    return problems


def _figures(deal: Deal) -> tuple[object, ...]:
    money = (deal.profit, deal.commission, deal.swap, deal.fee)
    return (deal.kind, deal.volume_lots, deal.price, *money, deal.position_id)


def _one_position_each(records: Records, book: Book, commands: Iterable[str]) -> list[str]:
    """Invariant 3: a decision has at most one position, and every position of ours has its decision."""
    decided = {str(magic(one.signal_id, "OPEN")): one.signal_id for one in records.decisions}
    # Whatever arrived as an entry of a decision is its own, under which magic ever.
    sent = {number: signal for kind, _, number, signal in map(str.split, commands) if kind == "OrderCommand"}
    positions: dict[str, set[str]] = {}
    problems = []
    for deal in book.deals:
        if deal.entry == "IN" and deal.kind in ("BUY", "SELL"):
            signal = sent.get(deal.magic) or decided.get(deal.magic)
            if signal is not None:
                positions.setdefault(signal, set()).add(deal.position_id)
            if is_magic(deal.magic) and deal.magic not in decided:
                problems.append(f"position {deal.position_id} has no decision of ours (magic {deal.magic})")
    for signal, held in positions.items():
        if len(held) > 1:
            problems.append(f"decision {signal} has {len(held)} positions")
    return problems


def _orders_agree(records: Records, book: Book) -> list[str]:
    """The last state of every order tells what its deals tell."""
    last = {order.magic: order for order in records.orders}
    filled: Counter[str] = Counter()
    for deal in book.deals:
        order = last.get(deal.magic)
        # What the server itself books anew fills no order.
        is_fill = deal.reason != "ROLLOVER"
        if order is not None and is_fill and (order.purpose == "OPEN") == (deal.entry == "IN"):
            filled[deal.magic] += deal.volume  # type: ignore[assignment]  # decimals add up as well
    problems = []
    for order in last.values():
        if order.filled_lots != filled.get(order.magic, _ZERO):
            problems.append(
                f"order {order.magic} says {order.filled_lots} lots filled, its deals {filled.get(order.magic, 0)}"
            )
        if order.filled_lots and order.state not in ("FILLED", "PARTIAL"):
            problems.append(f"order {order.magic} is {order.state} and has deals")
    # What was decided at the last bar may still be open: nobody asked after its deadline.
    end = max((one.bar_close_at for one in records.decisions), default=None)
    problems += [
        f"order {order.magic} of {order.event_at} is still {order.state}"
        for order in last.values()
        if order.state in OPEN_STATES and end is not None and order.deadline_at < end
    ]
    return problems


def _trades_are_whole(records: Records, book: Book) -> list[str]:
    """Every closed position of ours has one outcome, with the money of its deals; what is open agrees in volume."""
    decided = {trade_id(one.signal_id) for one in records.decisions}
    revisions: dict[str, list[int]] = {}
    for one in records.outcomes:
        revisions.setdefault(one.trade_id, []).append(one.revision)
    problems = [
        f"trade {trade} has outcomes of the revisions {told}"
        for trade, told in revisions.items()
        if told != list(range(len(told)))
    ]
    stated = {one.trade_id: one for one in records.outcomes}
    by_position: dict[str, list[Deal]] = {}
    for deal in records.told_last:
        if deal.kind in ("BUY", "SELL"):
            by_position.setdefault(deal.position_id, []).append(deal)
    for position, deals in by_position.items():
        trade = next((deal.trade_id for deal in deals if deal.trade_id), None)
        lots = sum((deal.volume_lots if deal.entry == "IN" else -deal.volume_lots for deal in deals), _ZERO)
        held = next((one for one in book.positions.values() if one.identifier == position), None)
        if lots != (held.volume if held else _ZERO):
            problems.append(f"position {position}: {lots} lots by our deals, the terminal holds {held and held.volume}")
        if trade is None and not any(is_magic(deal.magic) for deal in deals):
            continue
        if trade is None or trade not in decided:
            problems.append(f"position {position} belongs to no decision")
        elif lots == 0 and trade not in stated:
            problems.append(f"trade {trade} is closed and has no outcome")
        elif lots == 0:
            net = sum((one.profit + one.commission + one.swap + one.fee for one in deals), _ZERO)
            if stated[trade].net_pnl != net:
                problems.append(f"trade {trade} made {net} by its deals, {stated[trade].net_pnl} by its outcome")
        elif trade in stated and all(deal.reason != "ROLLOVER" for deal in deals):
            problems.append(f"trade {trade} is open and has an outcome")
    return problems


def _sent_once(commands: Iterable[str]) -> list[str]:
    """Invariant 4: an entry goes to the terminal under one request, whatever became unknown."""
    requests: dict[str, set[str]] = {}
    for line in commands:
        kind, request, _, signal = line.split()
        if kind == "OrderCommand":
            requests.setdefault(signal, set()).add(request)
    return [f"decision {signal} was sent as {len(them)} requests" for signal, them in requests.items() if len(them) > 1]


def _money(records: Records, book: Book) -> list[str]:
    """No cent is lost between the terminal's balance and the ledger."""
    money = {name: MONEY for name in ("volume_lots", "profit", "commission", "swap", "fee")}
    deals = pl.DataFrame([asdict(deal) for deal in records.deals], schema_overrides=money, infer_schema_length=None)
    counted = conservation(deals, pnl_events(deals), book.balance)
    return [] if counted.difference == 0 else [f"the ledger differs from the balance by {counted.difference}"]


def _terms_are_taken(records: Records) -> list[str]:
    """What the terminal has told holds: closes name the ticket told last, entries keep to the contract told last."""
    unknown: Counter[str] = Counter(
        one.position_id or one.symbol for one in records.orders if one.purpose == "CLOSE" and one.retcode == 10036
    )
    problems = [
        f"the close of position {position} was refused {count} times, because there is no such ticket (10036)"
        for position, count in unknown.items()
        if count > _MOST_UNKNOWN
    ]
    against = Counter(one.symbol for one in records.orders if one.purpose == "OPEN" and one.retcode in _BY_CONTRACT)
    problems += [
        f"{count} entries in {symbol} were refused by terms of its contract that the terminal had told"
        for symbol, count in against.items()
        if count > _MOST_BY_CONTRACT
    ]
    return problems


def _is_one_account(records: Records) -> list[str]:
    """All sessions are of the account the first one was of; nobody has accepted another one here."""
    told = dict.fromkeys((one.login, one.server) for one in records.sessions)
    return [f"sessions of {len(told)} accounts were taken: {', '.join(map(str, told))}"] if len(told) > 1 else []


def _marks_hold_no_deposits(records: Records) -> list[str]:
    """The high-water mark of the last decision is no higher than what was paid in and every gain since could make it."""
    last = max(records.decisions, key=lambda one: one.bar_close_at, default=None)
    if last is None:
        return []
    paid = sum((deal.profit for deal in records.told_last if deal.kind in CASH_KINDS), _ZERO)
    gains = sum(
        (max(deal.profit + deal.swap + deal.fee, _ZERO) for deal in records.told_last if deal.kind not in CASH_KINDS),
        _ZERO,
    )
    mark = last.inputs.risk.equity_high_water_mark
    # What floated before it was closed at less counts as well, or nothing would be as high.
    most = paid + gains + _FLOATING * paid
    return [f"the high-water mark is {mark}, deposits and gains make {most} at most"] if mark > most else []


def _counts(records: Records, book: Book) -> Counter[str]:
    states: dict[str, list[str]] = {}
    for order in records.orders:
        states.setdefault(order.magic, []).append(order.state)
    unknown = [seen for seen in states.values() if "UNKNOWN" in seen]
    return Counter(
        {
            "decisions": len(records.decisions),
            "orders": len(states),
            "deals": len(book.deals),
            "trades closed": len(records.outcomes),
            "positions open at the end": len(book.positions),
            "partial fills": sum("PARTIAL" in seen for seen in states.values()),
            "orders refused": sum("REFUSED" in seen for seen in states.values()),
            "orders that were unknown": len(unknown),
            "unknown orders resolved": sum(seen[-1] not in OPEN_STATES for seen in unknown),
        }
    )


def _digest(records: Records, book: Book) -> str:
    """Hash what the play came to: decisions, deals and outcomes, without anything of the clock on the wall."""
    digest = sha256()
    for one in sorted(records.decisions, key=lambda one: (one.bar_close_at, one.symbol)):
        digest.update(f"{one.signal_id} {one.suggestion} {one.action} {one.volume_lots} {one.window_sha256}\n".encode())
    for deal in book.deals:
        digest.update(f"{deal.ticket} {deal.magic} {deal.volume} {deal.price} {deal.profit} {deal.time_msc}\n".encode())
    for outcome in sorted(records.outcomes, key=lambda one: one.trade_id):
        digest.update(f"{outcome.trade_id} {outcome.net_pnl} {outcome.exit_reason}\n".encode())
    return digest.hexdigest()
