"""What is unusual, judged every ten seconds over the window since: rates, latencies, spreads, slippage, refusals.

Pure: a state and a reading in, a state and what has changed out; `live.health.watch` reads and records. An anomaly is said once
when it begins and once when it has ended. It begins with the second bad window in a row and ends with the third
good one, and what counts as good lies well inside the limit, so that a value at the edge is told once.
Nothing here stops an entry: that is the breakers' (`core.decisions.breakers`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import median
from typing import Literal

Kind = Literal[
    "quote_rate", "latency", "spread", "slippage", "quarantine_rate", "event_loop_lag", "journal_commit"
]  # fmt: skip
KINDS: tuple[Kind, ...] = (
    "quote_rate", "latency", "spread", "slippage", "quarantine_rate", "event_loop_lag", "journal_commit",
)  # fmt: skip

WINDOW_S = 10.0
BEGINS_AFTER, ENDS_AFTER = 2, 3

# A symbol's own past: the last half hour of windows for rates, the last hour for spreads, each session for itself.
_RATES, _SPREADS = 180, 360
_LEAST_RATES, _LEAST_SPREADS = 12, 30
# Fewer quotes than these say nothing: at ten expected ones a window of one is chance.
_LEAST_EXPECTED, _LEAST_BURST, _LEAST_JUDGED, _LEAST_FILLS = 20.0, 100.0, 20, 5
_DROP, _DROP_OVER = 0.1, 0.3
_BURST, _BURST_OVER = 10.0, 5.0
_WIDE, _WIDE_OVER = 5.0, 2.5
_REFUSED, _REFUSED_OVER = 0.05, 0.01
_LATENCY_S, _LATENCY_OVER_S = 0.06, 0.04
_LAG_S, _LAG_OVER_S = 0.25, 0.1
_COMMIT_S, _COMMIT_OVER_S = 0.2, 0.05
# A warning before the breaker, as shares of its limit.
_SLIPPAGE, _SLIPPAGE_OVER = 0.5, 0.3

_REPAIRS: Mapping[Kind, str] = {
    "quote_rate": "look at the terminal's connection to the broker, and at the symbol in its market watch",
    "latency": "look at what else runs on this machine, and at the stages in /metrics",
    "spread": "nothing while it is the market's; the spread filter holds entries back",
    "slippage": "compare fills with prices in `trading trace`; widen or narrow the strategy's deviation_r",
    "quarantine_rate": "look at the reasons in raw_quarantines; check the clock rule and the symbols in settings.toml",
    "event_loop_lag": "look at what else runs on this machine; report it with the log if it stays",
    "journal_commit": "look at the disk of the home: its load, its free space, its health",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One window of one account. What was not measured is None, and is not judged."""

    seconds: float
    session: str
    """Trading sessions that run, empty while the market is closed: then nothing of the market is judged."""
    quotes: Mapping[str, int] = field(default_factory=dict)
    spreads_points: Mapping[str, float] = field(default_factory=dict)
    refused: int = 0
    slippage: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Of each symbol's last fills, in what its limit counts in."""
    max_slippage: float = 0.0
    slippage_unit: str = "R"
    latency_s: float | None = None
    loop_lag_s: float | None = None
    commit_s: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """An anomaly that has begun, or one that has ended."""

    kind: Kind
    subject: str
    has_begun: bool
    expectation: str
    observed: str

    @property
    def repair(self) -> str:
        """What to do about it."""
        return _REPAIRS[self.kind] if self.has_begun else "nothing: it has ended"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One thing that is watched, by kind and subject: whether it is anomalous, and for how many windows otherwise."""

    is_active: bool = False
    against: int = 0


_Key = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered between windows: the anomalies, and what is usual."""

    anomalies: Mapping[_Key, Anomaly] = field(default_factory=dict)
    rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    spreads: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def active(self) -> list[_Key]:
        """Anomalies that have begun and not ended."""
        return [key for key, anomaly in self.anomalies.items() if anomaly.is_active]


@dataclass(frozen=True, slots=True)
class _Sign:
    """One value against its limits: `is_bad` beyond the outer one, `is_good` within the inner one."""

    kind: Kind
    subject: str
    is_bad: bool
    is_good: bool
    expectation: str
    observed: str


def is_due(last: datetime, now: datetime) -> bool:
    """Say whether the next window has ended; it has as well when time has gone back to another stream's."""
    return abs((now - last).total_seconds()) >= WINDOW_S


def judge(past: Past, reading: Reading) -> tuple[Past, tuple[Change, ...]]:
    """Judge one window; return what is remembered from now on, and what has begun or ended."""
    anomalies, changes = dict(past.anomalies), []
    bad: set[_Key] = set()
    for sign in _signs(past, reading):
        key = (sign.kind, sign.subject)
        before = anomalies.get(key, Anomaly())
        after = _step(before, sign)
        if after != before:
            anomalies[key] = after
        if sign.is_bad or after.is_active:
            bad.add(key)
        if after.is_active != before.is_active:
            changes.append(Change(sign.kind, sign.subject, after.is_active, sign.expectation, sign.observed))
    return _remember(replace(past, anomalies=anomalies), reading, bad), tuple(changes)


def _step(before: Anomaly, sign: _Sign) -> Anomaly:
    against = before.against + 1 if (sign.is_good if before.is_active else sign.is_bad) else 0
    if against >= (ENDS_AFTER if before.is_active else BEGINS_AFTER):
        return Anomaly(not before.is_active)
    return Anomaly(before.is_active, against)


def _remember(past: Past, reading: Reading, bad: set[_Key]) -> Past:
    """Let the window count as usual, unless it is not: a feed that fell silent must not become what is expected."""
    if not reading.session:
        return past
    rates, spreads = dict(past.rates), dict(past.spreads)
    for symbol, count in reading.quotes.items():
        key, rate = f"{symbol} {reading.session}", count / reading.seconds
        usual = rates.get(key, ())
        if ("quote_rate", symbol) not in bad or (usual and rate > median(usual)):
            rates[key] = (*usual, rate)[-_RATES:]
    for symbol, spread in reading.spreads_points.items():
        key = f"{symbol} {reading.session}"
        spreads[key] = (*spreads.get(key, ()), spread)[-_SPREADS:]
    return replace(past, rates=rates, spreads=spreads)


# --- the signs ----------------------------------------------------------------------------------------------------


def _signs(past: Past, reading: Reading) -> Iterator[_Sign]:
    if reading.session:
        yield from _rates(past, reading)
        yield from _spreads(past, reading)
        yield from _refusals(reading)
    else:
        for kind, subject in past.active:
            if kind in ("quote_rate", "spread", "quarantine_rate"):
                yield _Sign(kind, subject, False, True, "a market that is open", "the market is closed")
    yield from _slippage(reading)
    yield from _durations(reading)


def _rates(past: Past, reading: Reading) -> Iterator[_Sign]:
    for symbol, count in reading.quotes.items():
        usual = past.rates.get(f"{symbol} {reading.session}", ())
        if len(usual) < _LEAST_RATES:
            continue
        expected = median(usual) * reading.seconds
        is_drop = expected >= _LEAST_EXPECTED and count < _DROP * expected
        is_burst = count >= _LEAST_BURST and count > _BURST * expected
        is_good = count >= _DROP_OVER * expected and (count < _LEAST_BURST or count <= _BURST_OVER * expected)
        yield _Sign(
            "quote_rate", symbol, is_drop or is_burst, is_good,
            f"about {expected:.0f} quotes in {reading.seconds:.0f} s, as lately in this session ({reading.session})",
            f"{count} quotes",
        )  # fmt: skip


def _spreads(past: Past, reading: Reading) -> Iterator[_Sign]:
    for symbol, spread in reading.spreads_points.items():
        usual = past.spreads.get(f"{symbol} {reading.session}", ())
        if len(usual) < _LEAST_SPREADS:
            continue
        typical = max(median(usual), 1.0)
        yield _Sign(
            "spread", symbol, spread > _WIDE * typical, spread <= _WIDE_OVER * typical,
            f"a spread of about {typical:.1f} points, at most {_WIDE:.0f} times that", f"{spread:.1f} points",
        )  # fmt: skip


def _refusals(reading: Reading) -> Iterator[_Sign]:
    total = sum(reading.quotes.values()) + reading.refused
    if total < _LEAST_JUDGED:
        return
    share = reading.refused / total
    yield _Sign(
        "quarantine_rate", "quotes", share > _REFUSED, share <= _REFUSED_OVER,
        f"at most {_REFUSED:.0%} of the quotes refused", f"{reading.refused} of {total} refused",
    )  # fmt: skip


def _slippage(reading: Reading) -> Iterator[_Sign]:
    limit, unit = reading.max_slippage, reading.slippage_unit
    for symbol, fills in reading.slippage.items():
        if len(fills) < _LEAST_FILLS:
            continue
        mean = sum(fills) / len(fills)
        yield _Sign(
            "slippage", symbol, mean > _SLIPPAGE * limit, mean <= _SLIPPAGE_OVER * limit,
            f"a mean of at most {_SLIPPAGE * limit:.4g} {unit}, half of what trips the breaker",
            f"a mean of {mean:.4g} {unit} over its last {len(fills)} fills",
        )  # fmt: skip


def _durations(reading: Reading) -> Iterator[_Sign]:
    measured: tuple[tuple[Kind, str, float | None, float, float], ...] = (
        ("latency", "decisions", reading.latency_s, _LATENCY_S, _LATENCY_OVER_S),
        ("event_loop_lag", "process", reading.loop_lag_s, _LAG_S, _LAG_OVER_S),
        ("journal_commit", "journal", reading.commit_s, _COMMIT_S, _COMMIT_OVER_S),
    )
    for kind, subject, value, limit, over in measured:
        if value is not None:
            what = "p99 at most" if kind != "event_loop_lag" else "at most"
            yield _Sign(
                kind, subject, value > limit, value <= over,
                f"{what} {limit * 1000:.0f} ms", f"{value * 1000:.1f} ms",
            )  # fmt: skip
