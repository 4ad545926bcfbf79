"""The journal's chain, looked at as often as the record is: what has grown every time, all of it once a day.

What a sound chain is lives in `store.journal_verify`. A day whose files are as they were when it was last found sound is not
read again; where an old day has changed, everything is.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from hashlib import sha256

from trading_assets.core.completeness import NOBODY
from trading_assets.core.errors import TradingError
from trading_assets.core.integrity import Difference
from trading_assets.store import journal_disk
from trading_assets.store.home import Home
from trading_assets.store.journal import read_groups, verify


def days_on_disk(home: Home) -> dict[str, str]:
    """Return a digest of the names, sizes and times of each day's segments."""
    digests: dict[date, list[str]] = defaultdict(list)
    for segment in journal_disk.segments(home.raw):
        path = home.raw / segment.name
        try:
            state = (path if path.exists() else path.with_name(path.name + ".zst")).stat()
        except FileNotFoundError:
            continue
        digests[segment.date].append(f"{segment.name} {state.st_size} {state.st_mtime_ns}")
    return {
        day.isoformat(): sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16] for day, lines in digests.items()
    }


def chain_faults(home: Home, known: Mapping[str, str], now: Mapping[str, str], *, is_whole: bool) -> list[Difference]:
    """Return the faults of the chain: of all of it, or of the days that have changed since they were found sound."""
    changed = sorted(date.fromisoformat(day) for day in known.keys() | now.keys() if known.get(day) != now.get(day))
    recent = sorted(date.fromisoformat(day) for day in now)[-2:]
    is_growth = bool(known) and all(day in recent and day.isoformat() in now for day in changed)
    if is_whole or (not is_growth and changed):
        return [
            _fault(f"{fault.segment} line {fault.line}", fault.expectation, fault.observed, fault.repair)
            for fault in verify(home.raw).faults
        ]
    try:
        for _ in read_groups(home.raw, dates=changed) if changed else ():
            pass
    except TradingError as error:
        return [_fault(error.subject, "lines and seals as they were written", error.problem, error.hint)]
    return []


def _fault(subject: str, expectation: str, observed: str, repair: str) -> Difference:
    return Difference(
        check="journal_chain", severity="error", tenant=NOBODY[0], account=NOBODY[1],
        subject=subject, expectation=expectation, observed=observed, repair=repair,
    )  # fmt: skip
