"""Builds that are broken in what they make of a terminal that tells something else than before: each one against the sound build.

    python tests/torture/told_otherwise.py [--short] [--seed N]

Every plan is played twice, by the broken build and by the sound one; printed is a JSON object of what the facts say of each. The
sound build must have nothing said of it. In short it plays one plan alone, in which all of this happens, with deaths.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

from torture_orders import TOLD_OTHERWISE, aimed, all_played, plan_of


def main() -> int:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="the sound build plays one plan for all")
    parser.add_argument("--seed", type=int, default=2, help="what is chosen at random follows from it (2)")
    given = parser.parse_args()
    minutes = 12 if given.short else 24
    plans = [aimed(plan_of(given.seed, minutes=minutes), broken) for broken in TOLD_OTHERWISE]
    sound = [plan_of(given.seed, minutes=minutes)] if given.short else plans
    said: dict[str, list[str]] = {}
    for played in all_played([*plans, *(replace(plan, broken="") for plan in sound)]):
        said.setdefault(played.broken, []).extend(played.problems)
    print(json.dumps(said, indent=1))
    return 0 if not said[""] and all(said[name] for name in TOLD_OTHERWISE) else 1


if __name__ == "__main__":
    sys.exit(main())
