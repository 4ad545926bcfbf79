"""The daemon's look at itself: how late the loop is, how the components do, what is unusual; and what of it is written down.

`live.health.components` and `live.health.anomalies` judge, this module looks, remembers between looks and records. A look is a few reads
of counters that the parts keep anyway, once a second; nothing here stands on the way of a quote or an order.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import TimerHandle
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from live.desk.commands import Inbox
from live.desk.desk import Desk
from live.health.anomalies import Change, Past, Reading, is_due, judge
from live.health.components import Component, Process, complaints, follow
from live.health.status import components_seen
from live.trading.measures import Histogram, quantile, since
from trading_assets.core.market.sessions import is_market_open, running_at
from trading_assets.core.records.operations import ComponentState, Finding
from trading_assets.store.journal import Journal

_PULSE_S = 0.1
_LOOK_S = 1.0
# How far back the lag of the loop counts for health.
_LOOKS = 5


class Pulse:
    """How late the event loop is: a timer that notes by how much it was missed. Owned by the daemon's round."""

    def __init__(self) -> None:
        self.lags = Histogram()
        self._due_s = 0.0
        self._latest_s = 0.0
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """Begin to measure."""
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + _PULSE_S
        self._timer = loop.call_at(self._due_s, self._beat)

    def stop(self) -> None:
        """End; may be called again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def is_running(self) -> bool:
        """Whether it measures."""
        return self._timer is not None

    def take_latest(self) -> float:
        """Return the largest lag since the last call."""
        latest, self._latest_s = self._latest_s, 0.0
        return latest

    def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        late = max(now - self._due_s, 0.0)
        self.lags.observe(late)
        self._latest_s = max(self._latest_s, late)
        self._due_s = now + _PULSE_S
        self._timer = loop.call_at(self._due_s, self._beat)


@dataclass
class _Account:
    """What is remembered of one account between looks."""

    desk: Desk
    judged_at: datetime
    judged_s: float
    quotes: dict[str, int]
    refused: int = 0
    total: list[int] = field(default_factory=list)
    commits: list[int] = field(default_factory=list)
    lag_s: float = 0.0
    past: Past = field(default_factory=Past)
    components: dict[str, Component] = field(default_factory=dict)
    is_lockstep: bool = False


class Watch:
    """Looks after the daemon as a whole. `round` is called by the daemon's round, `beat` at every heartbeat."""

    def __init__(
        self,
        desks: Mapping[str, Desk],
        journal: Journal,
        inbox: Inbox,
        heartbeat_s: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`now_s` is the clock durations are measured by."""
        self._now_s = now_s
        self.pulse = Pulse()
        self.commits = Histogram()
        self.anomalies_begun = 0
        self._journal = journal
        self._inbox = inbox
        self._heartbeat_s = heartbeat_s
        self._lags: deque[float] = deque([0.0], maxlen=_LOOKS)
        self._looked_s = 0.0
        self._round_s = now_s()
        self._accounts = {name: _begin(desk, now_s()) for name, desk in desks.items()}
        journal.on_commit = self.commits.observe
        for name, desk in desks.items():
            desk.on_stream_time = lambda name=name: self._judge_stream(name)  # type: ignore[misc]

    @property
    def components(self) -> dict[str, dict[str, Component]]:
        """Components by account and name, as of the last look."""
        return {name: one.components for name, one in self._accounts.items()}

    @property
    def active(self) -> dict[str, list[tuple[str, str]]]:
        """Anomalies that have begun and not ended, by account: kind and subject."""
        return {name: [(kind, subject) for kind, subject in one.past.active] for name, one in self._accounts.items()}

    @property
    def loop_lag_s(self) -> float:
        """The latest the loop was within the last looks."""
        return max(*self._lags, 0.0)

    def round(self) -> None:
        """The round of what happens by the clock has come by."""
        now_s = self._round_s = self._now_s()
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        lag_s = self.pulse.take_latest()
        self._lags.append(lag_s)
        for one in self._accounts.values():
            one.lag_s = max(one.lag_s, lag_s)
            self._look(one)
            now = one.desk.account.recorder.clock.now()
            if not one.desk.is_lockstep and is_due(one.judged_at, now):
                self._judge(one, now, now_s - one.judged_s)

    def complaints(self) -> list[str]:
        """Return why the process does not do its work; nothing while it does."""
        defects = {name: one.desk.account.recorder.defect for name, one in self._accounts.items()}
        dead = [f"work of account {name} ({type(error).__name__}: {error})" for name, error in defects.items() if error]
        if not self.pulse.is_running:
            dead.append("the measure of the event loop's lag")
        return complaints(
            Process(
                loop_lag_s=self.loop_lag_s,
                round_s=self._now_s() - self._round_s,
                journal=self._journal.health,
                unsynced_s=self._journal.unsynced_s,
                dead_tasks=dead,
                inbox=self._inbox.trouble,
            )
        )

    def beat(self) -> None:
        """Write down how every component does."""
        for one in self._accounts.values():
            self._look(one)
            recorder = one.desk.account.recorder
            now, chain = recorder.clock.now(), recorder.chain()
            recorder.buffer(
                [
                    recorder.make(
                        ComponentState,
                        now,
                        chain,
                        component=component.component,
                        is_healthy=component.is_healthy,
                        last_success_at=component.last_success_at,
                        successes=component.successes,
                        errors=component.errors,
                        detail=component.detail,
                        interval_s=0.0 if one.desk.is_lockstep else self._heartbeat_s,
                    )
                    for component in one.components.values()
                ]
            )

    # --- details --------------------------------------------------------------------------------------------------

    def _look(self, one: _Account) -> None:
        seen = components_seen(one.desk, self._journal, self._inbox)
        one.components = follow(one.components, seen, one.desk.account.recorder.clock.now())

    def _judge_stream(self, name: str) -> None:
        """In lockstep a window is as long as the stream says, and ends with one of its heartbeats."""
        one = self._accounts[name]
        now = one.desk.account.recorder.clock.now()
        if is_due(one.judged_at, now):
            self._judge(one, now, (now - one.judged_at).total_seconds())

    def _judge(self, one: _Account, now: datetime, seconds: float) -> None:
        """Judge the window since the last judgement; a new kind of time begins a new window."""
        is_same, one.is_lockstep = one.is_lockstep == one.desk.is_lockstep, one.desk.is_lockstep
        reading = self._reading(one, now, seconds)
        one.judged_at, one.judged_s = now, self._now_s()
        if is_same and seconds > 0.0:
            one.past, changes = judge(one.past, reading)
            self._record(one, changes)

    def _reading(self, one: _Account, now: datetime, seconds: float) -> Reading:
        desk, account = one.desk, one.desk.account
        feed = account.feed
        quotes, refused = dict(feed.quotes), feed.refused
        total, commits = list(account.trader.stages.total.counts), list(self.commits.counts)
        has_market = desk.is_open and is_market_open(now)
        # What the process's own clock measures says nothing in lockstep, where a replay runs as fast as it can.
        is_timed = not desk.is_lockstep
        reading = Reading(
            seconds=seconds,
            session="+".join(running_at(now)) or "between sessions" if has_market else "",
            quotes={symbol: quotes[symbol] - one.quotes[symbol] for symbol in feed.windows},
            spreads_points={
                symbol: (quote.ask - quote.bid) / feed.windows[symbol].point
                for symbol, quote in feed.last.items()
                if quotes[symbol] > one.quotes[symbol]
            },
            refused=refused - one.refused,
            slippage=account.books.risk.slippage,
            max_slippage=account.strategy.breakers.slippage[0],
            slippage_unit=account.strategy.breakers.slippage[1],
            latency_s=quantile(since(one.total, total), 0.99) if is_timed else None,
            loop_lag_s=one.lag_s if is_timed else None,
            commit_s=quantile(since(one.commits, commits), 0.99) if is_timed else None,
        )
        one.quotes, one.refused, one.total, one.commits, one.lag_s = quotes, refused, total, commits, 0.0
        return reading

    def _record(self, one: _Account, changes: tuple[Change, ...]) -> None:
        recorder = one.desk.account.recorder
        for change in changes:
            self.anomalies_begun += change.has_begun
            chain = recorder.chain()
            words = "an anomaly has begun" if change.has_begun else "an anomaly has ended"
            say = recorder.log.warning if change.has_begun else recorder.log.info
            say(
                words, kind=change.kind, subject=change.subject, expected=change.expectation,
                observed=change.observed, chain_id=chain,
            )  # fmt: skip
            recorder.buffer(
                [
                    recorder.make(
                        Finding,
                        recorder.clock.now(),
                        chain,
                        check=f"live.health.anomalies.{change.kind}",
                        severity="warning" if change.has_begun else "info",
                        subject=change.subject,
                        expectation=change.expectation,
                        observed=change.observed,
                        repair=change.repair,
                    )
                ]
            )


def _begin(desk: Desk, now_s: float) -> _Account:
    feed = desk.account.feed
    empty = Histogram()
    return _Account(
        desk, desk.account.recorder.clock.now(), now_s, dict(feed.quotes), feed.refused,
        list(empty.counts), list(empty.counts),
    )  # fmt: skip
