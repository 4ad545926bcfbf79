"""The trade server: money to the cent, the right side of the price, one command one position, every refusal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.paper.account import DAY_MS, Terms
from live.paper.book import Book, net_of
from live.paper.broker import Broker
from live.paper.contracts import standard_contract
from live.paper.orders import Execution
from trading_assets.core.messages import CloseCommand, OrderCommand

NOW = 1_704_700_800_000  # Monday 8 January 2024, 08:00 server time


def broker(deposit: str = "10000", slippage: float = 0.0, **terms: Any) -> Broker:
    contracts = {
        symbol: standard_contract(symbol, 5, price, "USD", Decimal("2.50"))
        for symbol, price in (("EURUSD", 1.085), ("GBPUSD", 1.265))
    }
    made = Broker(Terms(slippage_points=slippage, **terms), contracts, Book())
    made.deposit(Decimal(deposit), NOW)
    made.price("EURUSD", NOW, 1.08500, 1.08508)
    made.price("GBPUSD", NOW, 1.26500, 1.26512)
    return made


def entry(number: int = 1, side: str = "BUY", **changes: Any) -> OrderCommand:
    fields: dict[str, Any] = {
        "session": "", "seq": 1, "sent_msc": 0, "request_id": str(number), "magic": str(number), "signal_id": "S", "symbol": "EURUSD", "side": side,
        "volume": Decimal("1.00"), "price": 1.08508 if side == "BUY" else 1.08500, "sl": 1.08400 if side == "BUY" else 1.08600,
        "tp": 1.08700 if side == "BUY" else 1.08300, "deviation": 20, "deadline_msc": NOW + 10_000, "comment": "test",
    }  # fmt: skip
    return OrderCommand(**(fields | changes))


def exit_of(ticket: str, volume: str = "1.00", number: str = "c1", **changes: Any) -> CloseCommand:
    fields: dict[str, Any] = {
        "session": "", "seq": 1, "sent_msc": 0, "request_id": number, "magic": "9", "signal_id": "S", "symbol": "EURUSD", "position": ticket,
        "volume": Decimal(volume), "price": 1.085, "deviation": 500, "deadline_msc": NOW + 10_000_000, "comment": "test",
    }  # fmt: skip
    return CloseCommand(**(fields | changes))


def opened(account: Broker, command: OrderCommand) -> str:
    answer = account.open(command, NOW)
    assert answer.retcode == 10009
    assert answer.order is not None
    return answer.order.position_id


@pytest.mark.parametrize(("side", "price"), [("BUY", 1.08508), ("SELL", 1.08500)])
def test_an_entry_fills_at_ask_or_bid_and_an_exit_on_the_other_side(side: str, price: float):
    account = broker()
    ticket = opened(account, entry(side=side))
    assert account.book.positions[ticket].price_open == price
    answer = account.close(exit_of(ticket), NOW)
    deal = answer.fills[0].deal
    assert (deal.kind, deal.entry, deal.reason) == ("SELL" if side == "BUY" else "BUY", "OUT", "EXPERT")
    assert deal.profit == Decimal("-8.00")
    assert deal.commission == Decimal("-2.50")
    assert answer.fills[0].position.volume == 0
    assert account.book.balance == Decimal("10000") - 8 - 5


def test_a_stop_fills_at_the_quote_that_triggers_it_and_a_gap_at_the_gap():
    account = broker()
    opened(account, entry())
    assert account.quote("EURUSD", NOW + 1, 1.08401, 1.08409) == []
    (fill,) = account.quote("EURUSD", NOW + 2, 1.08123, 1.08131)
    assert (fill.deal.reason, fill.deal.price) == ("SL", 1.08123)
    assert fill.deal.profit == Decimal("-385.00")


def test_a_short_is_watched_at_the_ask():
    account = broker()
    opened(account, entry(side="SELL"))
    assert account.quote("EURUSD", NOW + 1, 1.08592, 1.08599) == []
    (fill,) = account.quote("EURUSD", NOW + 2, 1.08593, 1.08601)
    assert (fill.deal.reason, fill.deal.price, fill.deal.kind) == ("SL", 1.08601, "BUY")


@pytest.mark.parametrize(
    ("side", "bid", "ask", "price"), [("BUY", 1.08750, 1.08758, 1.087), ("SELL", 1.08240, 1.08248, 1.083)]
)
def test_a_target_fills_at_its_price_also_through_a_gap(side: str, bid: float, ask: float, price: float):
    account = broker()
    opened(account, entry(side=side))
    (fill,) = account.quote("EURUSD", NOW + 1, bid, ask)
    assert (fill.deal.reason, fill.deal.price) == ("TP", price)
    assert fill.deal.profit > 0


def test_slippage_is_whole_points_against_the_client_and_repeats_with_the_seed():
    def fills(seed: int) -> list[float]:
        account = broker(slippage=3.0, seed=seed, deposit="100000")
        for number in range(20):
            account.open(entry(number, volume=Decimal("0.01"), sl=0.0, tp=0.0), NOW)
        return [held.price_open for held in account.book.positions.values()]

    points = [round((price - 1.08508) / 0.00001, 6) for price in fills(1)]
    assert all(point >= 0 and point == round(point) for point in points)
    assert 1 < sum(points) / len(points) < 6
    assert fills(1) == fills(1) != fills(2)


REFUSED = [
    (10022, {"deadline_msc": NOW - 1}),
    (10013, {"symbol": "XAUUSD"}),
    (10014, {"volume": Decimal("0.001")}),
    (10014, {"volume": Decimal("0.015")}),
    (10014, {"volume": Decimal("51")}),
    (10014, {"volume": Decimal("NaN")}),
    (10015, {"price": float("nan")}),
    (10015, {"sl": 1.084003}),
    (10015, {"tp": float("inf")}),
    (10016, {"sl": 1.08600}),
    (10016, {"sl": 1.08495}),
    (10016, {"tp": 1.08400}),
    (10004, {"price": 1.08400}),
    (10019, {"volume": Decimal("20")}),
]


@pytest.mark.parametrize(("retcode", "changes"), REFUSED)
def test_each_thing_wrong_with_an_entry_has_its_retcode_and_opens_nothing(retcode: int, changes: dict[str, Any]):
    account = broker()
    answer = account.open(entry(**changes), NOW)
    assert (answer.retcode, answer.order, answer.fills) == (retcode, None, ())
    assert answer.comment
    assert not account.book.positions


def test_a_price_that_moved_in_our_favour_is_no_requote():
    account = broker()
    assert account.open(entry(price=1.09), NOW).retcode == 10009


def test_a_closed_market_a_halt_and_a_missing_quote_refuse():
    account = broker()
    account.quotes["EURUSD"].is_open = False
    assert account.open(entry(), NOW).retcode == 10018
    account.quotes["EURUSD"].is_open = True
    account.is_halted = True
    assert account.open(entry(2), NOW).retcode == 10027
    assert account.account().trade_allowed is False
    del account.quotes["EURUSD"]
    assert account.open(entry(3), NOW).retcode == 10021


def test_an_exit_is_refused_without_a_position_for_too_much_and_for_another_symbol():
    account = broker()
    ticket = opened(account, entry())
    assert account.close(exit_of("77"), NOW).retcode == 10036
    assert account.close(exit_of(ticket, "1.01", "c2"), NOW).retcode == 10038
    assert account.close(exit_of(ticket, "0.005", "c3"), NOW).retcode == 10014
    assert account.close(exit_of(ticket, number="c4", symbol="GBPUSD"), NOW).retcode == 10013
    assert account.book.positions[ticket].volume == 1


def test_the_same_command_again_gets_the_same_answer_and_does_nothing():
    account = broker()
    first = account.open(entry(), NOW)
    for again in (entry(), entry(request_id="other id, same magic"), entry(deadline_msc=NOW - 1)):
        answer = account.open(again, NOW + 5)
        assert answer.is_repeat
        assert (answer.retcode, answer.order) == (first.retcode, first.order)
    assert len(account.book.positions) == 1
    assert first.order is not None
    closed = account.close(exit_of(first.order.position_id), NOW)
    again_closed = account.close(exit_of(first.order.position_id), NOW)
    assert again_closed.is_repeat
    assert again_closed.order == closed.order
    assert len(account.book.deals) == 3


def test_a_command_refused_for_a_passing_reason_may_come_again():
    account = broker()
    assert account.open(entry(price=1.084), NOW).retcode == 10004
    assert account.open(entry(), NOW).retcode == 10009
    assert len(account.book.positions) == 1


def test_a_partial_fill_keeps_the_rest_cancelled_and_split_fills_add_up():
    account = broker()
    answer = account.open(entry(volume=Decimal("0.05")), NOW, Execution(filled_share=Decimal("0.5"), parts=2))
    assert answer.retcode == 10010
    assert answer.order is not None
    assert (answer.order.state, answer.order.volume_initial, answer.order.volume_current) == (
        "PARTIAL",
        Decimal("0.05"),
        Decimal("0.03"),
    )
    assert [fill.deal.volume for fill in answer.fills] == [Decimal("0.01"), Decimal("0.01")]
    assert {fill.deal.order for fill in answer.fills} == {answer.order.ticket}
    assert account.book.positions[answer.order.position_id].volume == Decimal("0.02")


def test_an_order_refused_on_purpose_does_nothing():
    account = broker()
    assert account.open(entry(), NOW, Execution(retcode=10006)).retcode == 10006
    assert not account.book.positions


def test_swap_is_charged_each_server_midnight_three_times_on_wednesday_and_never_at_the_weekend():
    account = broker()
    opened(account, entry(sl=0.0, tp=0.0))
    monday, charged = NOW // DAY_MS, []
    for day in range(1, 8):
        before = next(iter(account.positions())).swap
        account.quote("EURUSD", (monday + day) * DAY_MS + 1000, 1.085, 1.08508)
        charged.append(next(iter(account.positions())).swap - before)
    night = Decimal("-4.00")
    assert charged == [night, night, 3 * night, night, night, 0, 0]
    (fill,) = account.close_all(NOW + 8 * DAY_MS, "end of test")
    assert (fill.deal.swap, fill.deal.reason, fill.deal.comment) == (7 * night, "CLIENT", "end of test")


def test_what_margin_cannot_carry_is_closed_worst_first_until_the_rest_can():
    account = broker("2600")
    for number, symbol, price in ((1, "EURUSD", 1.08508), (2, "GBPUSD", 1.26512)):
        changes = {"symbol": symbol, "price": price, "sl": 0.0, "tp": 0.0}
        assert account.open(entry(number, **changes), NOW).retcode == 10009
    (fill,) = account.quote("EURUSD", NOW + 1, 1.07050, 1.07058)
    assert (fill.deal.reason, fill.deal.symbol) == ("SO", "EURUSD")
    assert [held.symbol for held in account.book.positions.values()] == ["GBPUSD"]


def test_the_account_adds_up_while_positions_are_open():
    account = broker()
    opened(account, entry())
    facts = account.account()
    assert facts.balance == Decimal("9997.50")
    assert facts.equity == Decimal("9989.50")
    assert facts.margin == Decimal("1085.08")
    assert facts.margin_free == facts.equity - facts.margin


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("open"), st.integers(1, 6), st.sampled_from(["BUY", "SELL"]), st.integers(1, 300), st.integers(1, 2)
        ),
        st.tuples(st.just("close"), st.integers(0, 5), st.integers(1, 300), st.integers(1, 3), st.just(0)),
        st.tuples(st.just("quote"), st.integers(-400, 400), st.integers(0, 30), st.integers(1, 40), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_balance_is_the_sum_of_all_deals_to_the_cent_whatever_happens(steps: list[tuple[Any, ...]]):
    account, now, commands = broker(slippage=2.0), NOW, set()
    for number, step in enumerate(steps):
        if step[0] == "open":
            commands.add(step[1])
            last = account.quotes["EURUSD"]
            changes = {
                "volume": Decimal(step[3]) / 100,
                "sl": 0.0,
                "tp": 0.0,
                "price": last.market(step[2]),
                "deadline_msc": now,
            }
            share = Decimal("0.5") if step[4] == 2 else Decimal(1)
            account.open(entry(step[1], step[2], **changes), now, Execution(filled_share=share, parts=step[4]))
        elif step[0] == "close" and account.book.positions:
            held = list(account.book.positions.values())[step[1] % len(account.book.positions)]
            volume = str(min(Decimal(step[2]) / 100, held.volume))
            last = account.quotes["EURUSD"]
            account.close(
                exit_of(held.ticket, volume, f"c{number}", price=last.bid, deadline_msc=now),
                now,
                Execution(parts=step[3]),
            )
        elif step[0] == "quote":
            now += step[3] * 3_600_000
            bid = round(1.085 + step[1] * 1e-5, 5)
            account.quote("EURUSD", now, bid, round(bid + step[2] * 1e-5, 5))
        deals = account.book.deals
        assert account.book.balance == sum((net_of(deal) for deal in deals), Decimal(0))
        assert all(amount == round(amount, 2) for deal in deals for amount in (deal.profit, deal.commission, deal.swap))
        assert len({deal.ticket for deal in deals}) == len(deals)
        entries = [deal for deal in deals if deal.entry == "IN" and deal.kind != "BALANCE"]
        assert len({deal.position_id for deal in entries}) == len({deal.magic for deal in entries}) <= len(commands)
        for position in {deal.position_id for deal in entries}:
            moved = {
                way: sum(deal.volume for deal in deals if deal.position_id == position and deal.entry == way)
                for way in ("IN", "OUT")
            }
            still_open = account.book.positions[position].volume if position in account.book.positions else Decimal(0)
            assert moved["IN"] - moved["OUT"] == still_open
    assert account.account().equity == account.book.balance + sum(
        (held.profit + held.swap for held in account.positions()), Decimal(0)
    )
