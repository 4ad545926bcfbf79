"""Torture of an order's life: daemon, terminal and connection die at every step of it, over many seeds.

    python tests/torture/torture_orders.py [--short] [--seed N] [--broken NAME] [--seeds COUNT]

Each seed is a play of its own: the real daemon and the simulated terminal, two processes, a real websocket, a seeded
market in lockstep with seeded faults, a strategy that trades at almost every bar. A plan drawn from the seed says who
dies where (`points`), again and again; a daemon's death is a power cut. Whoever died is started again until the data
ends. Then `facts` holds the terminal's books against the journal. Three of four seeds carry commits out in the event
loop, so that the same seed gives the same facts; the fourth leaves them to the journal's thread.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from facts import durable, examine, undecided
from points import AT_START, DAEMON_POINTS, TERMINAL_POINTS, Due
from power_cut import cut_power, leave_remains, lost_of
from processes import Process, Stage, free_port, start_daemon, start_terminal
from survived import Option, Survived, run

from live.paper.feed import from_synthetic
from trading_assets.core.errors import TradingError
from trading_assets.core.market.timeframes import from_ms, to_ms
from trading_assets.store.journal import verify

SEEDS, SHORT_SEEDS = 200, 6
WORKERS = 2
_PATIENCE_S = 120
_NEVER_S = 600.0
_OF_MODIFY = ("protection durable, modify not sent", "modify sent, answer not heard")
_OF_CANCEL = ("withdrawal durable, cancel not sent", "cancel sent, answer not heard")
_TOKEN = "torture"
_SYMBOLS = ("EURUSD", "GBPUSD")
_FIRST_DAY, _OPENS_AT = "2024-01-08", datetime(2024, 1, 8, 22, tzinfo=UTC)
"""The first session is history; the second one opens in the evening of its day."""
_SETTINGS = """
port = {port}
tenant = "torture"
heartbeat_s = {heartbeat_s}
quote_commit_delay_s = {commit_delay_s}
answer_timeout_s = 5.0
[[accounts]]
name = "paper"
token_sha256 = "{token}"
clock = "eu"
mode = "execute"
timeframe = "M1"
[accounts.symbols]
EURUSD = "EURUSD"
GBPUSD = "GBPUSD"
[accounts.strategy]
open_threshold = 0.505
close_threshold = 0.3
deviation_points = 1000
max_positions = 6
exit_profiles = [ {{ name = "brief", stop_atr = 2.0, target_atr = 2.5, timeout_bars = 4, trend_fit = 0.0 }} ]
[accounts.strategy.filters]
session_start_hour = 0
session_end_hour = 24
min_consensus = 0.0
max_dispersion = 100.0
blocked_regimes = []
max_cost_r = 1000.0
min_reward_r = 0.0001
max_spread_atr = 1000.0
max_volatility_ratio = 1000.0
[accounts.strategy.weights]
cost = 0.0
dispersion = 0.0
[accounts.strategy.breakers]
min_confidence = 0.0
drawdown_halve = 1.0
drawdown_stop = 1.0
daily_loss = 1.0
weekly_loss = 1.0
orders_per_hour = 100000
max_slippage_points = 100000.0
"""


@dataclass(frozen=True)
class Plan:
    """What is to happen in one play."""

    seed: int
    minutes: int
    daemon: tuple[Due, ...]
    """What is due in each life of the daemon; the life after the last one lasts."""
    terminal: tuple[Due, ...]
    faults: dict[str, Any]
    closes_at_end: bool
    turns: int | None
    conditions: dict[str, Any] = field(default_factory=dict)
    """The account's mode and the broker's limits."""
    script: tuple[dict[str, Any], ...] = ()
    """What people and the broker do."""
    broken: str = ""
    """The build that is played, where it is broken on purpose."""


@dataclass
class Played:
    """What became of one play."""

    seed: int
    digest: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    broken: str = ""


def plan_of(seed: int, *, minutes: int) -> Plan:
    """Draw the plan of a seed; over successive seeds every place comes."""
    chance = random.Random(f"orders-{seed}")
    lives = [_due(chance, DAEMON_POINTS, (seed * 3 + nth) % len(DAEMON_POINTS), minutes) for nth in range(3)]
    ends = [_due(chance, TERMINAL_POINTS, (seed * 2 + nth) % len(TERMINAL_POINTS), minutes) for nth in range(2)]
    if seed % 5 == 0:
        # Killed while it recovers from being killed.
        lives.insert(1, Due(chance.choice(AT_START[:3]), 1))
    if seed % 7 == 0:
        lives.append(Due(chance.choice(("sent, SENT not recorded", "durable, not sent", "reconciling")), 1, "cut"))
    places = {due.point for due in lives}
    is_netting = seed % 5 in (1, 3)
    return Plan(
        seed,
        minutes,
        tuple(lives),
        tuple(ends),
        {"seed": seed}
        | _answers(chance, is_working=bool(places & set(_OF_CANCEL)))
        | _line(chance)
        | _later(random.Random(f"later-{seed}"))
        # On a netting account a person's orders merge with ours: there people only close and take stops away.
        | {"meddling": 0.0 if is_netting else chance.choice((0.0, 0.0, 0.1))},
        closes_at_end=seed % 2 == 0,
        turns=None if seed % 4 == 3 else chance.choice((1, 2, 5, 20)),
        conditions={
            "margin_mode": "netting" if is_netting else "hedging",
            # At 300 % an entry of the usual size is now and then stopped out.
            "stop_out_level": chance.choice(("50", "50", "300")),
            "every_symbol": {"freeze_level": chance.choice((0, 0, 10)), "filling_mode": chance.choice((1, 2, 3))},
        },
        script=(
            *_people(chance, minutes, takes_stops=bool(places & set(_OF_MODIFY))),
            *_broker(random.Random(f"broker-{seed}"), minutes),
        ),
    )


def _answers(chance: random.Random, *, is_working: bool) -> dict[str, Any]:
    """Draw what becomes of commands and how it is told."""
    return {
        "delayed_answers": chance.choice((0.0, 0.1)),
        "lost_answers": chance.choice((0.0, 0.02)),
        "timeouts": chance.choice((0.0, 0.1)),
        "unexecuted": chance.choice((0.0, 0.0, 0.05)),
        "unknown_retcodes": chance.choice(((10012,), (10012, 10031, 10011, 10028))),
        "reordered_results": chance.choice((0.0, 0.3)),
        "partial_fills": chance.choice((0.0, 0.3)),
        "split_fills": chance.choice((0.2, 0.6)),
        "rejects": chance.choice((0.0, 0.1)),
        "reject_retcode": chance.choice((10006, 10004, 10024, 10031, 10029)),
        "placed": 0.5 if is_working else chance.choice((0.0, 0.0, 0.2)),
        "placed_s": 150.0 if is_working else chance.choice((5.0, 60.0, 150.0)),
        "placed_in_halves": 0.2,
        "placed_in_part": 0.1,
        "placed_cancelled": 0.1,
        "placed_expired": 0.1,
        "lost_events": chance.choice((0.0, 0.0, 0.05)),
        "duplicated_events": chance.choice((0.0, 0.1)),
        "shuffled_events": chance.choice((0.0, 0.2)),
        "changed_comments": chance.choice((0.0, 0.2)),
    }


def _later(chance: random.Random) -> dict[str, Any]:
    """Draw what is told late, changed later, or told in snapshots alone."""
    return {
        "late_events": chance.choice((0.0, 0.1)),
        "corrections": chance.choice((0.0, 0.2)),
        "trailed_stops": chance.choice((0.0, 0.0, 0.1)),
        "silent_account": chance.random() < 0.3,
    }


def _line(chance: random.Random) -> dict[str, Any]:
    """Draw what quotes, history and the connection suffer."""
    faults: dict[str, Any] = {
        "duplicated_ticks": chance.choice((0.0, 0.01)),
        "returning_ticks": chance.choice((0.0, 0.01)),
        "crossed_quotes": chance.choice((0.0, 0.01)),
        "empty_first_history": chance.random() < 0.3,
    }
    after = chance.randint(40, 400)
    match chance.randrange(6):
        case 0:
            faults |= {"reinit_after": after, "reinits": 2, "reinit_on_new_socket": chance.random() < 0.5}
        case 1:
            faults |= {"freeze_after": after, "freeze_s": 0.3}
        case 2:
            faults |= {"disconnect_after": after, "disconnects": 2, "away_minutes": chance.choice((0, 3))}
    return faults


def _people(chance: random.Random, minutes: int, *, takes_stops: bool) -> tuple[dict[str, Any], ...]:
    """Draw when people close our positions, or take their stops away."""
    deeds = ["remove_stops"] * (minutes // 3) if takes_stops else ["close", "remove_stops"] * chance.choice((0, 0, 2))
    return tuple(
        {
            "at": (_OPENS_AT + timedelta(seconds=chance.uniform(120.0, minutes * 60.0))).isoformat(),
            "do": deed,
            "whose": "ours",
            **({"volume": "0.05"} if deed == "close" and chance.random() < 0.5 else {}),
        }
        for deed in deeds
    )


def _broker(chance: random.Random, minutes: int) -> tuple[dict[str, Any], ...]:
    """Draw when the broker changes contracts, tickets and deals, when money is paid in and out, and when another login greets."""
    paid = chance.choice((0, 0, 5000))
    deeds: list[dict[str, Any]] = [
        {"do": "set_terms", "symbol": "EURUSD", "terms": {"volume_step": "0.03", "volume_min": "0.03"}},
        {"do": "set_terms", "symbol": "GBPUSD", "terms": {"trade_mode": chance.choice(("close_only", "long_only"))}},
        {
            "do": "set_terms",
            "terms": {"trade_mode": "full", "volume_step": "0.01", "stops_level": chance.choice((0, 20))},
        },
        {"do": "reopen", "whose": "ours"},
        {"do": "renumber", "whose": "ours"},
        {"do": "restate", "whose": "ours", "amount": "-12.67"},
        *(
            {"do": "deposit", "amount": amount, "told": told}
            for amount, told in ((paid, "after_the_account"), (-paid, "at_once"))
        ),
        *([{"do": "log_in", "login": "66", "server": "Other-Live"}] if chance.random() < 0.3 else []),
    ]
    moments = sorted(chance.uniform(180.0, minutes * 60.0) for _ in deeds)
    return tuple(
        deed | {"at": (_OPENS_AT + timedelta(seconds=at)).isoformat()}
        for deed, at in zip(deeds, moments, strict=True)
        if deed.get("amount") != 0
    )


def aimed(plan: Plan, broken: str) -> Plan:
    """Return the plan with the deaths that hurt a broken build most, so that a few plays show what many would."""
    if not broken:
        return plan
    if broken in TOLD_OTHERWISE:
        faults = {"seed": plan.seed, "split_fills": 0.2} | TOLD_OTHERWISE[broken]
        script = _repeated(plan, broken)
        return replace(
            plan, daemon=(), terminal=(), faults=faults, script=script, turns=50, conditions={}, broken=broken
        )
    lives = {
        "skip_fsync": (Due("sent, SENT not recorded", 4),),
        "send_before_commit": (Due("sent, SENT not recorded", 3), Due("sent, SENT not recorded", 5)),
        "resend_on_unknown": (Due("sent, SENT not recorded", 3, "cut"), Due("result arrived, not taken", 5, "cut")),
        "ignore_seal": (Due("written, not synced", 20), Due("written, not synced", 9)),
    }
    return replace(plan, daemon=(*lives[broken], *plan.daemon), turns=50, broken=broken)


TOLD_OTHERWISE: dict[str, dict[str, Any]] = {
    "forget_revision": {"corrections": 0.3},
    "close_by_identifier": {},
    "forget_old_position": {},
    "ignore_contract_changes": {},
    "accept_other_login": {},
    "deposits_are_profit": {},
    "book_twice": {"duplicated_events": 0.5},
}
"""Builds that are broken in what they make of a terminal that tells something else than before, and the faults that show it."""


def _repeated(plan: Plan, broken: str) -> tuple[dict[str, Any], ...]:
    """Return what the broker and people do again and again, so that one play shows what many would."""
    deeds: dict[str, list[dict[str, Any]]] = {
        "close_by_identifier": [{"do": "renumber", "whose": "ours", "which": "all"}] * 12,
        "forget_old_position": [{"do": "reopen", "whose": "ours", "which": "all"}] * 8,
        "ignore_contract_changes": [{"do": "set_terms", "terms": {"trade_mode": "close_only"}}],
        "accept_other_login": [{"do": "log_in", "login": "66", "server": "Other-Live"}],
        "deposits_are_profit": [{"do": "deposit", "amount": amount} for amount in (90_000, -90_000)],
    }
    own = deeds.get(broken, [])
    step_s = plan.minutes * 50.0 / max(len(own), 1)
    return tuple(
        deed | {"at": (_OPENS_AT + timedelta(seconds=200 + step_s * nth)).isoformat()} for nth, deed in enumerate(own)
    )


def _due(chance: random.Random, points: tuple[str, ...], number: int, minutes: int) -> Due:
    point = points[number]
    most = {"written, not synced": 2 * minutes, "synced, not told": 2 * minutes, "processed not said": minutes // 3}
    rare = ("asking for history", "answering history", "asked for state and deals", "stop or target")
    visit = 1 if point in AT_START else chance.randint(1, most.get(point, 3 if point.startswith(rare) else 12))
    is_cut = point not in AT_START and "synced" not in point and chance.random() < 0.25
    return Due(point, visit, "cut" if is_cut else "kill")


def play(plan: Plan, folder: Path) -> Played:
    """Play one seed to the end of its data, and look at what it came to."""
    started = time.monotonic()
    played = Played(plan.seed, broken=plan.broken)
    stage = Stage(folder, plan.broken, plan.turns)
    port = free_port(plan.seed)
    (folder / "token").write_text(_TOKEN)
    (folder / "settings.toml").write_text(
        _SETTINGS.format(
            port=port,
            token=sha256(_TOKEN.encode()).hexdigest(),
            # Where the same seed is to come to the same, no commit is begun by the clock on the wall.
            heartbeat_s=0.5 if plan.turns is None else _NEVER_S,
            commit_delay_s=0.05 if plan.turns is None else _NEVER_S,
        ),
        encoding="utf-8",
    )
    if not _Play(plan, stage, port, played).run():
        return played
    try:
        facts = examine(
            stage.raw,
            folder / "terminal",
            _lines(stage.frames),
            _lines(stage.commands),
            _closes(plan.seed, plan.minutes),
        )
        played.digest = facts.digest
        played.counts.update(facts.counts)
        played.problems += facts.problems
    except TradingError as error:
        played.problems.append(str(error))
    played.seconds = time.monotonic() - started
    return played


class _Play:
    """The two processes of one play, and whoever has died started again."""

    def __init__(self, plan: Plan, stage: Stage, port: int, played: Played) -> None:
        self._plan, self._stage, self._port, self._played = plan, stage, port, played
        self._lives = {"daemon": iter(plan.daemon), "terminal": iter(plan.terminal)}
        self._chance = random.Random(f"power-{plan.seed}")
        self._has_ended = False

    def run(self) -> bool:
        """Play until the terminal says that the data has ended; returns whether it has."""
        is_over = False
        processes = [self._start("daemon"), self._start("terminal")]
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(_PATIENCE_S)
        try:
            while True:
                pid, status = os.wait()
                dead = next(one for one in processes if one.pid == pid)
                processes.remove(dead)
                code = os.waitstatus_to_exitcode(status)
                if dead.name == "terminal" and code == 0:
                    if self._has_ended:
                        is_over = True
                        break
                    # What was on its way when the data ended comes with the next connection, and is asked for.
                    self._has_ended = True
                    processes.append(self._start("terminal"))
                    continue
                if code != -signal.SIGKILL:
                    self._played.problems.append(f"the {dead.name} ended with {code}: {dead.said}")
                    if dead.name == "daemon":
                        self._look_for_unsealed()
                    break
                self._died(dead.name)
                processes.append(self._start(dead.name))
        except TimeoutError:
            said = "; ".join(f"{one.name}: {one.said[-300:]}" for one in processes)
            self._played.problems.append(f"it hangs, {_PATIENCE_S} s were not enough ({said})")
        finally:
            signal.alarm(0)
            for process in processes:
                code = process.end()
                if code != 0 and not self._played.problems:
                    self._played.problems.append(f"the {process.name} ended with {code}: {process.said}")
        for line in _lines(self._stage.diary):
            self._played.counts[line] += 1
        return is_over

    def _look_for_unsealed(self) -> None:
        """A daemon that failed had recovered its journal before: whatever it went on with has a seal."""
        report = verify(self._stage.raw)
        faults = [f"{fault.segment}: {fault.observed}" for fault in report.faults]
        unsealed = [f"{report.unsealed_bytes} bytes that no seal covers"] if report.unsealed_bytes else []
        self._played.problems += [f"the daemon went on with {fault}" for fault in (*faults, *unsealed)]

    def _died(self, name: str) -> None:
        self._played.counts["restarts"] += 1
        if name != "daemon":
            return
        lost = cut_power(self._stage.raw, self._stage.notes)
        self._played.counts["bytes lost in power cuts"] += lost.size
        self._played.problems += lost_of(self._stage.raw, self._stage.told)
        # What left before the power was cut has its decision on the disk (invariant 1): later it might be made again.
        self._played.problems += undecided(durable(self._stage.raw), _lines(self._stage.frames))
        leave_remains(lost, self._chance)

    def _start(self, name: str) -> Process:
        due = next(self._lives[name], None)
        if name == "daemon":
            return start_daemon(self._stage, due)
        plan, folder = self._plan, self._stage.folder
        until = _OPENS_AT + timedelta(minutes=plan.minutes)
        arguments = [
            "--url", f"ws://127.0.0.1:{self._port}", "--token-file", str(folder / "token"),
            "--state", str(folder / "terminal"), "--synthetic", "--seed", str(plan.seed), "--days", "2",
            "--history-days", "1", "--step-minutes", "1", "--until", until.isoformat(),
            "--start", _FIRST_DAY, "--faults", json.dumps({} if self._has_ended else plan.faults), "--patience", "30",
            "--conditions", json.dumps(plan.conditions), "--script", json.dumps(plan.script),
            *(["--close-at-end"] if plan.closes_at_end else []),
        ]  # fmt: skip
        return start_terminal(self._stage, due, arguments)


def _closes(seed: int, minutes: int) -> set[tuple[str, datetime]]:
    """Return the bars the market of a seed has while it is played: symbol and close."""
    feed = from_synthetic(seed, _SYMBOLS, _OPENS_AT.date(), 2, 1.0, "eu")
    begin, end = to_ms(_OPENS_AT), to_ms(_OPENS_AT + timedelta(minutes=minutes))
    is_played = (feed.at_ms >= begin) & (feed.at_ms < end) & feed.is_tradable
    return {
        (feed.symbols[number], from_ms((at // 60_000 + 1) * 60_000))
        for number, at in zip(feed.instrument[is_played].tolist(), feed.at_ms[is_played].tolist(), strict=True)
    }


def _too_long(_number: int, _frame: object) -> None:
    raise TimeoutError


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _apart(plan: Plan) -> tuple[Process, Path]:
    """Play in a process of its own: it forks, which a process that has computed with threads must not."""
    folder = Path(tempfile.mkdtemp(prefix=f"trading-orders-{plan.seed}-"))

    def work() -> int:
        try:
            played = play(plan, folder)
        except Exception as error:  # noqa: BLE001 - it becomes a failure of this seed
            place = traceback.extract_tb(error.__traceback__)[-1]
            played = Played(
                plan.seed,
                broken=plan.broken,
                problems=[f"{type(error).__name__}: {error} ({place.name}:{place.lineno})"[:500]],
            )
        said = {name: getattr(played, name) for name in Played.__dataclass_fields__}
        (folder / "played.json").write_text(json.dumps(said))
        return 0

    return Process("play", work, folder / "play.txt"), folder


def all_played(plans: list[Plan]) -> Iterator[Played]:
    """Play the plans, some at a time; yields them as they end."""
    waiting, running = list(reversed(plans)), {}
    try:
        while waiting or running:
            while waiting and len(running) < WORKERS:
                process, folder = _apart(waiting.pop())
                running[process.pid] = (process, folder)
            pid, _ = os.wait()
            process, folder = running.pop(pid)
            said = folder / "played.json"
            known = json.loads(said.read_text()) if said.exists() else {"seed": -1, "problems": [process.said[-400:]]}
            yield Played(**known | {"counts": Counter(known.get("counts", {}))})
            if not os.environ.get("TORTURE_KEEP"):
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        for process, _ in running.values():
            process.end(signal.SIGKILL)


def survive(*, is_short: bool, seed: int, broken: str = "", seeds: int = 0) -> Survived:
    """Play many seeds (0: as many as usual); some twice, to see that the same seed comes to the same."""
    number = seeds or (SHORT_SEEDS if is_short else SEEDS)
    minutes = 24 if is_short else 60
    plans = [aimed(plan_of(one, minutes=minutes), broken) for one in range(seed, seed + number)]
    twice = [plan for plan in plans[:: 3 if is_short else 10] if plan.turns is not None]
    total: Counter[str] = Counter({"plays": 0, "plays that came to the same twice": 0})
    failures: list[str] = []
    digests: dict[int, str] = {}
    for played in all_played([*plans, *([] if broken else twice)]):
        _tell(played)
        failures += [f"seed {played.seed}: {problem}" for problem in played.problems]
        if played.seed in digests:
            is_same = digests[played.seed] == played.digest
            total["plays that came to the same twice"] += is_same
            failures += [] if is_same else [f"seed {played.seed}: played twice, it came to different facts"]
            continue
        digests[played.seed] = played.digest
        total["plays"] += 1
        total.update(played.counts)
        if broken and failures:
            break
    kills = sum(count for what, count in total.items() if what.startswith("kill"))
    cuts = sum(count for what, count in total.items() if what.startswith("cut"))
    ordered = {"plays": total.pop("plays"), "kills": kills, "connections cut": cuts}
    rest = sorted(total.items(), key=lambda item: (item[0].startswith(("kill:", "cut:")), item[0]))
    return Survived("orders", ordered | dict(rest), tuple(failures[:50]))


def _tell(played: Played) -> None:
    counts = played.counts
    places = ", ".join(what.replace("kill: ", "").replace("cut: ", "cut ") for what in counts if ": " in what)
    verdict = "survived" if not played.problems else "NOT SURVIVED"
    print(
        f"seed {played.seed:>5} {verdict}: {counts['decisions']} decisions, {counts['orders']} orders, "
        f"{counts['deals']} deals, {counts['unknown orders resolved']} unknown resolved, {counts['restarts']} restarts, "
        f"{played.digest[:12]}, {played.seconds:.1f} s ({places})",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(run(survive, __doc__, Option("seeds", 0, f"how many plays ({SEEDS}, {SHORT_SEEDS} in short)")))
