"""What the simulated terminal does wrong on purpose: a value that says how often, and the draws it is decided by.

Each draw is a hash of the seed, the fault's name and what it may befall, so a run can be repeated and a restart
draws the same. What a fault then does lives where it happens: `desk`, `telling`, `link`, `quoting` or `broker`. What
happens at a stated time is not a fault but an event of `script`; docs/simulated-terminal.md lists all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from trading_assets.core.errors import InputError

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0)]
Step = Literal["", "received", "executed", "saved", "told"]
"""Steps of a command's life at the terminal: read from the socket, carried out in memory, on disk, first result sent."""
_Choice = TypeVar("_Choice")


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often what goes wrong. The default is a terminal that behaves."""

    seed: int = 0

    # --- quotes and history
    crossed_quotes: Share = 0.0
    """Share of ticks after which a crossed one is sent too; the broker does not see it."""
    duplicated_ticks: Share = 0.0
    """Share of ticks sent twice."""
    returning_ticks: Share = 0.0
    """Share of ticks after which the one before is sent once more: time goes backwards."""
    skipped_ticks: Share = 0.0
    """Share of ticks the broker sees and the expert misses, as `OnTick` does while it is busy."""
    empty_first_history: bool = False
    """Whether the first history query of each symbol and timeframe comes back empty, as while downloading."""
    history_holes: Share = 0.0
    """Share of bars that are missing in history, always the same ones."""

    # --- the connection
    disconnect_after: Count = 0
    """Cut the connection after this many messages of a session; 0 never."""
    disconnects: Count = 1
    """How many times it is cut."""
    away_minutes: Count = 0
    """In lockstep: minutes the market goes on while the connection is lost. In real time it always does."""
    reinit_after: Count = 0
    """Greet again after this many messages of a session, as an expert does that is re-initialised; 0 never."""
    reinits: Count = 1
    """How many times."""
    reinit_on_new_socket: bool = False
    """Whether it greets over a new connection; the old one is closed."""
    freeze_after: Count = 0
    """Neither read nor write after this many messages of a session, with the socket open (half-open); 0 never."""
    freezes: Count = 1
    """How many times."""
    freeze_s: Annotated[float, Meta(ge=0)] = 5.0
    """How long; then the terminal connects anew."""
    slow_read_ms: Count = 0
    """Wait this long before each read: the daemon's messages pile up."""
    twin_connection: bool = False
    """Whether a second terminal says hello with the same token while the first one is connected."""

    # --- answers to commands
    delayed_answers: Share = 0.0
    """Share of commands whose results arrive a step (in real time: a second) later."""
    lost_answers: Share = 0.0
    """Share of commands carried out without a word: the daemon has to ask."""
    timeouts: Share = 0.0
    """Share of commands answered with one of `unknown_retcodes` although they are carried out; the deals arrive a step later."""
    unexecuted: Share = 0.0
    """Share of commands answered with one of `unknown_retcodes` and not carried out."""
    unknown_retcodes: tuple[int, ...] = (10012,)
    """10012, 10031, 10011 and 10028 say nothing about what happened."""
    rejects: Share = 0.0
    """Share of commands refused with `reject_retcode`."""
    reject_retcode: int = 10006
    reject_retcodes: tuple[int, ...] = ()
    """One of these is drawn instead of `reject_retcode`, where there are any."""
    partial_fills: Share = 0.0
    """Share of entries of which half is filled at once (10010). IOC cancels the rest, RETURN lets it work, FOK is refused."""
    split_fills: Share = 0.0
    """Share of commands filled by two deals."""
    placed: Share = 0.0
    """Share of commands answered 10008, and carried out `placed_s` later."""
    placed_s: Annotated[float, Meta(ge=0)] = 60.0
    placed_in_halves: Share = 0.0
    """Share of placed commands filled half by half, the second half another `placed_s` later."""
    placed_in_part: Share = 0.0
    """Share of placed commands of which half is filled and the rest cancelled by the broker (10010)."""
    placed_cancelled: Share = 0.0
    """Share of placed commands the broker cancels."""
    placed_expired: Share = 0.0
    """Share of placed commands that expire at their deadline."""

    # --- events (deals and positions as they are told, results of commands are not among them)
    reordered_results: Share = 0.0
    """Share of commands whose deals arrive before the order's result."""
    shuffled_events: Share = 0.0
    """Share of commands, and of stops and targets, whose messages arrive in any order."""
    lost_events: Share = 0.0
    """Share of deals and positions that are never told: only asking shows them."""
    duplicated_events: Share = 0.0
    """Share of deals and positions told twice."""
    late_events: Share = 0.0
    """Share of deals and positions told a step (in real time: a second) later than the rest of what they belong to."""
    event_queue: Count = 0
    """Events at once that are kept, the oldest are lost (MetaTrader keeps 1024); 0 keeps all."""
    changed_comments: Share = 0.0
    """Share of orders whose comment the broker replaces by its own."""

    # --- what the broker and other experts do later
    corrections: Share = 0.0
    """Share of steps in which the broker changes what is booked, or how: `back_office` says what."""
    refused_exits: Share = 0.0
    """Share of positions whose exits are refused for ever, with `refused_exit_retcode`."""
    refused_exit_retcode: int = 10017
    trailed_stops: Share = 0.0
    """Share of steps in which another expert moves the stops of ours behind the price."""
    silent_account: bool = False
    """Whether heartbeats tell nothing of the account: only snapshots, and deals, do."""
    clock_offset_s: float = 0.0
    """By the clock: how many seconds the terminal's clock is ahead of the computer's."""

    # --- people and power
    meddling: Share = 0.0
    """Share of steps (in real time: seconds) in which a person does something at the terminal: `hand` says what."""
    dies_at: Step = ""
    """Die as by SIGKILL at this step of a command."""
    dies_on: Annotated[int, Meta(ge=1)] = 1
    """On which command after the start."""
    deaths: Annotated[int, Meta(ge=0)] = 1
    """How many times over all runs on the same state."""

    def strikes(self, share: float, name: str, key: str) -> bool:
        """Return whether the fault `name`, which has this share, befalls `key`."""
        return share > 0.0 and draw(self.seed, name, key) < share

    def choose(self, choices: Sequence[_Choice], name: str, key: str) -> _Choice:
        """Return one of `choices`, drawn for `key`."""
        return choices[int(draw(self.seed, name, key) * len(choices))]

    def shuffle(self, items: Sequence[_Choice], name: str, key: str) -> list[_Choice]:
        """Return the items in an order drawn for `key`."""
        order = sorted(range(len(items)), key=lambda number: draw(self.seed, name, key, str(number)))
        return [items[number] for number in order]


def draw(seed: int, *key: str) -> float:
    """Return a number in [0, 1) that depends on the seed and the key alone."""
    digest = sha256("\x1f".join((str(seed), *key)).encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / (1 << 53)


def parse_faults(text: str) -> Faults:
    """Read faults from JSON. Raises InputError naming the field that is wrong."""
    try:
        return msgspec.json.decode(text, type=Faults)
    except (msgspec.DecodeError, UnicodeError) as error:
        known = ", ".join(Faults.__struct_fields__)
        raise InputError("reading", "--faults", str(error), f"pass a JSON object with some of {known}") from error
