"""Triple barriers by mlfinpy, run inside its own environment by `bench_labels`.

    python peer_mlfinpy.py IN.npz OUT.npz

IN: bar_ms and close (m) of one symbol, and of n candidates start_ms, end_ms (the vertical barrier), side, stop and target as
multiples of unit, a return, and group: mlfinpy takes one pair of multiples and one row for each start in a call. OUT: end_ms (n) of
the barrier that was touched first, and result (n), the return on the side at that close.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pandas as pd
from mlfinpy.labeling.labeling import get_bins, get_events


def moments(ms: np.ndarray) -> pd.DatetimeIndex:
    """Return instants of nanoseconds, as mlfinpy knows them."""
    return pd.DatetimeIndex(ms.astype("datetime64[ms]").astype("datetime64[ns]"))


def label(given: dict[str, np.ndarray], close: pd.Series, mine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends and results of the candidates of one group."""
    at = moments(given["start_ms"][mine])
    events = get_events(
        close=close,
        t_events=at,
        pt_sl=[float(given["target"][mine[0]]), float(given["stop"][mine[0]])],
        target=pd.Series(given["unit"][mine], index=at),
        min_ret=0.0,
        num_threads=1,
        vertical_barrier_times=pd.Series(moments(given["end_ms"][mine]), index=at),
        side_prediction=pd.Series(given["side"][mine], index=at),
        verbose=False,
    )
    result = get_bins(events, close)["ret"]
    ends = pd.DatetimeIndex(events["t1"]).to_numpy().astype("datetime64[ms]").astype(np.int64)
    return ends, result.to_numpy()


def main() -> None:
    """Label every group and say how long it took."""
    with np.load(sys.argv[1]) as file:
        given = dict(file)
    close = pd.Series(given["close"], index=moments(given["bar_ms"]))
    ends, results = np.zeros(len(given["start_ms"]), dtype=np.int64), np.zeros(len(given["start_ms"]))
    groups = [np.flatnonzero(given["group"] == group) for group in np.unique(given["group"])]
    label(given, close, groups[0][:20])
    start = time.perf_counter()
    for mine in groups:
        ends[mine], results[mine] = label(given, close, mine)
    seconds = time.perf_counter() - start
    np.savez(sys.argv[2], end_ms=ends, result=results)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
