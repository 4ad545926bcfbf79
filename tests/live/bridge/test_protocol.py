"""The protocol without I/O: every frame becomes a message or a precise refusal, never an exception."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from live.bridge.keyring import Keyring
from live.bridge.protocol import MAX_FRAME_BYTES, MAX_REFUSALS, Gapped, Greeting, Refused, TerminalProtocol
from trading_assets.core.messages import Goodbye, TerminalHeartbeat, Welcome, decode_from_daemon
from trading_assets.store.tokens import token_sha256

TOKENS = {"paper": token_sha256("right"), "live": token_sha256("other")}
ACCOUNT = {
    "login": "1", "server": "s", "company": "c", "currency": "USD", "leverage": 100, "margin_mode": "hedging",
    "balance": "1", "equity": "1", "credit": "0", "margin": "0", "margin_free": "1", "trade_allowed": True,
}  # fmt: skip


def protocol() -> TerminalProtocol:
    sessions = iter(("s1", "s2", "s3"))
    return TerminalProtocol(Keyring("tests", TOKENS, None, print).judge, lambda: next(sessions))


def hello(token: str = "right", **fields: Any) -> str:
    message = {
        "type": "hello", "v": 1, "session": "", "seq": 1, "sent_msc": 0, "token": token, "build": "b",
        "account": ACCOUNT, "server_time_msc": 0, "lockstep": True,
    }  # fmt: skip
    return json.dumps(message | fields)


def heartbeat(seq: int, session: str = "s1") -> str:
    return json.dumps(
        {"type": "heartbeat", "v": 1, "session": session, "seq": seq, "sent_msc": 0, "server_time_msc": 5}
    )


def test_a_known_token_binds_the_connection_to_its_account() -> None:
    greeted = protocol()
    greeting = greeted.receive(hello("other"))
    assert isinstance(greeting, Greeting)
    assert (greeting.account, greeting.session, greeting.token_id) == ("live", "s1", TOKENS["live"][:12])
    assert greeted.account == "live"


def test_wrong_and_missing_tokens_are_refused_without_being_repeated() -> None:
    for token in ("wrong-secret", ""):
        refused = protocol().receive(hello(token))
        assert isinstance(refused, Refused)
        assert refused.reason == "unauthenticated"
        assert refused.is_fatal
        assert "wrong-secret" not in refused.text + refused.subject


def test_no_frame_with_a_token_is_quoted_in_the_quarantine() -> None:
    greeted = protocol()
    greeted.receive(hello())
    for frame in (hello()[:-3], '{"type":"deal","token":"right"', hello(lockstep="yes")):
        refused = greeted.receive(frame)
        assert isinstance(refused, Refused)
        assert "right" not in refused.subject


def test_a_message_before_hello_is_refused() -> None:
    refused = protocol().receive(heartbeat(1, ""))
    assert isinstance(refused, Refused)
    assert "first message must be hello" in refused.text


def test_messages_in_order_pass_and_a_gap_is_reported_with_what_is_missing() -> None:
    greeted = protocol()
    greeted.receive(hello())
    assert isinstance(greeted.receive(heartbeat(2)), TerminalHeartbeat)
    gapped = greeted.receive(heartbeat(5))
    assert isinstance(gapped, Gapped)
    assert gapped.expected_seq == 3
    assert isinstance(greeted.receive(heartbeat(6)), TerminalHeartbeat)


def test_a_sequence_number_that_comes_again_is_ignored() -> None:
    greeted = protocol()
    greeted.receive(hello())
    greeted.receive(heartbeat(2))
    refused = greeted.receive(heartbeat(2))
    assert isinstance(refused, Refused)
    assert refused.reason == "stale_sequence"
    assert not refused.is_fatal


def test_a_message_of_another_session_is_refused() -> None:
    greeted = protocol()
    greeted.receive(hello())
    refused = greeted.receive(heartbeat(2, "other"))
    assert isinstance(refused, Refused)
    assert refused.reason == "wrong_session"


def test_a_second_hello_starts_a_new_session_with_new_sequences() -> None:
    greeted = protocol()
    greeted.receive(hello())
    greeted.begin_session()
    greeted.frame(Welcome, 0, tenant="t", account="paper")
    assert isinstance(greeted.receive(hello()), Greeting)
    # What still goes out belongs to the first session, until the second one is taken up.
    last = decode_from_daemon(greeted.frame(Welcome, 0, tenant="t", account="paper"))
    assert (last.session, last.seq) == ("s1", 2)
    greeted.begin_session()
    first = decode_from_daemon(greeted.frame(Welcome, 0, tenant="t", account="paper"))
    assert (first.session, first.seq) == ("s2", 1)
    assert isinstance(greeted.receive(heartbeat(2, "s2")), TerminalHeartbeat)


def test_a_second_hello_for_another_account_is_refused() -> None:
    greeted = protocol()
    greeted.receive(hello())
    refused = greeted.receive(hello("other"))
    assert isinstance(refused, Refused)
    assert refused.is_fatal
    assert greeted.account == "paper"


def test_another_protocol_version_is_named_even_when_the_message_cannot_be_read() -> None:
    for frame in (hello(v=2), '{"type":"novelty","v":7}'):
        refused = protocol().receive(frame)
        assert isinstance(refused, Refused)
        assert refused.reason == "wrong_version"
        assert "install the matching Expert Advisor" in refused.text


def test_an_oversized_frame_is_refused_with_its_size() -> None:
    refused = protocol().receive(b" " * (MAX_FRAME_BYTES + 1))
    assert isinstance(refused, Refused)
    assert refused.reason == "oversized"
    assert str(MAX_FRAME_BYTES + 1) in refused.text


def test_wrong_types_and_text_that_is_not_json_have_reasons_of_their_own() -> None:
    greeted = protocol()
    greeted.receive(hello())
    reasons = [greeted.receive(frame) for frame in ("not json", b"\xff\xfe", heartbeat(2).replace("5}", '"x"}'))]
    assert [refused.reason for refused in reasons if isinstance(refused, Refused)] == [
        "malformed",
        "malformed",
        "invalid",
    ]


def test_a_sender_of_nothing_but_rubbish_is_cut_off() -> None:
    greeted = protocol()
    greeted.receive(hello())
    answers = [greeted.receive("{") for _ in range(MAX_REFUSALS + 1)]
    assert [answer.is_fatal for answer in answers if isinstance(answer, Refused)] == [False] * MAX_REFUSALS + [True]


def test_frames_out_are_numbered_without_a_gap() -> None:
    greeted = protocol()
    greeted.receive(hello())
    greeted.begin_session()
    frames = [decode_from_daemon(greeted.frame(Welcome, 1, tenant="t", account="a")) for _ in range(3)]
    assert [(frame.session, frame.seq) for frame in frames] == [("s1", 1), ("s1", 2), ("s1", 3)]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6) | st.sampled_from(["type", "v", "seq"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.binary(max_size=64) | st.text(max_size=64) | _JSON.map(json.dumps))
def test_whatever_comes_never_raises(frame: str | bytes) -> None:
    greeted = protocol()
    greeted.receive(hello())
    assert isinstance(greeted.receive(frame), Refused | Goodbye | Gapped)


def test_hellos_without_end_that_nobody_takes_up_are_refused() -> None:
    greeted = TerminalProtocol(Keyring("tests", TOKENS, None, print).judge, lambda: "s")
    answers = [greeted.receive(hello()) for _ in range(5)]
    assert [type(answer) for answer in answers] == [Greeting] * 4 + [Refused]
    assert isinstance(answers[-1], Refused)
    assert answers[-1].is_fatal
    assert "wait for welcome" in answers[-1].text


def test_a_token_spelt_with_escapes_is_not_quoted_either() -> None:
    greeted = protocol()
    greeted.receive(hello())
    refused = greeted.receive('{"type":"deal","\\u0074oken":"right"')
    assert isinstance(refused, Refused)
    assert "right" not in refused.subject
