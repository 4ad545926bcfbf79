"""What the simulated terminal does wrong on purpose: a value that says how often, and the draws it is decided by.

Each draw is a hash of the seed, the fault's name and what it may befall, so a run can be repeated and a restart
draws the same. What a fault then does lives where it happens: `terminal`, `link` or `broker`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from trading_assets.core.errors import InputError

Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often what goes wrong. The default is a terminal that behaves."""

    seed: int = 0
    crossed_quotes: Share = 0.0
    """Share of ticks after which a crossed one is sent too; the broker does not see it."""
    duplicated_ticks: Share = 0.0
    """Share of ticks sent twice."""
    disconnect_after: Annotated[int, Meta(ge=0)] = 0
    """Cut the connection after this many messages of a session; 0 never."""
    disconnects: Annotated[int, Meta(ge=0)] = 1
    """How many times it is cut."""
    delayed_answers: Share = 0.0
    """Share of commands whose results arrive a step (in real time: a second) later."""
    lost_answers: Share = 0.0
    """Share of commands carried out without a word: the daemon has to ask."""
    timeouts: Share = 0.0
    """Share of commands answered 10012 although they are carried out; the deals arrive a step later."""
    reordered_results: Share = 0.0
    """Share of commands whose deals arrive before the order's result."""
    partial_fills: Share = 0.0
    """Share of entries of which half is filled (10010) and the rest cancelled."""
    split_fills: Share = 0.0
    """Share of commands filled by two deals."""
    rejects: Share = 0.0
    """Share of commands refused with `reject_retcode`."""
    reject_retcode: int = 10006
    empty_first_history: bool = False
    """Whether the first history query of each symbol and timeframe comes back empty, as while downloading."""

    def strikes(self, share: float, name: str, key: str) -> bool:
        """Return whether the fault `name`, which has this share, befalls `key`."""
        return share > 0.0 and draw(self.seed, name, key) < share


def draw(seed: int, *key: str) -> float:
    """Return a number in [0, 1) that depends on the seed and the key alone."""
    digest = sha256("\x1f".join((str(seed), *key)).encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / (1 << 53)


def parse_faults(text: str) -> Faults:
    """Read faults from JSON. Raises InputError naming the field that is wrong."""
    try:
        return msgspec.json.decode(text, type=Faults)
    except msgspec.DecodeError as error:
        known = ", ".join(Faults.__struct_fields__)
        raise InputError("reading", "--faults", str(error), f"pass a JSON object with some of {known}") from error
