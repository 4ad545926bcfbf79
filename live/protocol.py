"""The bridge's protocol without I/O: frames in, messages or precise refusals out; sequence numbers, session, hello.

One object for each connection. It reads no clock and no socket and keeps no account state; `live.bridge` moves
the bytes, `live.desk` gives the messages their meaning. A refusal never raises: bad input must not stop the daemon.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

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
_SUBJECT_LENGTH = 500

Kind = TypeVar("Kind", bound=Message)


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame that was not accepted: `reason` goes into quarantine, `text` to the sender."""

    reason: str
    text: str
    subject: str
    is_fatal: bool = False


@dataclass(frozen=True, slots=True)
class Gapped:
    """An accepted message before which others are missing: the terminal must be asked to resync."""

    message: FromTerminal
    expected_seq: int


class TerminalProtocol:
    """State of one connection: not yet greeted, or bound to one account with a session and two sequences."""

    def __init__(self, tokens: Mapping[str, str], new_session: Callable[[], str]) -> None:
        """`tokens` maps account names to the sha256 (hex) of their token."""
        self._tokens = tokens
        self._new_session = new_session
        self._next_in = 1
        self._next_out = 1
        self._refusals = 0
        self.account: str | None = None
        self.session = ""

    def receive(self, frame: str | bytes) -> FromTerminal | Gapped | Refused:
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
            return self._refuse_undecoded(frame, error)
        if message.v != PROTOCOL_VERSION:
            return self._wrong_version(message.v, frame)
        if isinstance(message, Hello):
            return self._greet(message)
        if self.account is None:
            return self._refuse("unauthenticated", "the first message must be hello", frame, is_fatal=True)
        if message.session != self.session:
            return self._refuse(
                "wrong_session",
                f"the message names session {message.session!r}, this one is {self.session!r}; send hello again",
                frame,
            )
        return self._in_order(message, frame)

    def frame(self, kind: type[Kind], sent_msc: int, **fields: Any) -> str:
        """Return the next frame to send. `sent_msc`: UTC in milliseconds."""
        text = encode_message(kind(session=self.session, seq=self._next_out, sent_msc=sent_msc, **fields))
        self._next_out += 1
        return text

    def _in_order(self, message: FromTerminal, frame: str | bytes) -> FromTerminal | Gapped | Refused:
        expected = self._next_in
        if message.seq < expected:
            return self._refuse(
                "stale_sequence", f"sequence {message.seq} came again, {expected} was expected; it is ignored", frame
            )
        self._next_in = message.seq + 1
        return message if message.seq == expected else Gapped(message, expected)

    def _greet(self, hello: Hello) -> FromTerminal | Refused:
        """Bind the connection to the token's account. A second hello starts a new session (the EA was re-initialised)."""
        account = account_of(hello.token, self._tokens)
        if account is None or (self.account is not None and account != self.account):
            problem = "the token is missing" if not hello.token else "the token is not known here"
            return self._refuse(
                "unauthenticated",
                f"{problem}; set the token of this account in the terminal and in settings.toml",
                "",
                is_fatal=True,
            )
        if hello.session or hello.seq != 1:
            return self._refuse(
                "wrong_session", "hello starts a session: its session is empty and its sequence 1", "", is_fatal=True
            )
        self.account, self.session = account, self._new_session()
        self._next_in, self._next_out = 2, 1
        return hello

    def _refuse_undecoded(self, frame: str | bytes, error: Exception) -> Refused:
        version = _version_of(frame)
        if version is not None and version != PROTOCOL_VERSION:
            return self._wrong_version(version, frame)
        kind = "invalid" if isinstance(error, msgspec.ValidationError) else "malformed"
        return self._refuse(
            kind, f"the frame is not a message of protocol {PROTOCOL_VERSION}: {error}; it is ignored", frame
        )

    def _wrong_version(self, version: int, frame: str | bytes) -> Refused:
        text = f"the terminal speaks protocol {version}, the daemon {PROTOCOL_VERSION}; install the matching Expert Advisor"
        return self._refuse("wrong_version", text, frame, is_fatal=True)

    def _refuse(self, reason: str, text: str, frame: str | bytes, *, is_fatal: bool = False) -> Refused:
        self._refusals += 1
        too_many = self._refusals > MAX_REFUSALS
        if too_many:
            text = f"{text}; this was refusal {self._refusals} of the connection, it is closed"
        return Refused(reason, text, self._subject(frame), is_fatal or too_many)

    def _subject(self, frame: str | bytes) -> str:
        """Text for the quarantine. Whatever may hold a token is named by its size alone: tokens are never recorded."""
        head = frame[:MAX_FRAME_BYTES] if isinstance(frame, str) else frame[:MAX_FRAME_BYTES].decode(errors="replace")
        if self.account is None or "token" in head:
            return f"frame of {len(frame)} bytes" if frame else "hello"
        return head[:_SUBJECT_LENGTH]


def token_sha256(token: str) -> str:
    """Return how a token rests in the settings."""
    return sha256(token.encode()).hexdigest()


def account_of(token: str, tokens: Mapping[str, str]) -> str | None:
    """Return the account a token opens, or None. Every account is compared, each in constant time."""
    offered = token_sha256(token)
    found = None
    for account, expected in tokens.items():
        if hmac.compare_digest(offered, expected.lower()):
            found = account
    return found if token else None


def _version_of(frame: str | bytes) -> int | None:
    """Return the protocol version of a frame that is JSON but not a message of this version."""
    try:
        content = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    version = content.get("v") if isinstance(content, dict) else None
    return version if isinstance(version, int) else None
