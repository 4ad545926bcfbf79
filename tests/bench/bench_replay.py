"""Lockstep replay: decisions a second through the real websocket, two symbols, beside what an empty lockstep could do.

The floor is the time of the bare hops of one step (a message in, the decision's bytes made durable, a frame out), for each
of its two decisions. Run: `python tests/bench/bench_replay.py [DAYS]`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from lockstep import replay

from live.floor import measure

AIM = 350


def main() -> None:
    """Print the figures."""
    days = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        floor_ms = statistics.median(measure(500, home))
        run = replay(home, days)
    rate = run.decisions / run.seconds
    print(f"{run.decisions} decisions and {run.quotes} quotes in {run.seconds:.1f} s")
    print(f"{'decisions/s':<24}{rate:>10.0f}   aim {AIM}   ratio {rate / AIM:.2f}")
    print(f"{'ms/decision':<24}{1000 / rate:>10.2f}   floor {floor_ms:.2f}   ratio {1000 / rate / floor_ms:.1f}")
    print(f"{'quotes/s':<24}{run.quotes / run.seconds:>10.0f}")


if __name__ == "__main__":
    main()
