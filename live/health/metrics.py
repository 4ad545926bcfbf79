"""The daemon's numbers in Prometheus' text, made when they are asked for, from counters its parts keep anyway.

What each name means is docs/metrics.md, which a test holds against this module. Nothing is measured here and nothing
registered with the library's own registry; no value or label is a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from live.bridge.visitors import Visitors
from live.desk.desk import Desk
from live.health.anomalies import KINDS
from live.health.components import missing
from live.health.memory import resident_bytes
from live.health.status import standing
from live.health.watch import Watch
from live.logs import FLOOD, LEVELS
from live.trading.measures import BOUNDS_S, Histogram
from trading_assets import __version__
from trading_assets.core.decisions.breakers import RULES
from trading_assets.store.journal import Journal

Rows = Iterable[tuple[tuple[str, ...], float]]


class Metrics(Collector):
    """Everything one daemon measures."""

    def __init__(
        self,
        tenant: str,
        desks: Mapping[str, Desk],
        journal: Journal,
        watch: Watch,
        visitors: Visitors,
        started_at: datetime,
    ) -> None:
        self._tenant = tenant
        self._desks = desks
        self._journal = journal
        self._watch = watch
        self._visitors = visitors
        self._started_at = started_at
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return all numbers as they are now."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing to tell before it is asked for: names cannot collide in a registry of one."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return the families of metrics."""
        yield from self._process()
        yield from self._journalled()
        yield from self._accounts()
        yield from self._market()
        yield from self._trading()
        yield from self._watched()

    # --- the families ---------------------------------------------------------------------------------------------

    def _process(self) -> Iterator[Metric]:
        yield _info("trading_daemon", "The daemon.", [{"version": __version__, "tenant": self._tenant}])
        yield _gauge("trading_start_time_seconds", "When the daemon started.", self._started_at.timestamp())
        resident = resident_bytes()
        if resident is not None:
            yield _gauge("trading_resident_memory_bytes", "Resident memory of the process.", resident)
        yield _gauge("trading_healthy", "Whether the process does its work.", not self._watch.complaints())
        yield _gauge("trading_event_loop_lag_seconds", "Largest lag of the last seconds.", self._watch.loop_lag_s)
        yield _histogram(
            "trading_event_loop_late_seconds", "Lag of the event loop.", (), [((), self._watch.pulse.lags)]
        )
        yield _counter(
            "trading_log_lines", "Lines of the log.", ("level",), [((level,), FLOOD.lines[level]) for level in LEVELS]
        )
        yield _counter("trading_log_lines_suppressed", "Lines held back by the bound.", (), [((), FLOOD.suppressed)])

    def _journalled(self) -> Iterator[Metric]:
        journal = self._journal
        yield _gauge("trading_journal_healthy", "Whether the last commit succeeded.", journal.health == "ok")
        yield _gauge("trading_journal_pending_bytes", "Bytes that wait for a commit.", journal.pending_bytes)
        yield _gauge("trading_journal_unsynced_seconds", "Age of the oldest record not durable.", journal.unsynced_s)
        for name, about, value in (
            ("records", "Records made durable.", journal.records),
            ("seals", "Seals made durable.", journal.seals),
            ("bytes", "Bytes made durable.", journal.bytes),
            ("commits", "Commits, failed ones included.", journal.commits),
            ("faults", "Commits that failed.", journal.faults),
        ):
            yield _counter(f"trading_journal_{name}", about, (), [((), value)])
        yield _histogram("trading_journal_commit_seconds", "Duration of a commit.", (), [((), self._watch.commits)])

    def _accounts(self) -> Iterator[Metric]:
        for name, about, show in (
            ("trading_terminal_connected", "Whether a terminal is connected.", lambda d: d.link is not None),
            ("trading_account_open", "Whether quotes are looked at.", lambda d: d.is_open),
            ("trading_account_reconciled", "Whether the session is reconciled.", lambda d: standing(d).is_reconciled),
            ("trading_account_ready", "Whether the account can be traded.", lambda d: not missing(standing(d))),
            ("trading_bridge_queue_messages", "Messages between socket and desk.", lambda d: d.link.queued if d.link else 0),
            ("trading_opening_waiting_messages", "Messages that wait for history.", lambda d: len(d.account.opening.waiting)),
            ("trading_open_positions", "Open positions, foreign ones included.", lambda d: d.account.books.open_positions),
        ):  # fmt: skip
            yield _gauge_of(name, about, ("account",), self._each(show))
        for name, about, show in (
            ("trading_terminal_messages", "Messages taken.", lambda d: d.messages),
            ("trading_quotes_dropped", "Quotes that made room for later ones.", lambda d: d.account.feed.refusals["dropped"]),
            ("trading_terminal_gaps", "Gaps in the terminal's numbering.", lambda d: d.gaps),
            ("trading_terminal_reconnects", "Sessions after the first.", lambda d: max(d.sessions - 1, 0)),
        ):  # fmt: skip
            yield _counter(name, about, ("account",), self._each(show))
        offsets = {name: desk.account.clock_watch.offset.measured for name, desk in self._desks.items()}
        yield _gauge_of(
            "trading_clock_offset_seconds",
            "How far the terminal's clock is ahead of this computer's.",
            ("account",),
            [((name,), offset.total_seconds()) for name, offset in offsets.items() if offset is not None],
        )
        yield _counter(
            "trading_terminal_silences",
            "Silences of a living connection.",
            ("account",),
            self._each(lambda d: d.silences),
        )
        events = self._visitors.log.events
        yield _counter(
            "trading_bridge_events",
            "Events of the access log.",
            ("event",),
            [((event,), n) for event, n in events.items()],
        )
        yield _counter("trading_frames_refused", "Frames refused.", (), [((), self._visitors.refusals)])
        yield _info(
            "trading_release",
            "The release in use.",
            [
                {"account": name, "release_id": release.release_id, "model_version": release.model_version or ""}
                for name, desk in self._desks.items()
                for release in (desk.account.release.current,)
            ],
        )

    def _market(self) -> Iterator[Metric]:
        quotes = _counter("trading_quotes", "Quotes accepted.", ("account", "symbol"), [])
        refused = _counter("trading_quarantined", "Quotes and messages refused.", ("account", "reason"), [])
        for name, desk in self._desks.items():
            for symbol, count in desk.account.feed.quotes.items():
                quotes.add_metric([name, symbol], count)
            for reason, count in desk.account.feed.refusals.items():
                refused.add_metric([name, reason], count)
        yield quotes
        yield refused

    def _trading(self) -> Iterator[Metric]:
        yield _counter(
            "trading_decisions", "Decisions.", ("account",), self._each(lambda d: d.account.trader.decisions)
        )
        stages = [
            ((name, stage), histogram)
            for name, desk in self._desks.items()
            for stage, histogram in desk.account.trader.stages.by_name().items()
        ]
        yield _histogram(
            "trading_decision_stage_seconds", "Duration of a decision's stages.", ("account", "stage"), stages
        )
        orders = _counter("trading_orders", "States orders have reached.", ("account", "state"), [])
        answers = _counter("trading_order_answers", "Answers to orders.", ("account", "retcode"), [])
        pending = _gauge_of("trading_pending_orders", "Orders without a result.", ("account", "state"), [])
        for name, desk in self._desks.items():
            book = desk.account.books.orders
            for state, count in book.reached.items():
                orders.add_metric([name, state], count)
            for code, count in book.retcodes.items():
                answers.add_metric([name, str(code)], count)
            states = [intent.order.state for intent in book.pending()]
            for state in sorted(set(states)):
                pending.add_metric([name, state], states.count(state))
        yield orders
        yield answers
        yield pending
        yield _gauge_of(
            "trading_breaker_tripped",
            "Whether a breaker is tripped.",
            ("account", "breaker", "symbol"),
            self._breakers(),
        )

    def _watched(self) -> Iterator[Metric]:
        healthy = _gauge_of("trading_component_healthy", "Whether it does its work.", ("account", "component"), [])
        errors = _counter("trading_component_errors", "Errors of a component.", ("account", "component"), [])
        last = _gauge_of("trading_component_last_success_seconds", "When it last worked.", ("account", "component"), [])
        for name, components in self._watch.components.items():
            for one in components.values():
                healthy.add_metric([name, one.component], float(one.is_healthy))
                errors.add_metric([name, one.component], one.errors)
                if one.last_success_at is not None:
                    last.add_metric([name, one.component], one.last_success_at.timestamp())
        yield healthy
        yield errors
        yield last
        active = _gauge_of("trading_anomalies_active", "Anomalies that have not ended.", ("account", "kind"), [])
        for name, anomalies in self._watch.active.items():
            for kind in KINDS:
                active.add_metric([name, kind], sum(found == kind for found, _ in anomalies))
        yield active
        yield _counter("trading_anomalies", "Anomalies that have begun.", (), [((), self._watch.anomalies_begun)])

    # --- details --------------------------------------------------------------------------------------------------

    def _each(self, show: Callable[[Desk], float]) -> list[tuple[tuple[str, ...], float]]:
        return [((name,), float(show(desk))) for name, desk in self._desks.items()]

    def _breakers(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Every breaker there is, so that one that lets go is seen to; the daemon's own ones while they are tripped. The symbol is empty for the account's."""
        for name, desk in self._desks.items():
            tripped = {(kept.state.breaker, kept.symbol) for kept in desk.account.books.risk.kept}
            known = [(rule.breaker, "") for rule in RULES if rule.scope == "account"]
            symbols = desk.account.settings.symbols.values()
            known += [(rule.breaker, symbol) for rule in RULES if rule.scope == "symbol" for symbol in symbols]
            for one in dict.fromkeys([*known, *sorted(tripped)]):
                yield (name, *one), float(one in tripped)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=float(value))


def _gauge_of(name: str, about: str, labels: tuple[str, ...], rows: Rows) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _counter(name: str, about: str, labels: tuple[str, ...], rows: Rows) -> CounterMetricFamily:
    family = CounterMetricFamily(name, about, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _info(name: str, about: str, rows: Iterable[dict[str, str]]) -> Metric:
    family = InfoMetricFamily(name, about)
    for row in rows:
        family.add_metric((), row)
    return family


def _histogram(
    name: str, about: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], Histogram]]
) -> Metric:
    family = HistogramMetricFamily(name, about, labels=labels)
    bounds = [*(str(bound) for bound in BOUNDS_S), "+Inf"]
    for values, histogram in rows:
        buckets = list(zip(bounds, map(float, histogram.cumulative()), strict=True))
        family.add_metric(values, buckets, histogram.total_s)
    return family
