"""The pace a feed is played at: step by step as fast as the daemon can (lockstep), or by the clock.

Lockstep: the quotes of one step, what they triggered, then a heartbeat with the time of the step's end, then nothing
until the daemon has said `processed`; its commands are carried out in between. Half a minute of silence ends the run
with an error (`session`), so the two processes never wait for each other for ever. By the clock: each quote when its
time has come, a heartbeat on every second. What the daemon acknowledged (`processed`, or a pong by the clock) is saved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec
import numpy as np

from live.paper.feed import Feed
from live.paper.session import Session
from trading_assets.core.market.timeframes import to_ms

Pace = Literal["lockstep", "realtime"]
_BEAT_MS = 1000


@dataclass(frozen=True)
class Plan:
    """What is to be played: up to which quote of the feed, until when (UTC ms), in which steps, and how it ends."""

    pace: Pace
    end: int
    ends_at_ms: int
    step_ms: int
    close_at_end: bool
    timer_ms: int = 0
    """At real-time pace, the least time between two batches of quotes."""


@dataclass(frozen=True)
class Watcher:
    """What the terminal wants to know and say while it plays."""

    is_stopped: Callable[[], bool]
    on_progress: Callable[[], None]
    now: Callable[[], datetime]
    """The clock by which real-time pace is kept, in UTC."""
    rate: float = 1.0
    """How many times faster than seconds pass that clock runs."""


async def play(session: Session, plan: Plan, watcher: Watcher) -> bool:
    """Play until the plan's end or until stopped; return whether the end was reached."""
    if plan.pace == "lockstep":
        await _in_lockstep(session, plan, watcher)
    else:
        await _by_the_clock(session, plan, watcher)
    is_at_end = session.desk.position.played >= plan.end
    has_closed = is_at_end and plan.close_at_end and bool(session.desk.broker.book.positions)
    if has_closed:
        await session.close_all("end of test")
    if has_closed or plan.pace == "realtime":
        await _settle(session, session.desk.position.now_ms, plan.pace)
    await session.goodbye("end of the data" if is_at_end else "stopped")
    return is_at_end


async def _in_lockstep(session: Session, plan: Plan, watcher: Watcher) -> None:
    feed = session.feed
    # The first heartbeat tells where the play stands, so that the daemon can ask for history before the first quote.
    await _settle(session, session.desk.position.now_ms, "lockstep")
    while (played := session.desk.position.played) < plan.end and not watcher.is_stopped():
        boundary = (int(feed.at_ms[played]) // plan.step_ms + 1) * plan.step_ms
        await session.play(min(int(np.searchsorted(feed.at_ms, boundary)), plan.end))
        await _settle(session, max(min(boundary, plan.ends_at_ms), session.desk.position.now_ms), "lockstep")
        watcher.on_progress()
    # A connection lost within the last step has taken its heartbeat with it.
    last = (int(feed.at_ms[max(played, 1) - 1]) // plan.step_ms + 1) * plan.step_ms
    if played >= plan.end and session.desk.position.now_ms < min(last, plan.ends_at_ms):
        await _settle(session, min(last, plan.ends_at_ms), "lockstep")


async def _settle(session: Session, now_ms: int, pace: Pace) -> None:
    """Send a heartbeat and wait until the daemon has dealt with everything before it."""
    seq = await session.heartbeat(now_ms)
    if pace == "lockstep":
        await session.processed_to(seq)
    else:
        await session.read_to(await session.link.ping())
    session.acknowledged(seq, session.desk.position.played)


async def _by_the_clock(session: Session, plan: Plan, watcher: Watcher) -> None:
    feed, next_beat = session.feed, 0
    pongs: list[tuple[int, int, asyncio.Future[float]]] = []
    while session.desk.position.played < plan.end and not watcher.is_stopped():
        now_ms = to_ms(watcher.now())
        await session.play(min(int(np.searchsorted(feed.at_ms, now_ms, side="right")), plan.end))
        if now_ms >= next_beat or now_ms < next_beat - 2 * _BEAT_MS:  # The clock may have been set back.
            next_beat = (now_ms // _BEAT_MS + 1) * _BEAT_MS
            seq = await session.heartbeat(now_ms)
            pongs.append((seq, session.desk.position.played, await session.link.ping()))
            watcher.on_progress()
        session.desk.move(msgspec.structs.replace(session.desk.position, now_ms=now_ms))
        while pongs and session.link.has_answered(pongs[0][2]):
            seq, played, _ = pongs.pop(0)
            session.acknowledged(seq, played)
        await session.handle(await session.link.receive(_pause_s(feed, session, plan, watcher, next_beat)))


def _pause_s(feed: Feed, session: Session, plan: Plan, watcher: Watcher, next_beat: int) -> float:
    """Return how long nothing is due to be sent."""
    played = session.desk.position.played
    due = min(int(feed.at_ms[played]), next_beat) if played < plan.end else next_beat
    return max((due - to_ms(watcher.now())) / 1000 / watcher.rate, plan.timer_ms / 1000, 0.001)


def fitting_weeks(feed: Feed, now: datetime) -> int:
    """Return by how many weeks the feed must be shifted for the present to lie in its last week, or later in it.

    A feed that holds the present already stays as it is.
    """
    now_ms, week = to_ms(now), 7 * 86_400_000
    first, last = int(feed.at_ms[0]), int(feed.at_ms[-1])
    if first <= now_ms < last:
        return 0
    return -((last - now_ms - 1) // week) if now_ms < first else (now_ms - last) // week + 1
