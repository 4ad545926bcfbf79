"""Whether the daemon does its work, judged from what its parts show: components, health of the process, readiness.

Everything here is pure: `live.health.watch` looks and writes down, `live.bridge.pages` answers. Health is about the process (a restart or a
person is needed), readiness about trading (a terminal, its history and its agreement with us are there).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

MOST_LAG_S = 1.0
"""How late the event loop may have been since the last few looks."""
MOST_ROUND_S = 10.0
"""How long the round of what happens by the clock may take."""
MOST_UNSYNCED_S = 5.0
"""How long a record may wait for the disk."""
MOST_QUIET_S = 60.0
"""How long a connected terminal may be without a quote while the market is open."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a component shows of itself at one look. `trouble` says why it does not work, empty while it does."""

    component: str
    successes: int
    errors: int
    detail: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Component:
    """How a component does, over all looks so far."""

    component: str
    is_healthy: bool
    last_success_at: datetime | None
    successes: int
    errors: int
    detail: str


def follow(before: Mapping[str, Component], seen: Iterable[Seen], now: datetime) -> dict[str, Component]:
    """Return the components after one more look: who has succeeded more often than before has succeeded by `now`."""
    components: dict[str, Component] = {}
    for one in seen:
        known = before.get(one.component)
        has_succeeded = one.successes > (known.successes if known else 0)
        components[one.component] = Component(
            component=one.component,
            is_healthy=not one.trouble,
            last_success_at=now if has_succeeded else known.last_success_at if known else None,
            successes=one.successes,
            errors=one.errors,
            detail=one.trouble or one.detail,
        )
    return components


@dataclass(frozen=True, slots=True)
class Process:
    """What the process shows of itself."""

    loop_lag_s: float
    """The latest the event loop was within the last looks."""
    round_s: float
    """Since when the present round of `live.daemon` is under way, or the last one ended."""
    journal: str
    """`ok`, or the fault of the journal's last commit."""
    unsynced_s: float
    """Age of the oldest record that is not durable."""
    dead_tasks: Sequence[str]
    """Tasks that ended and should not have, with why."""
    inbox: str = ""
    """Why not every command can be taken; empty while it can."""


def complaints(process: Process) -> list[str]:
    """Return why the process does not do its work; nothing while it does."""
    found: list[str] = []
    if process.loop_lag_s > MOST_LAG_S:
        found.append(f"the event loop was {process.loop_lag_s:.1f} s late; something computes or blocks in it")
    if process.round_s > MOST_ROUND_S:
        found.append(f"the round of commands, clocks and heartbeats has not come by for {process.round_s:.0f} s")
    if process.journal != "ok":
        found.append(f"the journal cannot be written: {process.journal}")
    elif process.unsynced_s > MOST_UNSYNCED_S:
        found.append(f"records have been waiting for the disk for {process.unsynced_s:.1f} s")
    if process.inbox:
        found.append(f"commands cannot be taken: {process.inbox}")
    found += [f"a task has ended: {task}" for task in process.dead_tasks]
    return found


@dataclass(frozen=True, slots=True)
class Standing:
    """How one account stands for trading."""

    is_connected: bool
    is_open: bool
    is_reconciled: bool
    bars: Mapping[str, int]
    """Closed base bars by configured symbol; 0 where there is no chart yet."""
    clock: str = ""
    """Why the server's clock, or this computer's, cannot be traded by; empty while it can."""
    inbox: str = ""
    """Why not every command, a halt for one, can be taken; empty while it can."""


def missing(standing: Standing) -> list[str]:
    """Return what keeps an account from being traded; nothing when it is ready."""
    found = [f"commands cannot be taken: {standing.inbox}"] if standing.inbox else []
    if not standing.is_connected:
        return ["no terminal is connected", *found]
    if not standing.is_reconciled:
        found.append("positions and deals are not reconciled yet")
    if not standing.is_open:
        found.append("its history is still asked for")
    if standing.clock:
        found.append(standing.clock)
    if empty := [symbol for symbol, bars in standing.bars.items() if not bars]:
        found.append(f"the charts of {', '.join(empty)} are empty")
    return found
