"""Damages a lake in every way of tests/damage.py, one and several at a time, and lets the self-check mend it.

After each blow one self-check must find it and mend it, or say what a person must do; at the end of a round the lake must
hold what an undamaged one holds, row for row. The short form, a few blows, is in the suite, over the home its demo left.

    python tests/torture/torture_lake.py [--short] [--seed N] [--rounds N]
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("TRADING_FIRST_DATE", "2026-01-01")

import damage
from survived import Option, Survived, run

from trading_assets.core.errors import StateError
from trading_assets.defs.resources import Storage
from trading_assets.defs.selfcheck import self_check
from trading_assets.store.home import Home

SHORT_BLOWS, BLOWS, MOST_AT_ONCE = 1, 12, 3
DAYS = ("--days", "5", "--release-days", "1")


def survive(*, is_short: bool, seed: int, broken: str = "", rounds: float = 8, home: Path | None = None) -> Survived:  # noqa: ARG001
    """Damage and mend; in the short form one round over `home`, else over one that is played for it."""
    with tempfile.TemporaryDirectory(prefix="trading-torture-lake-") as folder:
        played = Home(home) if home is not None else _play(Path(folder) / "played")
        counts: Counter[str] = Counter()
        failures: list[str] = []
        with damage.twin(played, Path(folder) / "sound") as sound:
            damage.follow_ops(sound)
            _check(sound, 0)
            last = 1 if is_short else int(rounds)
            for number in range(last):
                chance = random.Random(seed * 1000 + number)
                with damage.twin(sound, Path(folder) / f"round-{number}") as home_of_round:
                    blows = SHORT_BLOWS if is_short else BLOWS
                    failures += _round(home_of_round, sound, chance, blows, counts)
                if not is_short:
                    print(f"  round {number + 1} of {last}, {len(failures)} not survived", file=sys.stderr, flush=True)
    return Survived("lake", dict(counts), tuple(failures))


def _play(home: Path) -> Home:
    from played import trading

    done = trading("demo", *DAYS, "--json", "--home", str(home), timeout=3600)
    assert done.returncode == 0, done.stderr
    return Home(home)


def _check(home: Home, minutes: int) -> tuple[set[str], list[str], int]:
    """Check a home; return the checks that found something, what stands, and how many repairs helped."""
    at = datetime.now(UTC) + timedelta(minutes=30 + minutes)
    checked = self_check(Storage(root=str(home.root)), at)
    # What the self-check itself has told makes the ops day grow: without its mark it waits for an ingestion.
    standing = [f"{one.subject}: {one.observed}" for one in checked.standing if one.subject != "raw_ops"]
    return {one.check for one in checked.found}, standing, sum(one.is_repaired for one in checked.repairs)


def _round(home: Home, sound: Home, chance: random.Random, blows: int, counts: Counter[str]) -> list[str]:
    failures = []
    for blow in range(1, blows + 1):
        told = []
        for _ in range(chance.randint(1, MOST_AT_ONCE)):
            what = chance.choice(damage.EVERY)
            try:
                told.append(what(home, chance))
            except StateError:
                continue  # it reads what an earlier damage of this blow took
            counts[what.__name__.replace("_", " ")] += 1
        # Repairs of one finding are bounded within a day; each blow is a day of its own.
        found, standing, mended = _check(home, blow * 24 * 60)
        counts["findings mended"] += mended
        counts["self-checks"] += 1
        # A bit that changes no row cannot be told without the seals of its table.
        bare = [one.split()[3] for one in told if "seals of" in one]
        is_silent = all(
            "seals of" in one or any(f"a bit flipped in a file of {table} of" in one for table in bare) for one in told
        )
        if not found and not is_silent:
            failures.append(f"{'; '.join(told)}: nothing was found")
        if standing:
            # What stands may be a table that cannot be read: nothing more is done to this lake.
            return [*failures, *(f"{'; '.join(told)}: {one} stands" for one in standing)]
    failures += [f"not as in the undamaged lake: {one}" for one in damage.same_rows(home, sound)]
    counts["lakes equal row for row"] += not failures
    return failures


if __name__ == "__main__":
    sys.exit(run(survive, __doc__, Option("rounds", 8.0, "rounds of blows, each over a fresh copy (8)")))
