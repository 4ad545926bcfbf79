"""The bridge's protocol without I/O: frames in, messages or precise refusals out; sequence numbers, session, hello.

One object for each connection. It reads no clock and no socket and keeps no account state; `live.bridge.conversation` moves
the bytes, `live.desk.desk` gives the messages their meaning, `live.bridge.soundness` says which values no message may hold. A refusal
never raises: bad input must not stop the daemon.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from live.bridge.damaged_elements import Partial, countable_part, envelope_of, readable_part
from live.bridge.keyring import Verdict
from live.bridge.soundness import fault_of
from trading_assets.core.messages import (
    PROTOCOL_VERSION,
    FromTerminal,
    Hello,
    Message,
    decode_from_terminal,
    encode_message,
)

MAX_FRAME_BYTES = 4 * 1024 * 1024
# A sender that does nothing but send rubbish is cut off, so that it cannot fill the quarantine.
MAX_REFUSALS = 200
# Both sides and JavaScript's readers hold whole numbers up to here exactly.
MOST_SEQUENCE = 2**53
_MOST_HELLOS = 4
_LONGEST_TYPE = 40
_SUBJECT_LENGTH = 500

Kind = TypeVar("Kind", bound=Message)


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame that was not accepted: `reason` goes into quarantine, `text` to the sender."""

    reason: str
    text: str
    subject: str
    is_fatal: bool = False
    lost: str = ""
    """Type of a message that took its place in the sequence: what it said is not known. Empty when it took none."""


@dataclass(frozen=True, slots=True)
class Gapped:
    """A message in its place before which others are missing: the terminal must be asked to resync."""

    message: FromTerminal | Partial | Refused
    expected_seq: int


@dataclass(frozen=True, slots=True)
class Greeting:
    """An accepted hello: a new session of this account begins once it is taken up."""

    hello: Hello
    account: str
    token_id: str
    session: str


Received = FromTerminal | Greeting | Gapped | Partial | Refused


class TerminalProtocol:
    """State of one connection: not yet greeted, or bound to one account with a session and two sequences.

    A second hello may arrive while earlier messages still wait to be answered: what comes in belongs to the new session from
    then on, what goes out from `begin_session` on.
    """

    def __init__(self, judge: Callable[[str], Verdict], new_session: Callable[[], str]) -> None:
        """`judge` says which account a token opens."""
        self._judge = judge
        self._new_session = new_session
        self._next_in = 1
        self._next_out = 1
        self._refusals = 0
        self._session_in = ""
        self._begun: deque[str] = deque()
        self.account: str | None = None
        self.token_id = ""
        """The token the account was opened with, or the last one that was refused."""
        self.session = ""
        """Session of the messages that go out."""

    def receive(self, frame: str | bytes) -> Received:
        """Take one frame from the terminal."""
        if len(frame) > MAX_FRAME_BYTES:
            return self._refuse(
                "oversized",
                f"the frame has {len(frame)} bytes, the limit is {MAX_FRAME_BYTES}; send smaller batches",
                frame,
            )
        try:
            message = decode_from_terminal(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._undecoded(frame, error)
        return self._decoded(message, frame, None)

    def _decoded(self, message: FromTerminal, frame: str | bytes, partial: Partial | None) -> Received:
        """Take a message; `partial`: what of it could be read, where not all could."""
        if message.v != PROTOCOL_VERSION:
            return self._wrong_version(message.v, frame)
        if isinstance(message, Hello):
            return self._greet(message)
        if self.account is None:
            return self._refuse("unauthenticated", "the first message must be hello", frame, is_fatal=True)
        if message.session != self._session_in:
            return self._refuse(
                "wrong_session",
                f"the message names session {message.session[:40]!r}, this one is {self._session_in!r}; send hello again",
                frame,
            )
        return self._in_order(message, frame, partial)

    def begin_session(self) -> None:
        """What goes out from now on belongs to the session of the next greeting taken up."""
        self.session, self._next_out = self._begun.popleft(), 1

    def frame(self, kind: type[Kind], sent_msc: int, **fields: Any) -> str:
        """Return the next frame to send. `sent_msc`: UTC in milliseconds."""
        text = encode_message(kind(session=self.session, seq=self._next_out, sent_msc=sent_msc, **fields))
        self._next_out += 1
        return text

    def _in_order(self, message: FromTerminal, frame: str | bytes, partial: Partial | None) -> Received:
        expected = self._next_in
        refused = self._out_of_order(message.seq, frame)
        if refused is not None:
            return refused
        self._next_in = message.seq + 1
        countable = countable_part(message)
        whole = countable.message if isinstance(countable, Partial) else countable
        damages = (partial.damages if partial else ()) + (countable.damages if isinstance(countable, Partial) else ())
        fault = fault_of(whole)
        taken: FromTerminal | Partial | Refused = Partial(whole, damages) if damages else whole
        if fault:
            taken = self._refuse(
                "invalid", f"{fault}; the message is ignored", frame, lost=str(message.__struct_config__.tag)
            )
        return taken if message.seq == expected else Gapped(taken, expected)

    def _out_of_order(self, seq: int, frame: str | bytes) -> Refused | None:
        expected = self._next_in
        if not 0 < seq <= MOST_SEQUENCE:
            return self._refuse(
                "invalid", f"sequence {str(seq)[:40]} is none, {expected} was expected; it is ignored", frame
            )
        if seq < expected:
            return self._refuse(
                "stale_sequence", f"sequence {seq} came again, {expected} was expected; it is ignored", frame
            )
        return None

    def _greet(self, hello: Hello) -> Greeting | Refused:
        """Bind the connection to the token's account. A second hello starts a new session (the EA was re-initialised)."""
        verdict = self._judge(hello.token)
        self.token_id = verdict.token_id
        if verdict.account is None or (self.account is not None and verdict.account != self.account):
            problem = verdict.problem or "the token opens another account than this connection's; connect anew with it"
            return self._refuse("unauthenticated", problem, "", is_fatal=True)
        if hello.session or hello.seq != 1:
            return self._refuse(
                "wrong_session", "hello starts a session: its session is empty and its sequence 1", "", is_fatal=True
            )
        fault = fault_of(hello)
        if fault:
            return self._refuse("invalid", f"{fault}; the session does not begin", "", is_fatal=True)
        if len(self._begun) >= _MOST_HELLOS:
            return self._refuse("invalid", "too many hellos at once; wait for welcome", "", is_fatal=True)
        self.account, self._session_in = verdict.account, self._new_session()
        self._begun.append(self._session_in)
        self._next_in = 2
        return Greeting(hello, verdict.account, verdict.token_id, self._session_in)

    def _undecoded(self, frame: str | bytes, error: Exception) -> Received:
        """Take of a frame what can be read: its message without the elements that spoil it, or its place in the sequence alone."""
        version = _version_of(frame)
        if version is not None and version != PROTOCOL_VERSION:
            return self._wrong_version(version, frame)
        is_known = self.account is not None
        partial = readable_part(frame) if is_known else None
        if partial is not None:
            return self._decoded(partial.message, frame, partial)
        kind = "invalid" if isinstance(error, msgspec.ValidationError) else "malformed"
        text = f"the frame is not a message of protocol {PROTOCOL_VERSION}: {str(error)[:200]}; it is ignored"
        envelope = envelope_of(frame) if is_known else None
        expected = self._next_in
        if (
            envelope is None
            or envelope.type in ("", "hello")
            or envelope.session != self._session_in
            or not expected <= envelope.seq <= MOST_SEQUENCE
        ):
            return self._refuse(kind, text, frame)
        # Its number is taken: asked for again it would be as unreadable, and the next message would ask once more.
        self._next_in = envelope.seq + 1
        refused = self._refuse(kind, text, frame, lost=envelope.type[:_LONGEST_TYPE])
        return refused if envelope.seq == expected else Gapped(refused, expected)

    def _wrong_version(self, version: int, frame: str | bytes) -> Refused:
        text = f"the terminal speaks protocol {str(version)[:20]}, the daemon {PROTOCOL_VERSION}; install the matching Expert Advisor"
        return self._refuse("wrong_version", text, frame, is_fatal=True)

    def _refuse(self, reason: str, text: str, frame: str | bytes, *, is_fatal: bool = False, lost: str = "") -> Refused:
        self._refusals += 1
        too_many = self._refusals > MAX_REFUSALS
        if too_many:
            text = f"{text}; this was refusal {self._refusals} of the connection, it is closed"
        return Refused(reason, text, self._subject(frame), is_fatal or too_many, lost)

    def _subject(self, frame: str | bytes) -> str:
        """Text for the quarantine. Whatever may hold a token is named by its size alone: tokens are never recorded."""
        if not frame:
            return "hello"
        whole = frame if isinstance(frame, str) else frame.decode(errors="replace")
        # An escape may spell the word, too.
        if self.account is None or "token" in whole or "\\u" in whole:
            return f"frame of {len(frame)} bytes"
        return whole[:_SUBJECT_LENGTH]


def _version_of(frame: str | bytes) -> int | None:
    """Return the protocol version of a frame that is JSON but not a message of this version."""
    try:
        return msgspec.json.decode(frame, type=_Versioned).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Versioned(msgspec.Struct):
    """The one field that every version has."""

    v: int | None = None
