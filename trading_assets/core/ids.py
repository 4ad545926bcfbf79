"""Deterministic identifiers: doing a thing again gives the same id, so it is recognised (invariant 3).

Every id starts with the time of what it names (48 bits of milliseconds) in Crockford's base32, so that ids
sort by time. No id depends on a clock, a counter or randomness.
"""

from __future__ import annotations

from base64 import b32encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TO_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _ALPHABET.encode())
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A ULID reaches to 10889, our calendar to the end of 9999: what an id names has days before and after it.
_END_MS = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_SHOWN = 40


def ulid(at: datetime, *parts: str) -> str:
    """Return a ULID (26 characters) whose time is `at` and whose 80 other bits are a hash of `parts`.

    Layout: https://github.com/ulid/spec. `at` must be aware; it is truncated to milliseconds.
    """
    milliseconds = (at - _EPOCH) // timedelta(milliseconds=1)
    if not 0 <= milliseconds < _END_MS:
        raise ValueError(f"{at} lies outside the range of an id; pass a time between 1970 and 9998")
    return "".join([_ALPHABET[(milliseconds >> shift) & 31] for shift in range(45, -1, -5)]) + _digest(parts)


def _digest(parts: tuple[str, ...]) -> str:
    """Return the last 16 characters of a ULID: 80 bits of the hash of `parts`."""
    return b32encode(sha256("\x1f".join(parts).encode()).digest()[:10]).translate(_TO_CROCKFORD).decode()


def ulid_time(identifier: str) -> datetime:
    """Return the instant a ULID carries. Raises ValueError for text that is not one."""
    milliseconds = _END_MS
    if len(identifier) == 26 and all(letter in _VALUES for letter in identifier):
        milliseconds = 0
        for letter in identifier[:10]:
            milliseconds = milliseconds << 5 | _VALUES[letter]
    if milliseconds >= _END_MS:
        raise ValueError(
            f"{shown(identifier)!r} is not an id: expected 26 characters of Crockford base32 with a time before 9999"
        )
    return _EPOCH + timedelta(milliseconds=milliseconds)


def shown(identifier: str) -> str:
    """Return what a person gave as an id so that a sentence can hold it: the start of a long one, and its length."""
    if len(identifier) <= _SHOWN:
        return identifier
    return f"{identifier[:_SHOWN]}... ({len(identifier)} characters)"


def signal_id(
    bar_close: datetime, tenant: str, account: str, symbol: str, timeframe: str, strategy_version: str
) -> str:
    """Name the one decision of this strategy at this bar close."""
    return ulid(bar_close, "signal", tenant, account, symbol, timeframe, strategy_version)


def idea_id(signal: str, side: str, exit_profile: str) -> str:
    """Name one candidate of a signal's cohort."""
    if len(signal) != 26:
        raise ValueError(f"{signal!r} is not the id of a signal: expected 26 characters")
    return signal[:10] + _digest(("idea", signal, side, exit_profile))  # the signal's own time


def trade_id(signal: str) -> str:
    """Name the trade a signal may open: one decision has at most one position."""
    return ulid(ulid_time(signal), "trade", signal)


def chain_id(at: datetime, tenant: str, account: str, symbol: str) -> str:
    """Name the chain that starts with the collector's data for `symbol` up to `at`."""
    return ulid(at, "chain", tenant, account, symbol)


def magic(signal: str, purpose: str) -> int:
    """Return the magic number of an order intent: positive, 63 bits, as MetaTrader reads it back signed.

    47 bits are a hash of the intent, the last 16 check them: so ours are known from another program's without any record.
    """
    intent = int.from_bytes(sha256(f"magic\x1f{signal}\x1f{purpose}".encode()).digest()[:8]) >> 17 or 1
    return intent << 16 | _check_of(intent)


def is_magic(number: str) -> bool:
    """Return whether a magic number is one of ours by its making; another program's passes once in 65,536 times."""
    if not (number.isascii() and number.isdigit() and len(number) < 20) or int(number) >= 1 << 63:
        return False
    intent, check = divmod(int(number), 1 << 16)
    return intent > 0 and check == _check_of(intent)


def _check_of(intent: int) -> int:
    return int.from_bytes(sha256(f"magic-check\x1f{intent}".encode()).digest()[:2])
