"""What a torture harness says at its end, and the command every harness is run by.

A harness is `torture_<noun>.py` with a function `survive(*, is_short, seed, broken) -> Survived`; what it does to what
is its own business.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from broken import SWITCHES


@dataclass(frozen=True)
class Survived:
    """Counts of what was survived, and one sentence for each thing that was not."""

    harness: str
    counts: dict[str, int]
    failures: tuple[str, ...] = ()

    def text(self) -> str:
        """Return it for people, one line a count."""
        width = max((len(f"{count}") for count in self.counts.values()), default=1)
        lines = [f"  {count:>{width}} {what}" for what, count in self.counts.items()]
        verdict = f"{len(self.failures)} NOT SURVIVED" if self.failures else "all survived"
        failed = [f"  not survived: {failure}" for failure in self.failures]
        return "\n".join([f"{self.harness}: {verdict}", *lines, *failed])


@dataclass(frozen=True)
class Option:
    """A number a harness takes besides, as `--name`."""

    name: str
    default: float
    help: str


def run(survive: Callable[..., Survived], about: str | None, *own: Option) -> int:
    """Read the arguments, torture, print; returns the exit code: 1 when something was not survived."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a few seconds instead of minutes")
    parser.add_argument("--seed", type=int, default=1, help="what is chosen at random follows from it (1)")
    parser.add_argument("--broken", choices=SWITCHES, default="", help="torture a build that is broken on purpose")
    parser.add_argument("--report", type=Path, help="also write the counts here, as JSON")
    for option in own:
        parser.add_argument(f"--{option.name}", type=type(option.default), default=option.default, help=option.help)
    given = parser.parse_args()
    others = {option.name: getattr(given, option.name) for option in own}
    survived = survive(is_short=given.short, seed=given.seed, broken=given.broken, **others)
    if given.report is not None:
        given.report.write_text(json.dumps(asdict(survived)), encoding="utf-8")
    print(survived.text(), flush=True)
    return 1 if survived.failures else 0
