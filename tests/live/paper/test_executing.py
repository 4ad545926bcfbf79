"""Placed orders and how they end, changes of stops, withdrawing orders: once each, also over a restart."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from live.paper.broker import Broker
from live.paper.conditions import Conditions, SymbolTerms
from live.paper.orders import Execution
from live.paper.state import PlayPosition, State
from live.paper.working import Ending
from trading_assets.core.messages import CancelCommand, ModifyCommand

from .test_broker import NOW, entry, exit_of, opened
from .test_conditions import terms, under

LATER = NOW + 20_000


def modify(ticket: str, number: str = "m1", **changes: Any) -> ModifyCommand:
    fields: dict[str, Any] = {
        "session": "", "seq": 1, "sent_msc": 0, "request_id": number, "magic": "9", "signal_id": "S", "symbol": "EURUSD", "position": ticket,
        "sl": 1.0835, "tp": 1.0875, "deadline_msc": NOW + 60_000,
    }  # fmt: skip
    return ModifyCommand(**(fields | changes))


def cancel(ticket: str, number: str = "x1", **changes: Any) -> CancelCommand:
    fields: dict[str, Any] = {
        "session": "", "seq": 1, "sent_msc": 0, "request_id": number, "magic": "9", "signal_id": "S", "symbol": "EURUSD", "order": ticket,
        "deadline_msc": NOW + 60_000,
    }  # fmt: skip
    return CancelCommand(**(fields | changes))


ENDINGS: list[tuple[Ending, list[tuple[int, str, str]]]] = [
    ("whole", [(10009, "FILLED", "0.00")]),
    ("halves", [(10010, "PLACED", "0.05"), (10009, "FILLED", "0.00")]),
    ("part", [(10010, "PARTIAL", "0.05")]),
    ("cancelled", [(10008, "CANCELLED", "0.10")]),
    ("expired", [(10008, "EXPIRED", "0.10")]),
]


@pytest.mark.parametrize(("ending", "results"), ENDINGS)
def test_a_placed_order_is_filled_later_in_part_or_never(ending: Ending, results: list[tuple[int, str, str]]):
    account = under(Conditions())
    answer = account.open(entry(volume=Decimal("0.10")), NOW, Execution(placed=ending, placed_ms=1000))
    assert answer.order is not None
    assert (answer.retcode, answer.order.state, answer.fills) == (10008, "PLACED", ())
    assert not account.book.positions
    assert account.settle(NOW + 1000) == []
    got = [answer for turn in range(4) for _, answer in account.settle(LATER + turn * 2000)]
    assert [(one.retcode, one.order.state, str(one.order.volume_current)) for one in got if one.order] == results
    left = Decimal("0.10") - Decimal(results[-1][2])
    assert sum(held.volume for held in account.book.positions.values()) == left
    assert not account.book.orders
    assert account.open(entry(volume=Decimal("0.10")), LATER).is_repeat
    assert account.open(entry(request_id="another", volume=Decimal("0.10")), LATER).is_repeat


def test_an_exit_may_be_placed_too_and_a_second_one_is_refused_meanwhile():
    account = under(Conditions())
    ticket = opened(account, entry(volume=Decimal("0.10")))
    answer = account.close(exit_of(ticket, "0.10", "a"), NOW, Execution(placed="whole", placed_ms=1000))
    assert answer.retcode == 10008
    assert account.close(exit_of(ticket, "0.10", "b"), NOW).retcode == 10039
    ((_, settled),) = account.settle(LATER)
    assert settled.retcode == 10009
    assert not account.book.positions


def test_a_placed_exit_of_a_position_that_is_gone_is_cancelled():
    account = under(Conditions())
    ticket = opened(account, entry(volume=Decimal("0.10")))
    account.close(exit_of(ticket, "0.10", "a"), NOW, Execution(placed="whole", placed_ms=1000))
    account.close_all(NOW, "a person")
    ((_, settled),) = account.settle(LATER)
    assert settled.order is not None
    assert (settled.order.state, settled.fills) == ("CANCELLED", ())


def test_what_is_left_of_a_partial_fill_depends_on_the_filling_mode():
    half = Execution(filled_share=Decimal("0.5"), placed_ms=1000)
    account = under(terms(trade_exemode="exchange"))
    assert account.open(entry(1, filling="FOK", volume=Decimal("0.10")), NOW, half).retcode == 10006
    answer = account.open(entry(2, filling="IOC", volume=Decimal("0.10")), NOW, half)
    assert (answer.retcode, len(account.book.orders)) == (10010, 0)
    answer = account.open(entry(3, filling="RETURN", volume=Decimal("0.10")), NOW, half)
    assert (answer.retcode, len(account.book.orders)) == (10010, 1)
    ((_, settled),) = account.settle(LATER)
    assert settled.order is not None
    assert (settled.retcode, settled.order.state) == (10009, "FILLED")
    assert account.book.positions[settled.order.position_id].volume == Decimal("0.10")


def test_stops_are_changed_once_and_checked_like_those_of_an_entry():
    account = under(Conditions())
    ticket = opened(account, entry(volume=Decimal("0.10")))
    answer = account.modify(modify(ticket), NOW)
    assert (answer.retcode, answer.fills[0].deal) == (10009, None)
    held = account.book.positions[ticket]
    assert (held.sl, held.tp) == (1.0835, 1.0875)
    assert account.modify(modify(ticket), NOW).is_repeat
    refused = {
        10016: modify(ticket, "a", sl=1.0860), 10015: modify(ticket, "b", tp=1.086035), 10036: modify("77", "c"),
        10013: modify(ticket, "d", symbol="GBPUSD"), 10025: modify(ticket, "e"), 10022: modify(ticket, "f", deadline_msc=NOW - 1),
    }  # fmt: skip
    for retcode, command in refused.items():
        assert account.modify(command, NOW).retcode == retcode
    assert account.book.positions[ticket] == held


def test_a_frozen_position_is_not_changed_and_comes_again():
    account = under(Conditions(every_symbol=SymbolTerms(freeze_level=20)))
    ticket = opened(account, entry(volume=Decimal("0.10")))
    account.price("EURUSD", NOW + 1, 1.08410, 1.08418)
    assert account.modify(modify(ticket), NOW).retcode == 10029
    account.price("EURUSD", NOW + 2, 1.08510, 1.08518)
    assert account.modify(modify(ticket), NOW).retcode == 10009


def test_a_working_order_is_withdrawn_once_and_one_that_is_filled_is_not():
    account = under(Conditions())
    placed = account.open(entry(volume=Decimal("0.10")), NOW, Execution(placed="whole", placed_ms=1000)).order
    assert placed is not None
    answer = account.cancel(cancel(placed.ticket), NOW)
    assert answer.order is not None
    assert (answer.retcode, answer.order.state) == (10009, "CANCELLED")
    assert account.cancel(cancel(placed.ticket), NOW).is_repeat
    assert account.settle(LATER) == []
    refused = account.cancel(cancel(placed.ticket, "x2"), NOW)
    assert refused.retcode == 10013
    assert "is not working" in refused.comment


def test_working_orders_and_answers_to_all_commands_survive_a_restart(tmp_path: Path):
    account = under(Conditions())
    ticket = opened(account, entry(1, volume=Decimal("0.10")))
    account.modify(modify(ticket), NOW)
    placed = account.open(entry(2, volume=Decimal("0.10")), NOW, Execution(placed="halves", placed_ms=1000)).order
    gone = account.open(entry(3, volume=Decimal("0.10")), NOW, Execution(placed="whole", placed_ms=1000)).order
    assert gone is not None
    account.cancel(cancel(gone.ticket), NOW)
    state = State(tmp_path)
    state.save(PlayPosition(played=1, acknowledged=1, now_ms=1), account.book.take_changes())
    state.close()
    state = State(tmp_path)
    again = Broker(account.terms, account.contracts, state.load_book(), quotes=account.quotes)
    state.close()
    assert placed is not None
    assert again.book.orders == account.book.orders == {placed.ticket: account.book.orders[placed.ticket]}
    assert again.modify(modify(ticket, sl=1.08), LATER).is_repeat
    assert again.cancel(cancel(gone.ticket), LATER).is_repeat
    assert again.open(entry(2, volume=Decimal("0.10")), LATER).is_repeat
    assert [answer for _, answer in again.settle(LATER)] == [answer for _, answer in account.settle(LATER)]
