"""What people and other experts do at the terminal, by the script and at random."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from live.paper.broker import Broker
from live.paper.conditions import Conditions
from live.paper.faults import Faults
from live.paper.hand import do, is_ours, meddle, signed
from live.paper.orders import Fill
from live.paper.script import Event, due_events, parse_script
from trading_assets.core.errors import InputError

from .test_broker import NOW, entry, opened
from .test_conditions import under

OURS = 123_456_789_012


def account_with_ours() -> tuple[Broker, str]:
    account = under(Conditions())
    return account, opened(account, entry(OURS, volume=Decimal("0.20")))


def done(account: Broker, **fields: Any) -> list[Fill]:
    return do(account, Event(**fields), NOW + 1)


def test_a_person_opens_and_another_expert_trades_with_a_magic_that_reads_back_signed():
    account = under(Conditions())
    (fill,) = done(account, do="open", symbol="GBPUSD", side="SELL", volume=Decimal("0.30"), reason="MOBILE")
    assert fill.deal is not None
    assert (fill.deal.reason, fill.deal.magic, fill.position.symbol) == ("MOBILE", "0", "GBPUSD")
    (fill,) = done(account, do="open", magic=(1 << 64) - 5, reason="EXPERT")
    assert fill.position.magic == "-5" == signed(-5)
    assert not any(is_ours(position) for position in account.positions())


def test_a_person_closes_reduces_and_moves_and_removes_stops_of_ours():
    account, ticket = account_with_ours()
    (fill,) = done(account, do="set_stops", whose="ours", sl=1.0800, tp=1.0900)
    assert (fill.deal, fill.position.sl, fill.position.tp) == (None, 1.08, 1.09)
    done(account, do="remove_stops", whose="ours")
    assert (account.book.positions[ticket].sl, account.book.positions[ticket].tp) == (0.0, 0.0)
    (fill,) = done(account, do="close", whose="ours", volume=Decimal("0.05"))
    assert fill.position.volume == Decimal("0.15")
    (fill,) = done(account, do="close", whose="ours")
    assert fill.deal is not None
    assert (fill.deal.reason, fill.deal.magic, fill.deal.position_id) == ("CLIENT", "0", ticket)
    assert done(account, do="close", whose="ours") == []


def test_foreign_positions_can_be_chosen_closed_by_each_other_and_all_at_once():
    account, ticket = account_with_ours()
    for side in ("BUY", "SELL", "SELL"):
        done(account, do="open", symbol="GBPUSD", side=side)
    assert [fill.deal.entry for fill in done(account, do="close_by", symbol="GBPUSD") if fill.deal] == ["OUT_BY"] * 2
    assert len(done(account, do="close", whose="foreign", which="all")) == 1
    assert list(account.book.positions) == [ticket]


def test_pending_orders_of_a_person_rest_until_they_are_withdrawn():
    account = under(Conditions())
    assert done(account, do="place", price=1.08) == []
    assert [working.order.magic for working in account.book.orders.values()] == ["0"]
    assert account.settle(NOW + 10**9) == []
    assert len(account.book.orders) == 1
    done(account, do="withdraw")
    assert not account.book.orders


def test_money_comes_and_goes_and_trading_is_switched_off_and_on():
    account = under(Conditions())
    done(account, do="deposit", amount=Decimal("-2500"))
    done(account, do="credit", amount=Decimal("300"))
    assert (account.book.balance, account.book.credit) == (Decimal("7500.00"), Decimal("300.00"))
    for off, on in (("server_off", "server_on"), ("terminal_off", "terminal_on")):
        done(account, do=off)
        assert not account.is_trade_allowed
        done(account, do=on)
        assert account.is_trade_allowed


def test_nothing_happens_while_the_market_is_closed():
    account, _ = account_with_ours()
    account.quotes["EURUSD"].is_open = False
    assert done(account, do="open") == []
    assert done(account, do="close") == []


def test_meddling_does_all_sorts_of_things_and_the_same_ones_for_the_same_seed():
    def run(seed: int) -> list[Any]:
        account, _ = account_with_ours()
        for turn in range(60):
            meddle(account, Faults(seed=seed), NOW + turn)
        return [(deal.entry, deal.magic, str(deal.volume)) for deal in account.book.deals]

    assert run(1) == run(1) != run(2)
    assert {"IN", "OUT"} <= {entry for entry, _, _ in run(1)}


def test_events_are_due_at_their_time_or_with_their_deal_and_once():
    script = parse_script(
        '[{"at": "2024-01-08T10:00:00", "do": "open"}, {"after_deals": 3, "do": "close"}, {"at": "2024-01-08T12:00:00+02:00", "do": "die"}]'
    )
    ten = 1_704_708_000_000
    assert [number for number, _ in due_events(script, (), ten - 1, 0, at_beat=True)] == []
    assert [number for number, _ in due_events(script, (), ten, 5, at_beat=False)] == [0, 2]
    assert [number for number, _ in due_events(script, (0,), ten, 3, at_beat=True)] == [1, 2]
    for text in ("{}", '[{"do": "nothing"}]', "no json"):
        with pytest.raises(InputError, match="--script"):
            parse_script(text)


def test_costs_are_deals_of_their_own_of_any_type():
    account = under(Conditions())
    done(account, do="charge", amount=Decimal("-12.40"), kind="COMMISSION_DAILY")
    assert (account.book.balance, account.book.deals[-1].kind) == (Decimal("9987.60"), "COMMISSION_DAILY")
