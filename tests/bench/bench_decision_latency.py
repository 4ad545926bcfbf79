"""Decision latency: last message before a bar's close in, order frame out, the decision durable in between.

Two processes, a real websocket, two symbols closing at the same moment, in lockstep without pauses. The floor is measured in
the same run: a bare websocket hop and one fdatasync of as many bytes as a decision has.
Run: `python tests/bench/bench_decision_latency.py [DAYS]`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lockstep import replay

from live.floor import measure

AIM_MS = 6.0


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile of the values."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def row(name: str, values: Sequence[float], floor: Sequence[float]) -> None:
    """Print median and 99th percentile with their ratios to the floor."""
    p50, p99 = quantile(values, 0.5), quantile(values, 0.99)
    ratios = f"{p50 / quantile(floor, 0.5):>8.1f}{p99 / quantile(floor, 0.99):>8.1f}"
    print(f"{name:<36}{len(values):>8}{p50:>9.2f}{p99:>9.2f}{ratios}")


def main() -> None:
    """Print the table."""
    days = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        floor = measure(1000, home)
        run = replay(home, days)
    with_order = [timing.total_us / 1000 for timing in run.timings if timing.has_order]
    print(f"{'ms':<36}{'n':>8}{'p50':>9}{'p99':>9}{'x p50':>8}{'x p99':>8}")
    row("floor: hop and fdatasync", floor, floor)
    row("order frame out", with_order, floor)
    row("every decision, durable", [timing.total_us / 1000 for timing in run.timings], floor)
    row("  features", [timing.features_us / 1000 for timing in run.timings], floor)
    row("  decide", [timing.decide_us / 1000 for timing in run.timings], floor)
    row("  commit", [timing.commit_us / 1000 for timing in run.timings], floor)
    print(
        f"aim: order frame out p99 under {AIM_MS:.0f} ms: {'met' if quantile(with_order, 0.99) < AIM_MS else 'missed'}"
    )


if __name__ == "__main__":
    main()
