"""Any one element of any list may be damaged in any way: the others are used, and the sequence goes on."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from live.bridge.damaged_elements import Partial
from live.bridge.keyring import Keyring
from live.bridge.protocol import Gapped, Refused, TerminalProtocol
from trading_assets.core.messages import TerminalHeartbeat
from trading_assets.store.tokens import token_sha256

ACCOUNT = {
    "login": "1", "server": "s", "company": "c", "currency": "USD", "leverage": 100, "margin_mode": "hedging",
    "balance": "1", "equity": "1", "credit": "0", "margin": "0", "margin_free": "1", "trade_allowed": True,
}  # fmt: skip
_DEAL = {
    "ticket": "1", "order": "1", "position_id": "1", "magic": "0", "symbol": "EURUSD", "kind": "BUY", "entry": "IN",
    "reason": "CLIENT", "volume": "0.1", "price": 1.1, "profit": "0", "commission": "0", "swap": "0", "fee": "0",
    "time_msc": 1, "comment": "",
}  # fmt: skip
_POSITION = {
    "ticket": "1", "identifier": "1", "magic": "0", "symbol": "EURUSD", "side": "BUY", "volume": "0.1",
    "price_open": 1.1, "sl": 0.0, "tp": 0.0, "swap": "0", "profit": "0", "time_msc": 1, "comment": "",
}  # fmt: skip
_ORDER = {
    "ticket": "1", "position_id": "0", "magic": "0", "symbol": "EURUSD", "side": "BUY", "state": "PLACED",
    "volume_initial": "0.1", "volume_current": "0.1", "price_open": 1.1, "sl": 0.0, "tp": 0.0, "time_setup_msc": 1,
    "time_done_msc": 0,
}  # fmt: skip
_CONTRACT = {
    "symbol": "EURUSD", "digits": 5, "point": 1e-5, "trade_tick_size": 1e-5, "trade_tick_value": "1",
    "contract_size": "100000", "volume_min": "0.01", "volume_max": "100", "volume_step": "0.01", "stops_level": 0,
    "freeze_level": 0, "filling_mode": 3, "swap_long": 0.0, "swap_short": 0.0, "commission_per_lot": "0",
}  # fmt: skip
_SNAPSHOT = {"account": ACCOUNT, "symbols": [_CONTRACT] * 2, "positions": [_POSITION] * 2, "orders": [_ORDER] * 2}
_MESSAGES: dict[str, dict[str, Any]] = {
    "snapshot": _SNAPSHOT,
    "deals": {"request_id": "r", "deals": [_DEAL] * 3},
    "bars": {"request_id": "r", "symbol": "EURUSD", "timeframe": "M5", "is_last": True, "bars": [[1, 1, 1, 1, 1, 1, 1]] * 2},
    "ticks": {"symbol": "EURUSD", "ticks": [[1, 1.0, 1.1]] * 2},
    "book": {"symbol": "EURUSD", "time_msc": 1, "bids": [[1.0, "1"]] * 2, "asks": [[1.1, "1"]] * 2},
}  # fmt: skip
_LISTS = [
    (kind, name) for kind, fields in _MESSAGES.items() for name, value in fields.items() if isinstance(value, list)
]
_RUBBISH = st.one_of(
    st.none(), st.text(max_size=5), st.integers(), st.lists(st.text(max_size=2), max_size=2), st.dictionaries(st.text(max_size=3), st.none(), max_size=2)
)  # fmt: skip


def message(kind: str, fields: dict[str, Any], seq: int) -> str:
    return json.dumps({"type": kind, "v": 1, "session": "s1", "seq": seq, "sent_msc": 0} | fields)


def heartbeat(seq: int) -> str:
    return message("heartbeat", {"server_time_msc": 5}, seq)


def greeted() -> TerminalProtocol:
    made = TerminalProtocol(Keyring("tests", {"paper": token_sha256("right")}, None, print).judge, lambda: "s1")
    fields = {"session": "", "token": "right", "build": "b", "account": ACCOUNT, "server_time_msc": 0, "lockstep": True}
    made.receive(message("hello", fields, 1))
    return made


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    kind, name = draw(st.sampled_from(_LISTS))
    elements: list[Any] = list(_MESSAGES[kind][name])
    index = draw(st.integers(0, len(elements) - 1))
    element = elements[index]
    if isinstance(element, dict) and draw(st.booleans()):
        field = draw(st.sampled_from(sorted(element)))
        # No field takes an object.
        elements[index] = element | {field: {"x": draw(_RUBBISH)}} if draw(st.booleans()) else {
            key: value for key, value in element.items() if key != field
        }  # fmt: skip
    else:
        elements[index] = draw(_RUBBISH)
    return kind, name, _MESSAGES[kind] | {name: elements}


@given(damaged())
def test_one_damaged_element_spoils_neither_its_list_nor_the_sequence(case: tuple[str, str, dict[str, Any]]) -> None:
    kind, name, fields = case
    taken = greeted()
    partial = taken.receive(message(kind, fields, 2))
    assert isinstance(partial, Partial)
    assert [(one.field, one.count) for one in partial.damages] == [(name, 1)]
    whole = msgspec.to_builtins(partial.message)
    for other, value in _MESSAGES[kind].items():
        if isinstance(value, list):
            assert len(whole[other]) == len(value) - (other == name)
    assert isinstance(taken.receive(heartbeat(3)), TerminalHeartbeat)


def test_an_element_nobody_can_count_with_is_left_out_like_one_that_cannot_be_read() -> None:
    taken = greeted()
    deals = [_DEAL, _DEAL | {"profit": "NaN"}, _DEAL | {"entry": "SIDEWAYS"}]
    partial = taken.receive(message("deals", {"request_id": "r", "deals": deals}, 2))
    assert isinstance(partial, Partial)
    assert [(one.field, one.count, one.symbols) for one in partial.damages] == [("deals", 1, ("EURUSD",))] * 2
    assert len(msgspec.to_builtins(partial.message)["deals"]) == 1


def test_a_message_that_cannot_be_read_takes_its_number_and_hides_no_gap_before_it() -> None:
    taken = greeted()
    deal = {"deal": _DEAL | {"kind": 7}, "account": ACCOUNT}
    refused = taken.receive(message("deal", deal, 2))
    assert isinstance(refused, Refused)
    assert (refused.lost, refused.is_fatal) == ("deal", False)
    assert isinstance(taken.receive(heartbeat(3)), TerminalHeartbeat)
    gapped = taken.receive(message("deal", deal, 6))
    assert isinstance(gapped, Gapped)
    assert gapped.expected_seq == 4
    assert isinstance(gapped.message, Refused)
    assert isinstance(taken.receive(heartbeat(7)), TerminalHeartbeat)


def test_no_frame_of_another_session_or_number_moves_the_sequence() -> None:
    taken = greeted()
    bad = {"deal": None, "account": ACCOUNT}
    for frame in (
        message("deal", bad, 1), message("deal", bad | {"session": "s9"}, 2), message("deal", bad, 2**60), message("deal", bad | {"seq": "2"}, 2)
    ):  # fmt: skip
        refused = taken.receive(frame)
        assert isinstance(refused, Refused)
        assert not refused.lost
    assert isinstance(taken.receive(heartbeat(2)), TerminalHeartbeat)
