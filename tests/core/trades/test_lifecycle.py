from __future__ import annotations

from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trading_assets.core.records.record import OrderState
from trading_assets.core.trades.lifecycle import (
    CLOSED_STATES,
    OPEN_STATES,
    RESULTS,
    Abandoned,
    Answered,
    Ended,
    Event,
    Filled,
    Lost,
    Missing,
    Sent,
    TransitionError,
    Withdrawn,
    Working,
    advance,
    is_open,
    result_of,
)

STATES: tuple[OrderState, ...] = get_args(OrderState)
ALL, PART = Filled(Decimal("1.0"), Decimal("1.0")), Filled(Decimal("0.4"), Decimal("1.0"))

# The table of classes, as the terminal documents them.
CLASSES = {
    "accepted": (10008, 10009, 10010, 10025),
    "refused": (
        10006,
        10007,
        *range(10013, 10020),
        10022,
        10026,
        10027,
        10030,
        *range(10032, 10037),
        *range(10038, 10047),
    ),
    "price_moved": (10004, 10020, 10021),
    "unknown": (10011, 10012, 10028, 10031),
    "throttled": (10024, 10029),
}


def life(*events: Event | int) -> OrderState:
    state: OrderState = "PLANNED"
    for event in events:
        state = advance(state, event)
    return state


def test_every_result_code_has_its_class() -> None:
    assert {code: result.kind for code, result in RESULTS.items()} == {
        code: kind for kind, codes in CLASSES.items() for code in codes
    }
    assert {code: result.trips for code, result in RESULTS.items() if result.trips} == {
        10019: "no_money", 10026: "account", 10027: "account",
    }  # fmt: skip


@pytest.mark.parametrize("code", CLASSES["refused"])
def test_a_refusal_closes_the_order(code: int) -> None:
    assert life(Sent(), code) == "REFUSED"


@pytest.mark.parametrize("code", [*CLASSES["unknown"], 0, 10005, 10023, 10037, 99999])
def test_a_result_that_does_not_say_what_happened_is_unknown_not_no(code: int) -> None:
    assert life(Sent(), code) == "UNKNOWN"
    assert is_open("UNKNOWN")


@pytest.mark.parametrize("code", [*CLASSES["price_moved"], *CLASSES["throttled"]])
def test_a_price_that_moved_leaves_the_order_to_be_sent_again_or_abandoned(code: int) -> None:
    assert life(Sent(), code) == "PLANNED"
    assert life(Sent(), code, Sent(), 10009, ALL) == "FILLED"
    assert life(Sent(), code, Abandoned()) == "EXPIRED"


@pytest.mark.parametrize("code", [10008, 10009, 10025])
def test_accepted_is_not_filled_until_deals_say_so(code: int) -> None:
    assert life(Sent(), code) == "PLACED"
    assert life(Sent(), code, PART) == "PARTIAL"
    assert life(Sent(), code, PART, ALL) == "FILLED"


def test_a_partial_fill_is_done_in_part() -> None:
    assert life(Sent(), 10010) == "PARTIAL"
    assert life(Sent(), 10010, PART) == "PARTIAL"
    assert not is_open("PARTIAL")


def test_deals_that_arrive_before_the_answer_count() -> None:
    assert life(Sent(), ALL, 10009) == "FILLED"
    assert life(Sent(), PART, 10009) == "PARTIAL"
    assert life(Sent(), ALL, 10012) == "FILLED"


@pytest.mark.parametrize("answer", [Lost(), Answered(10012), Answered(10031)])
def test_a_lost_answer_is_searched_until_the_terminal_knows(answer: Event) -> None:
    assert life(Sent(), answer) == "UNKNOWN"
    assert life(Sent(), answer, Working()) == "PLACED"
    assert life(Sent(), answer, ALL) == "FILLED"
    assert life(Sent(), answer, Missing(is_past_deadline=False)) == "UNKNOWN"
    assert life(Sent(), answer, Missing(is_past_deadline=True)) == "EXPIRED"


def test_a_code_that_allows_a_resend_does_not_when_it_answers_an_unknown_order() -> None:
    assert life(Sent(), Lost(), 10004) == "UNKNOWN"
    assert life(Sent(), Lost(), 10006) == "REFUSED"


def test_sent_is_not_final_a_later_refusal_of_a_placed_order_is_checked() -> None:
    assert life(Sent(), 10008, 10006) == "UNKNOWN"


def test_a_deal_is_believed_in_every_state() -> None:
    for state in STATES:
        assert advance(state, ALL) == "FILLED"
        assert advance(state, PART) == ("FILLED" if state == "FILLED" else "PARTIAL")
        assert advance(state, Filled(Decimal(0), Decimal(1))) == state


def test_what_the_terminal_ends_is_ended_unless_it_was_filled() -> None:
    assert life(Sent(), 10008, Ended("CANCELLED")) == "CANCELLED"
    assert life(Sent(), 10008, PART, Ended("CANCELLED")) == "PARTIAL"
    assert life(Sent(), ALL, Ended("CANCELLED")) == "FILLED"


@pytest.mark.parametrize("state", [state for state in STATES if state != "PLANNED"])
def test_only_a_planned_order_is_sent_or_abandoned(state: OrderState) -> None:
    for event in (Sent(), Abandoned()):
        with pytest.raises(TransitionError, match="ask the terminal"):
            advance(state, event)


def test_an_order_that_was_not_sent_cannot_be_answered() -> None:
    with pytest.raises(TransitionError):
        life(10009)


events = st.one_of(
    st.just(Sent()),
    st.sampled_from(sorted(RESULTS)).map(Answered),
    st.integers(10000, 10060).map(Answered),
    st.sampled_from([ALL, PART, Filled(Decimal(0), Decimal(1))]),
    st.just(Lost()),
    st.just(Working()),
    st.booleans().map(Missing),
    st.sampled_from(["CANCELLED", "EXPIRED", "REFUSED"]).map(Ended),  # type: ignore[arg-type]
    st.just(Abandoned()),
    st.just(Withdrawn()),
)


@given(st.lists(events, max_size=30))
def test_no_life_sends_an_unknown_order_again_or_takes_a_fill_back(history: list[Event]) -> None:
    state: OrderState = "PLANNED"
    for event in history:
        try:
            after = advance(state, event)
        except TransitionError:
            continue
        assert after in STATES
        if isinstance(event, Sent):
            assert state == "PLANNED"
        if state == "UNKNOWN":
            assert after not in ("PLANNED", "SENT")
        if state == "FILLED":
            assert after == "FILLED"
        if state == "PARTIAL":
            assert after in ("PARTIAL", "FILLED")
        if state in ("REFUSED", "EXPIRED", "CANCELLED") and after != state:
            # Only the broker's word brings it back: a deal, its end, that it works, or that it was carried out.
            carried_out = isinstance(event, Answered) and event.retcode in (10008, 10009, 10010)
            assert isinstance(event, Filled | Ended | Working) or (carried_out and after == "UNKNOWN")
        state = after


def test_a_placed_order_past_its_deadline_is_withdrawn_and_unknown_until_the_terminal_says_so() -> None:
    assert life(Sent(), 10008, Withdrawn()) == "UNKNOWN"
    assert life(Sent(), 10008, Withdrawn(), Ended("CANCELLED")) == "CANCELLED"
    assert life(Sent(), 10008, Withdrawn(), Working()) == "PLACED"
    assert life(Sent(), 10008, Withdrawn(), ALL) == "FILLED"
    assert life(Sent(), PART, Withdrawn()) == "PARTIAL"
    assert life(Sent(), 10008, Withdrawn(), Missing(is_past_deadline=True)) == "EXPIRED"


@pytest.mark.parametrize("history", [(), (Sent(),), (Sent(), 10006), (Sent(), ALL)])
def test_what_does_not_work_at_the_broker_cannot_be_withdrawn(history: tuple[Event | int, ...]) -> None:
    with pytest.raises(TransitionError, match="nothing to withdraw"):
        life(*history, Withdrawn())


@pytest.mark.parametrize("code", [10008, 10009, 10010])
def test_an_order_taken_for_over_that_was_carried_out_is_asked_for(code: int) -> None:
    over = (Sent(), Lost(), Missing(is_past_deadline=True))
    assert life(*over) == "EXPIRED"
    assert life(*over, code) == "UNKNOWN"
    assert life(*over, 10006) == "EXPIRED"
    assert life(*over, Working()) == "PLACED"


class Broker(RuleBasedStateMachine):
    """One order between us and a broker that fills, refuses, keeps silent and is searched, in any order.

    `filled` is the broker's truth, `told` what its deals said so far; `sends` counts frames, `is_live` says whether the
    broker may still fill it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.state: OrderState = "PLANNED"
        self.sends = 0
        self.filled = self.told = 0
        self.is_live = self.was_unknown = self.is_past_deadline = False

    def feel(self, event: Event | int) -> None:
        before, self.state = self.state, advance(self.state, event)
        if before == "UNKNOWN":
            self.was_unknown = True

    @precondition(lambda self: self.state == "PLANNED")
    @rule()
    def send(self) -> None:
        self.feel(Sent())
        self.sends += 1
        self.is_live = True

    @precondition(lambda self: self.is_live and self.filled < 3)
    @rule(volume=st.integers(1, 3))
    def fill(self, volume: int) -> None:
        self.filled = min(self.filled + volume, 3)
        self.is_live = self.filled < 3

    @precondition(lambda self: self.told < self.filled)
    @rule()
    def tell_a_deal(self) -> None:
        self.told += 1
        self.feel(Filled(Decimal(self.told), Decimal(3)))

    @precondition(lambda self: self.told > 0)
    @rule()
    def tell_a_deal_again(self) -> None:
        self.feel(Filled(Decimal(self.told), Decimal(3)))

    @precondition(lambda self: self.sends and self.state != "PLANNED")
    @rule(code=st.sampled_from([10008, 10011, 10012, 10028, 10031, 12345]))
    def answer_vaguely(self, code: int) -> None:
        if code != 10008 or self.is_live or self.filled:
            self.feel(code)

    @precondition(lambda self: self.filled and self.state != "PLANNED")
    @rule(code=st.sampled_from([10009, 10010]))
    def answer_done(self, code: int) -> None:
        self.feel(code)

    @precondition(lambda self: self.is_live and not self.filled and self.state == "SENT")
    @rule(code=st.sampled_from([10004, 10006, 10018, 10019, 10024, 10029]))
    def refuse(self, code: int) -> None:
        self.is_live = False
        self.feel(code)

    @precondition(lambda self: self.sends)
    @rule()
    def lose_the_connection(self) -> None:
        self.feel(Lost())

    @precondition(lambda self: self.state in ("SENT", "PLACED", "UNKNOWN", "PARTIAL"))
    @rule()
    def let_the_deadline_pass(self) -> None:
        self.is_past_deadline = True

    @precondition(lambda self: self.sends and self.state != "PLANNED")
    @rule()
    def search(self) -> None:
        """A complete search: positions and deals first, so that what is filled is told before anything is missing."""
        while self.told < self.filled:
            self.tell_a_deal()
        if self.is_live:
            self.feel(Working())
        elif not self.filled:
            self.feel(Missing(self.is_past_deadline))

    @precondition(lambda self: self.state == "PLACED" and self.is_past_deadline)
    @rule(is_heard=st.booleans())
    def withdraw(self, is_heard: bool) -> None:
        self.feel(Withdrawn())
        self.is_live = self.is_live and not is_heard

    @precondition(lambda self: not self.is_live and not self.filled and self.state in ("PLACED", "UNKNOWN"))
    @rule(end=st.sampled_from(["CANCELLED", "EXPIRED", "REFUSED"]))
    def tell_its_end(self, end: Any) -> None:
        self.feel(Ended(end))

    @precondition(lambda self: self.state == "PLANNED")
    @rule()
    def give_up(self) -> None:
        if self.sends:  # An order never sent is over for good; nothing more can happen to it.
            self.feel(Abandoned())

    @invariant()
    def no_fill_is_lost_or_taken_back(self) -> None:
        if self.told:
            assert self.state == ("FILLED" if self.told == 3 else "PARTIAL")
        else:
            assert self.state != "FILLED"

    @invariant()
    def an_unknown_order_is_never_sent_again(self) -> None:
        assert not (self.was_unknown and self.state in ("PLANNED", "SENT"))

    @invariant()
    def an_order_that_lives_is_not_forgotten_before_its_deadline(self) -> None:
        if self.is_live and not self.told:
            assert is_open(self.state) or self.state == "PARTIAL"


TestBroker = Broker.TestCase
TestBroker.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_every_state_is_open_closed_or_partial() -> None:
    assert OPEN_STATES | CLOSED_STATES | {"PARTIAL"} == set(STATES)
    assert not OPEN_STATES & CLOSED_STATES


def test_an_unlisted_code_says_that_it_is_unlisted() -> None:
    assert result_of(12345).words == "result code 12345 is not known"
