"""Whether the server's clock follows the rule in use: judged by its weekends and, in real time, by the offset of fresh quotes;
and whether the terminal's clock and this computer's agree to the second (`live.server_clock.offset`).

A contradiction stops entries by the breaker `clock`, with a finding, and never changes the rule: records already
written under it would be wrong, and a person decides what becomes of them. Once what is seen fits again, the breaker
lets go by itself. No quote is no evidence: holidays and weekends are not judged. What refutes a rule is
`core.market.clock_detection`; how a rule is found in the first place, `live.server_clock.search`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from live.books.risk_state import RiskBook
from live.bridge.link import Link
from live.clock import ServerClock
from live.market.feed import Feed
from live.recorder import Recorder
from live.server_clock.hours import ServerHours, pairs_of
from live.server_clock.offset import MOST_OFFSET, ClockOffset, offset_cause
from live.server_clock.search import Found
from trading_assets.core.errors import InputError
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.market.clock_detection import Detection, detect, explains, offset_text
from trading_assets.core.market.clock_fit import find_weekends, misfit_of
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import Bars, Hello, Ticks
from trading_assets.core.records.trading import ClockVerdict

BREAKER = "clock"
Origin = Literal["settings", "detected", "recorded"]
Occasion = Literal["opening", "weekend", "quotes", "offset"]

# Quotes are under way for a moment, some for long: of a window those that are furthest ahead tell the offset.
_WINDOW = timedelta(seconds=15)
_FEWEST_BATCHES = 3
_NEVER_MS = 1 << 62
# What was kept while a connection was broken may come unmarked: a contradiction counts when it is seen twice.
_PATIENCE = 2


class ClockWatch:
    """The watch over one account's server clock."""

    def __init__(
        self, recorder: Recorder, server: ServerClock, risk: RiskBook, feed: Feed, symbols: Mapping[str, str]
    ) -> None:
        """`symbols`: the broker's names → ours."""
        self._recorder = recorder
        self._server = server
        self._risk = risk
        self._feed = feed
        self._symbols = symbols
        self.pairs = pairs_of(symbols)
        self._hours = ServerHours(self.pairs[0]) if self.pairs else None
        self._origin: Origin = "settings"
        self._recorded: ClockVerdict | None = None
        self._hello: Hello | None = None
        self._problems: dict[Occasion, str] = {}
        self.offset = ClockOffset()
        """How far the terminal's clock is from this computer's."""
        self._is_judged = False
        self._window_at: datetime | None = None
        # The two quotes furthest ahead; the second counts, so that a single garbled time means nothing.
        self._furthest = self._ahead = -_NEVER_MS
        self._batches = 0
        self._contradicted = 0
        self._freshest = 0

    # --- the rule ---------------------------------------------------------------------------------------------------

    def restore(self, verdict: ClockVerdict | None) -> None:
        """Take the last verdict on record."""
        if verdict is not None and verdict.origin != "settings" and verdict.clock_rule:
            self._recorded = verdict

    def is_known(self, server: str) -> bool:
        """Say whether there is a rule for this server: a person's, one found before, or one an earlier run has found."""
        recorded = self._recorded
        if not self._server.is_known and recorded is not None and recorded.server == server:
            self._server.settle(ClockRule.parse(recorded.clock_rule))
            self._origin = "recorded"
        return self._server.is_known

    def found(self, found: Found) -> str:
        """Take what a search has found; returns why no session can begin, or nothing."""
        detection, self._hello = found.detection, found.hello
        rule, server = detection.rule, found.hello.account.server
        if rule is not None:
            self._server.settle(rule)
            self._origin, self._hours = "detected", found.hours
            return ""
        hint = 'set `clock` in the account\'s settings, for example clock = "eu", and start the daemon again'
        problem = f"the clock of {server} cannot be told: {detection.problem}; {hint}"
        self._origin = "detected"
        self._record("opening", detection, problem, detection.weekends)
        self._recorder.error("live.server_clock.search", problem)
        return problem

    # --- the session ------------------------------------------------------------------------------------------------

    def begin(self, hello: Hello) -> None:
        """A session begins under the rule."""
        self._hello = hello
        self._problems, self._is_judged, self._contradicted = {}, False, 0
        self._reset_window()
        self.offset, self._server.offset = ClockOffset(), timedelta(0)
        if not hello.lockstep:
            self.offset.greet(self._server.to_utc(hello.server_time_msc), self._recorder.clock.now())
            self._judge_offset()

    @property
    def is_asking(self) -> bool:
        """Whether history is waited for."""
        return self._hours is not None and self._hours.is_asking

    async def ask(self, link: Link) -> None:
        """Ask for the hours by which the rule is judged."""
        if self._hours is not None and self._hello is not None:
            await self._hours.ask(link, self._hello.server_time_msc)

    def refused(self, request_id: str) -> None:
        """The terminal cannot answer a request."""
        if self._hours is not None and self._hours.is_asked(request_id):
            self._hours.give_up()

    def give_up(self) -> None:
        """The answer did not come; what cannot be judged stays as it is."""
        if self._hours is not None:
            self._hours.give_up()

    def take(self, message: Bars) -> bool:
        """Take history; returns whether it was asked for here."""
        if self._hours is None or not self._hours.take(message):
            return False
        if not self._hours.is_asking:
            self._judge_weekends("opening")
        return True

    def quotes(self, message: Ticks) -> None:
        """Take the time of a batch's last quote: of a wrong rule also one that was refused for it."""
        if not message.ticks or message.is_late:
            return
        last = message.ticks[-1].time_msc
        if self._hours is not None and message.symbol == self._hours.symbol and self._is_accepted(message.symbol, last):
            self._freshest = last
            if self._hours.quote(last):
                self._judge_weekends("weekend")
        ahead = last - to_ms(self._recorder.clock.now())
        self._batches += 1
        if ahead > self._furthest:
            self._furthest, self._ahead = ahead, self._furthest
        elif ahead > self._ahead:
            self._ahead = ahead

    def arrived(self, server_msc: int) -> None:
        """In real time: a message of this server time has come, a quote or a heartbeat."""
        try:
            at = self._server.to_utc(server_msc)
        except InputError:
            return  # Refused where it is taken.
        if self.offset.observe(at, self._recorder.clock.now()):
            self._judge_offset()

    def _is_accepted(self, raw_symbol: str, server_msc: int) -> bool:
        accepted = self._feed.last.get(self._symbols.get(raw_symbol, ""))
        return accepted is not None and accepted.at == self._server.to_utc(server_msc)

    def look(self) -> None:
        """Real time: judge the offset of fresh quotes against the system's clock. Called a few times a second."""
        now = self._recorder.clock.now()
        if self._window_at is None or now < self._window_at:
            self._reset_window(now)
        elif now - self._window_at >= _WINDOW and self._batches >= _FEWEST_BATCHES:
            self._judge_quotes(self._ahead, now)
            self._reset_window(now)
        elif now - self._window_at >= 2 * _WINDOW:
            self._reset_window(now)

    # --- judging ----------------------------------------------------------------------------------------------------

    def _judge_weekends(self, occasion: Literal["opening", "weekend"]) -> None:
        assert self._hours is not None
        rule, opens = self._server.rule, self._hours.opens
        weekends = find_weekends(rule.to_utc_ms(opens))
        problem = misfit_of(weekends)
        found = detect(opens, rule) if problem else None
        contradiction = found.contradicts(rule.name) if found is not None else ""
        if problem and not contradiction:
            # Nothing else would fit better: a market with hours of its own, or weeks that end as they please.
            self._recorder.error("live.server_clock.watch", f"the weekends of {self._hours.symbol} are odd: {problem}")
        self._settle(occasion, found, contradiction, weekends=len(weekends.close))

    def _judge_quotes(self, ahead_ms: int, now: datetime) -> None:
        rule = self._server.rule
        if explains(rule, ahead_ms, now):
            self._contradicted = 0
            is_left = self._risk.is_tripped(BREAKER) and "offset" not in self._problems
            if not self._is_judged or "quotes" in self._problems or is_left:
                self._is_judged = True
                self._settle("quotes", None, "", ahead_ms=ahead_ms)
            return
        self._contradicted += 1
        if self._contradicted >= _PATIENCE and not ("quotes" in self._problems and self._risk.is_tripped(BREAKER)):
            expected = offset_text(rule.to_server(now) - to_ms(now))
            problem = (
                f"the rule {rule.name} puts the server at {expected} now, its quotes say {offset_text(ahead_ms)} "
                "(or this computer's clock is wrong)"
            )
            self._settle("quotes", None, problem, ahead_ms=ahead_ms)

    def _judge_offset(self) -> None:
        """Use the offset for deadlines; stop entries while it is too large, and until it is not any more."""
        offset = self.offset.measured
        if offset is None:
            return
        self._server.offset = offset
        is_known = "offset" in self._problems
        if self.offset.is_too_large == is_known:
            return
        if is_known:
            del self._problems["offset"]
            self._record("offset", None, "", 0)
            if self._problems:
                return
            changes = self._risk.reset(BREAKER, "this computer's clock and the terminal's agree again")
        else:
            problem = self._problems["offset"] = offset_cause(offset)
            self._record("offset", None, problem, 0)
            expectation = f"the clocks are at most {MOST_OFFSET.total_seconds():.0f} s apart"
            repair = "synchronise this computer's clock; meanwhile exits go out, dated by the terminal's clock"
            self._recorder.finding("live.server_clock.offset", self._server_name, expectation, problem, repair)
            changes = self._risk.trip(BREAKER, problem, self._recorder.clock.now())
        self._recorder.commit(self._recorder.breaker_events(changes))

    def _settle(
        self,
        occasion: Occasion,
        found: Detection | None,
        problem: str,
        *,
        weekends: int = 0,
        ahead_ms: int | None = None,
    ) -> None:
        """Take a judgement: record it, and trip or reset the breaker."""
        kind: Occasion = "quotes" if occasion == "quotes" else "weekend"
        is_new = bool(problem) and kind not in self._problems
        if problem:
            self._problems[kind] = problem
        else:
            self._problems.pop(kind, None)
        self._record(occasion, found, problem, weekends, ahead_ms)
        if is_new:
            repair = "set `clock` in the account's settings to the server's rule and start the daemon again; records since are an hour or more off"
            self._recorder.finding(
                "live.server_clock.watch", self._server_name, f"its clock follows {self._server.name}", problem, repair
            )
        if self._problems:
            changes = self._risk.trip(BREAKER, next(iter(self._problems.values())), self._recorder.clock.now())
        elif weekends or ahead_ms is not None:
            changes = self._risk.reset(BREAKER, f"the server's clock follows {self._server.name}")
        else:
            return
        self._recorder.commit(self._recorder.breaker_events(changes))

    def _record(
        self, occasion: Occasion, found: Detection | None, problem: str, weekends: int, ahead_ms: int | None = None
    ) -> None:
        recorder, hello = self._recorder, self._hello
        recorder.buffer(
            [
                recorder.make(
                    ClockVerdict,
                    recorder.clock.now(),
                    recorder.chain(),
                    server=self._server_name,
                    clock_rule=self._server.name,
                    origin=self._origin,
                    occasion=occasion,
                    is_accepted=not problem,
                    fitting_rules=found.candidates if found is not None else (),
                    weekends=weekends,
                    server_msc=self._freshest or (hello.server_time_msc if hello is not None else 0),
                    offset_minutes=None if ahead_ms is None else round(ahead_ms / 60_000),
                    offset_s=None if self.offset.measured is None else round(self.offset.measured.total_seconds(), 3),
                    problem=problem,
                )
            ]
        )

    @property
    def _server_name(self) -> str:
        return self._hello.account.server if self._hello is not None else ""

    def _reset_window(self, now: datetime | None = None) -> None:
        self._window_at = now
        self._furthest = self._ahead = -_NEVER_MS
        self._batches = 0
