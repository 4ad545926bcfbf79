"""How an answer is told: results that say nothing, and events that are lost, doubled, shuffled or too many."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from live.paper.broker import Broker
from live.paper.conditions import Conditions
from live.paper.desk import Desk
from live.paper.faults import Faults
from live.paper.state import PlayPosition, State
from trading_assets.core.messages import DealUpdate, OrderUpdate, PositionUpdate

from .test_broker import NOW, entry
from .test_conditions import under


def told(folder: Path, faults: Faults, commands: int = 20, account: Broker | None = None) -> tuple[list[Any], Broker]:
    """Carry out small entries and return everything that would be sent, in order."""
    account, state = account or under(Conditions(), "1000000"), State(folder)
    desk = Desk(account, state, PlayPosition(played=0, acknowledged=0, now_ms=0), faults)
    for number in range(commands):
        desk.carry_out(entry(number, volume=Decimal("0.10")), NOW)
    desk.next_turn()
    desk.settle(NOW + 120_000)
    messages = [result.message for result in desk.sendable()]
    state.close()
    return messages, account


def of(messages: list[Any], kind: type) -> list[Any]:
    return [message for message in messages if isinstance(message, kind)]


def test_a_result_that_says_nothing_comes_with_and_without_execution(tmp_path: Path):
    codes = (10012, 10031, 10011, 10028)
    faults = Faults(unknown_retcodes=codes, timeouts=1.0)
    messages, account = told(tmp_path / "a", faults)
    assert {update.retcode for update in of(messages, OrderUpdate)} == set(codes)
    assert len(account.book.positions) == len(of(messages, DealUpdate)) == 20
    messages, account = told(tmp_path / "b", Faults(unknown_retcodes=codes, unexecuted=1.0))
    assert {update.retcode for update in of(messages, OrderUpdate)} == set(codes)
    assert not account.book.positions
    assert not of(messages, DealUpdate)


def test_a_command_is_refused_with_one_of_the_codes_asked_for(tmp_path: Path):
    codes = (10004, 10020, 10021, 10024, 10029, 10007, 10041)
    messages, account = told(tmp_path, Faults(rejects=1.0, reject_retcodes=codes), 60)
    assert {update.retcode for update in messages} == set(codes)
    assert all(update.comment for update in messages)
    assert not account.book.positions


def test_events_are_lost_and_doubled_and_the_state_alone_tells_the_truth(tmp_path: Path):
    messages, account = told(tmp_path / "a", Faults(lost_events=0.5))
    assert len(of(messages, OrderUpdate)) == 20
    assert 5 < len(of(messages, DealUpdate)) < 15
    assert len(account.positions()) == 20
    messages, _ = told(tmp_path / "b", Faults(duplicated_events=0.5))
    tickets = [update.deal.ticket for update in of(messages, DealUpdate)]
    assert len(set(tickets)) == 20
    assert 25 < len(tickets) < 35


def test_of_a_queue_that_is_full_the_oldest_events_are_lost(tmp_path: Path):
    account, state = under(Conditions(), "1000000"), State(tmp_path)
    desk = Desk(account, state, PlayPosition(played=0, acknowledged=0, now_ms=0), Faults(event_queue=3))
    for number in range(10):
        desk.carry_out(entry(number, volume=Decimal("0.10")), NOW)
    before = len(desk.sendable())
    fills = account.close_all(NOW, "all at once")
    desk.report(fills, "")
    messages = [result.message for result in desk.sendable()][before:]
    assert [type(message) for message in messages] == [PositionUpdate, DealUpdate, PositionUpdate]
    assert messages[1].deal == fills[-1].deal
    state.close()


def test_messages_of_one_answer_arrive_in_any_order(tmp_path: Path):
    messages, _ = told(tmp_path, Faults(shuffled_events=1.0))
    orders = {
        tuple(type(message).__name__ for message in messages[begin : begin + 3]) for begin in range(0, len(messages), 3)
    }
    assert len(orders) > 3
    assert all(len(set(order)) == 3 for order in orders)


def test_commands_are_placed_and_end_as_asked_for(tmp_path: Path):
    faults = Faults(placed=1.0, placed_in_part=0.3, placed_cancelled=0.3, placed_expired=0.3, placed_in_halves=0.3)
    messages, account = told(tmp_path, faults, 60)
    answers = of(messages, OrderUpdate)
    assert {update.retcode for update in answers[:60]} == {10008}
    assert {(update.retcode, update.order.state) for update in answers[60:]} == {
        (10009, "FILLED"), (10010, "PARTIAL"), (10010, "PLACED"), (10008, "CANCELLED"), (10008, "EXPIRED"),
    }  # fmt: skip
    assert len(of(messages, DealUpdate)) == len(account.book.positions)


def test_the_broker_changes_comments(tmp_path: Path):
    messages, account = told(tmp_path, Faults(changed_comments=0.5))
    comments = [held.comment for held in account.positions()]
    assert {comment.split()[0] for comment in comments} == {"test", "broker"}
    assert [update.deal.comment for update in of(messages, DealUpdate)] == comments


def test_the_same_seed_tells_the_same_and_another_one_does_not(tmp_path: Path):
    def run(name: str, seed: int) -> list[Any]:
        shares = {"lost_events": 0.3, "shuffled_events": 0.3, "timeouts": 0.2, "placed": 0.3, "unexecuted": 0.1}
        return told(tmp_path / name, Faults(seed=seed, **shares))[0]

    assert run("a", 1) == run("b", 1) != run("c", 2)
