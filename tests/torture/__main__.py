"""`python tests/torture [--short]`: every harness, one after the other, each in a process of its own; then what was survived."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_SHOWN = 6
_APART = ("torture_lake", "torture_learning", "torture_week")
"""They ask the asset half: run by themselves."""


def main() -> int:
    """Run them all; returns 1 when one did not survive."""
    parser = argparse.ArgumentParser(prog="python tests/torture", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the short form of each")
    parser.add_argument("--seed", type=int, default=1, help="seed of all harnesses (1)")
    parser.add_argument(
        "--soak-days", type=float, default=0.25, help="simulated days of the soak (0.25; the full one: 5)"
    )
    given = parser.parse_args()
    scripts = [path for path in sorted(Path(__file__).parent.glob("torture_*.py")) if path.stem not in _APART]
    with tempfile.TemporaryDirectory(prefix="trading-torture-") as folder:
        rows = [_run(script, Path(folder) / f"{script.stem}.json", given) for script in scripts]
    print("\n== what was survived")
    width = max(len(name) for name, _, _ in rows)
    for name, verdict, counts in rows:
        print(f"{name:<{width}}  {verdict:<20}  {counts}")
    return 0 if all(verdict.startswith("survived") for _, verdict, _ in rows) else 1


def _run(script: Path, report: Path, given: argparse.Namespace) -> tuple[str, str, str]:
    """Run one harness; returns its name, its verdict and its first counts."""
    name = script.stem.removeprefix("torture_")
    print(f"\n== {name}", flush=True)
    command = [sys.executable, str(script), "--seed", str(given.seed), "--report", str(report)]
    started = time.monotonic()
    command += ["--short"] if given.short else []
    command += ["--days", str(given.soak_days)] if name == "soak" else []
    status = subprocess.run(command, check=False).returncode
    took = f"{time.monotonic() - started:.0f} s"
    if not report.exists():
        return name, f"FAILED ({took})", f"it ended with {status} and said nothing"
    said = json.loads(report.read_text(encoding="utf-8"))
    counts = ", ".join(f"{count} {what}" for what, count in list(said["counts"].items())[:_SHOWN])
    if status != 0:
        return name, f"FAILED ({took})", "; ".join(said["failures"][:_SHOWN]) or f"it ended with {status}"
    return name, f"survived ({took})", counts


if __name__ == "__main__":
    sys.exit(main())
