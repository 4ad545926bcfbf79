"""Conditions: each limit refuses with its retcode and opens nothing, and each term of the account does what it says."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest

from live.paper.account import DAY_MS, Terms
from live.paper.book import Book
from live.paper.broker import Broker
from live.paper.conditions import Conditions, Hours, SymbolTerms, parse_conditions
from live.paper.contracts import standard_contract
from live.paper.orders import Execution
from trading_assets.core.errors import InputError

from .test_broker import NOW, entry, exit_of, opened


def under(conditions: Conditions, deposit: str = "10000") -> Broker:
    contracts = {
        symbol: conditions.apply(standard_contract(symbol, 5, price, "USD", Decimal("2.50")))
        for symbol, price in (("EURUSD", 1.085), ("GBPUSD", 1.265))
    }
    made = Broker(Terms(slippage_points=0.0, conditions=conditions), contracts, Book())
    made.book.begin_tickets(conditions.first_ticket)
    made.deposit(Decimal(deposit), NOW)
    made.price("EURUSD", NOW, 1.08500, 1.08508)
    made.price("GBPUSD", NOW, 1.26500, 1.26512)
    return made


def terms(**fields: Any) -> Conditions:
    return Conditions(every_symbol=SymbolTerms(**fields))


def test_margin_as_the_broker_sets_it_for_one_symbol_is_told_and_charged() -> None:
    dear = {"GBPUSD": SymbolTerms(margin_rate=Decimal(50))}
    account = under(Conditions(symbols=dear))
    told = {
        name: contract.told(account.quotes[name].ask, 100).margin_per_lot
        for name, contract in account.contracts.items()
    }
    assert told == {"EURUSD": Decimal("1085.08"), "GBPUSD": Decimal("63256.00")}
    assert account.contracts["EURUSD"].told(0.0, 100).margin_per_lot == 0
    order = {"symbol": "GBPUSD", "sl": 0.0, "tp": 0.0, "price": 1.26512}
    assert account.open(entry(**order, volume=Decimal("0.16")), NOW).retcode == 10019
    assert account.open(entry(2, **order, volume=Decimal("0.15")), NOW).retcode == 10009
    assert account.account().margin == Decimal("9488.40")


REFUSED: list[tuple[int, Conditions, dict[str, Any]]] = [
    (10014, terms(volume_min=Decimal("2")), {}),
    (10014, terms(volume_step=Decimal("0.3")), {}),
    (10015, terms(trade_tick_size=0.0005), {"sl": 1.0841, "tp": 0.0}),
    (10016, terms(stops_level=200), {}),
    (10017, terms(trade_mode="disabled"), {}),
    (10018, Conditions(hours=(Hours(opens=time(9)),)), {}),
    (10018, Conditions(early_closes={date(2024, 1, 8): time(7, 59)}), {}),
    (10030, terms(filling_mode=1), {"filling": "IOC"}),
    (10030, terms(filling_mode=2), {"filling": "FOK"}),
    (10030, terms(trade_exemode="market"), {"filling": "RETURN"}),
    (10032, Conditions(is_demo_only=True), {}),
    (10034, terms(volume_limit=Decimal("0.50")), {}),
    (10042, terms(trade_mode="long_only"), {"side": "SELL"}),
    (10043, terms(trade_mode="short_only"), {"side": "BUY"}),
    (10044, terms(trade_mode="close_only"), {}),
]


@pytest.mark.parametrize(("retcode", "conditions", "changes"), REFUSED)
def test_each_condition_refuses_with_its_retcode(retcode: int, conditions: Conditions, changes: dict[str, Any]):
    answer = under(conditions).open(entry(**changes), NOW)
    assert (answer.retcode, answer.order, answer.fills) == (retcode, None, ())
    assert answer.comment


def test_return_is_allowed_where_execution_is_not_at_market_and_fok_where_its_flag_is_set():
    assert under(terms(trade_exemode="exchange", filling_mode=0)).open(entry(filling="RETURN"), NOW).retcode == 10009
    assert under(terms(filling_mode=1)).open(entry(filling="FOK"), NOW).retcode == 10009


def test_an_exits_filling_mode_is_checked_too():
    account = under(terms(filling_mode=2))
    ticket = opened(account, entry(volume=Decimal("0.1")))
    assert account.close(exit_of(ticket, "0.1", "a", filling="FOK"), NOW).retcode == 10030
    assert account.close(exit_of(ticket, "0.1", "b", filling="IOC"), NOW).retcode == 10009


def test_positions_orders_and_requests_are_limited():
    account = under(Conditions(max_positions=1))
    opened(account, entry(1, volume=Decimal("0.1")))
    assert account.open(entry(2, volume=Decimal("0.1")), NOW).retcode == 10040
    account = under(Conditions(max_orders=1))
    assert account.open(entry(1, volume=Decimal("0.1")), NOW, Execution(placed="whole")).retcode == 10008
    assert account.open(entry(2, volume=Decimal("0.1")), NOW).retcode == 10033
    account = under(Conditions(requests_per_minute=2))
    codes = [account.open(entry(number, volume=Decimal("0.1")), NOW).retcode for number in range(3)]
    assert codes == [10009, 10009, 10024]
    later = entry(2, volume=Decimal("0.1"), deadline_msc=NOW + 70_000)
    assert account.open(later, NOW + 60_001).retcode == 10009


def test_the_oldest_position_is_closed_first_and_opposite_ones_are_prohibited_where_the_broker_says_so():
    account = under(Conditions(is_fifo=True, forbids_opposite=True))
    first, second = (opened(account, entry(number, volume=Decimal("0.1"))) for number in (1, 2))
    assert account.open(entry(3, "SELL", volume=Decimal("0.1")), NOW).retcode == 10046
    assert account.close(exit_of(second, "0.1", "a"), NOW).retcode == 10045
    assert account.close(exit_of(first, "0.1", "b"), NOW).retcode == 10009
    assert account.close(exit_of(second, "0.1", "c"), NOW).retcode == 10009


def test_trading_switched_off_by_the_server_or_at_the_terminal_stops_entries_and_exits_also_after_a_restart():
    account = under(Conditions())
    ticket = opened(account, entry(volume=Decimal("0.1")))
    for switched, retcode in (({"at_server": True}, 10026), ({"at_server": False, "at_terminal": True}, 10027)):
        account.book.switch(**switched)
        again = Broker(account.terms, account.contracts, Book(counters=account.book.counters), quotes=account.quotes)
        assert again.account().trade_allowed is False
        assert account.open(entry(retcode, volume=Decimal("0.1")), NOW).retcode == retcode
        assert account.close(exit_of(ticket, "0.1", f"c{retcode}"), NOW).retcode == retcode
    changes = account.book.take_changes()
    assert changes is not None
    assert changes.counters.is_off_at_terminal


def test_near_its_stop_or_target_a_position_is_frozen():
    account = under(terms(freeze_level=20))
    ticket = opened(account, entry(volume=Decimal("0.1")))
    account.price("EURUSD", NOW + 1, 1.08415, 1.08423)
    assert account.close(exit_of(ticket, "0.1", "a"), NOW).retcode == 10029
    account.price("EURUSD", NOW + 2, 1.08425, 1.08433)
    assert account.close(exit_of(ticket, "0.1", "a"), NOW).retcode == 10009


def test_tickets_may_be_larger_than_a_double_holds():
    account = under(Conditions(first_ticket=(1 << 53) + 1))
    ticket = opened(account, entry(volume=Decimal("0.1")))
    assert int(ticket) > 1 << 53
    assert int(float(ticket)) != int(ticket) or int(float(int(ticket) + 1)) != int(ticket) + 1


def test_fee_and_triple_day_are_the_brokers():
    account = under(Conditions(fee_per_lot=Decimal("0.70"), triple_day=4))
    ticket = opened(account, entry(sl=0.0, tp=0.0))
    friday = NOW // DAY_MS + 4
    account.quote("EURUSD", friday * DAY_MS, 1.085, 1.08508)
    before = next(iter(account.positions())).swap
    account.quote("EURUSD", (friday + 1) * DAY_MS, 1.085, 1.08508)
    assert next(iter(account.positions())).swap - before == 3 * Decimal("-4.00")
    fills = account.close(exit_of(ticket, deadline_msc=(friday + 2) * DAY_MS), (friday + 1) * DAY_MS).fills
    assert fills[0].deal is not None
    assert [deal.fee for deal in account.book.deals if deal.kind != "BALANCE"] == [Decimal("-0.70")] * 2


def test_hours_differ_by_symbol_and_tell_the_weeks_end():
    hours = (
        Hours(opens=time(0, 5), closes=time(23, 55)),
        Hours(symbol="GBPUSD", weekdays=(0, 1), opens=time(10)),
    )
    conditions = Conditions(hours=hours)
    assert conditions.is_trading("EURUSD", NOW)
    assert not conditions.is_trading("GBPUSD", NOW)
    assert conditions.is_trading("GBPUSD", NOW + 2 * 3_600_000)
    account = under(conditions)
    assert account.contracts["EURUSD"].facts.week_end_minute == 4 * 1440 + 23 * 60 + 55
    assert account.contracts["GBPUSD"].facts.week_end_minute == 2 * 1440


def test_the_experts_own_check_refuses_old_and_moved_quotes_in_words():
    account = under(Conditions(max_quote_age_s=30, max_quote_move_points=10))
    told = {"known_bid": 1.0850, "known_ask": 1.08508, "quote_msc": NOW - 31_000, "volume": Decimal("0.1")}
    answer = account.open(entry(1, **told), NOW)
    assert (answer.retcode, answer.comment) == (10022, "the decision's quote is 31 s old, 30 s are allowed")
    told |= {"quote_msc": NOW, "known_ask": 1.08496}
    answer = account.open(entry(2, **told), NOW)
    assert (answer.retcode, answer.comment) == (10020, "the price moved 12 points against it, 10 are allowed")
    far = account.open(entry(3, **(told | {"known_bid": 1.0839, "known_ask": 1.08398})), NOW)
    assert (far.retcode, far.comment) == (10020, "the price moved 110 points against it, 96 are allowed")
    assert account.open(entry(2, **(told | {"known_ask": 1.0852})), NOW).retcode == 10009


def test_what_is_wrong_with_conditions_is_said():
    assert parse_conditions('{"margin_mode": "netting"}').margin_mode == "netting"
    for text in ("[]", '{"margin_mode": "none"}', '{"unknown": 1}', "no json"):
        with pytest.raises(InputError, match="--conditions"):
            parse_conditions(text)
