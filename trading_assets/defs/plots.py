"""Figures shown in Dagster and kept in MLflow, drawn to PNG bytes. What they show is computed elsewhere."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from trading_assets.core.learning.evaluation import Evaluation

INK, MODEL, SHADE, LOSS = "#334155", "#2563eb", "#93c5fd", "#dc2626"
BARRIER_INKS = {"stop": LOSS, "target": MODEL, "timeout": SHADE}
MOST_POINTS = 2_000
MOST_FEATURES = 20
MOST_NAMES = 12
"""Accounts named in a legend; more would push the axes out of the figure."""


def _figure(height: float = 4.0) -> Figure:
    # A figure with its own canvas: pyplot would keep global state between runs.
    figure = Figure(figsize=(8.0, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # No software tag, so that the same figure has the same bytes.
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _plain(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.tick_params(colors=INK, labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def equity_figure(curve: pl.DataFrame) -> bytes:
    """Draw equity, balance and drawdown over time from rows of the table `equity_curve`, one line each per account."""
    figure = _figure(5.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    accounts = curve.sort("minute_at").partition_by("tenant", "account", maintain_order=True, as_dict=True)
    for number, ((tenant, account), rows) in enumerate(accounts.items()):
        shown = rows.gather_every(max(1, len(rows) // MOST_POINTS))
        shown = pl.concat([shown, rows.tail(1)]) if shown["minute_at"][-1] != rows["minute_at"][-1] else shown
        at = shown["minute_at"].dt.replace_time_zone(None).to_numpy()
        color = MODEL if len(accounts) == 1 else f"C{number}"
        name = _account_name(f"{tenant}/{account}", number, len(accounts))
        above.plot(at, shown["equity"].cast(pl.Float64).to_numpy(), color=color, linewidth=1.2, label=name)
        if len(accounts) == 1:
            marks = {"balance": INK, "high_water_mark": SHADE}
            for column, ink in marks.items():
                label = column.replace("_", "-").replace("high-water-mark", "high-water mark")
                above.plot(at, shown[column].cast(pl.Float64).to_numpy(), color=ink, linewidth=0.8, label=label)
        drawdown = -100.0 * shown["drawdown_share"].to_numpy()
        below.fill_between(at, drawdown, 0.0, color=LOSS, alpha=0.35, linewidth=0)
    above.set_title("Equity", loc="left", color=INK, fontsize=11)
    above.set_ylabel("account currency", color=INK, fontsize=9)
    below.set_ylabel("drawdown, %", color=INK, fontsize=9)
    if len(accounts):
        above.legend(frameon=False, fontsize=8, loc="upper left")
        locator = AutoDateLocator()  # type: ignore[no-untyped-call]
        below.xaxis.set_major_locator(locator)
        below.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    for axes in (above, below):
        _plain(axes)
    return _png(figure)


def _account_name(name: str, number: int, accounts: int) -> str:
    """Return what a curve is called in the legend; names that start with an underscore are left out of it."""
    if accounts == 1:
        return "equity"
    if accounts <= MOST_NAMES or number < MOST_NAMES - 1:
        return name
    return f"and {accounts - MOST_NAMES + 1} more" if number == MOST_NAMES - 1 else f"_{name}"


def results_figure(rows: pl.DataFrame) -> bytes:
    """Draw how labelled candidates ended: their results in R, by the barrier that ended them, longs above shorts."""
    figure = _figure(5.0)
    edges = np.linspace(-3.0, 3.0, 61)
    for axes, kind in zip(figure.subplots(2, 1, sharex=True, sharey=True), ("LONG", "SHORT"), strict=True):
        mine = rows.filter(pl.col("kind") == kind)
        parts = mine.sort("barrier").partition_by("barrier", as_dict=True, maintain_order=True)
        results = [part["result_r"].clip(edges[0], edges[-1]).to_numpy() for part in parts.values()]
        names = [f"{part['barrier'][0]}, {len(part):,}" for part in parts.values()]
        if results:
            inks = [BARRIER_INKS.get(str(barrier), INK) for (barrier,) in parts]
            # One outline each: a bar for every bin takes seven times as long to draw.
            axes.hist(results, bins=edges.tolist(), stacked=True, label=names, color=inks, histtype="stepfilled")
            axes.axvline(float(mine["result_r"].mean()), color=INK, linewidth=1, linestyle="--", label="mean")  # type: ignore[arg-type]
            axes.legend(frameon=False, fontsize=8, loc="upper right")
        won = f", {int((mine['result_r'] > 0).sum()) / len(mine):.0%} won" if len(mine) else ""
        axes.set_title(f"{kind}: {len(mine):,} candidates{won}", loc="left", color=INK, fontsize=11)
        axes.set_ylabel("candidates", color=INK, fontsize=9)
        _plain(axes)
    figure.axes[-1].set_xlabel("result after costs, R", color=INK, fontsize=9)
    return _png(figure)


def reliability_figure(evaluation: Evaluation) -> bytes:
    """Draw predicted against observed wins, with the rows of each bin beneath."""
    figure = _figure(5.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    predicted = np.array([part.predicted for part in evaluation.reliability])
    observed = np.array([part.observed for part in evaluation.reliability])
    rows = np.array([part.rows for part in evaluation.reliability])
    lowest, highest = min(predicted.min(), observed.min()), max(predicted.max(), observed.max())
    above.plot([lowest, highest], [lowest, highest], color=INK, linestyle=":", linewidth=1, label="perfect")
    # Two standard errors as if rows were independent; those of one day are not, so this is the least there is.
    error = 2 * np.sqrt(observed * (1 - observed) / rows)
    above.errorbar(
        predicted, observed, yerr=error, color=MODEL, marker="o", markersize=4, linewidth=1.2, capsize=2, label="model"
    )
    above.axhline(evaluation.wins / evaluation.rows, color=LOSS, linewidth=0.8, linestyle="--", label="share of wins")
    below.bar(predicted, rows, width=(highest - lowest) / 40 or 0.01, color=SHADE)
    above.set_title(
        f"Reliability out of sample: calibration error {evaluation.calibration_error:.3f}, skill {evaluation.skill:+.2%}",
        loc="left",
        color=INK,
        fontsize=11,
    )
    above.set_ylabel("observed share of wins", color=INK, fontsize=9)
    below.set_ylabel("rows", color=INK, fontsize=9)
    below.set_xlabel("predicted win probability", color=INK, fontsize=9)
    above.legend(frameon=False, fontsize=8, loc="upper left")
    for axes in (above, below):
        _plain(axes)
    return _png(figure)


def importance_figure(importance: Sequence[tuple[str, float]]) -> bytes:
    """Draw the features with the largest shares of the gain, largest on top."""
    shown = list(importance)[:MOST_FEATURES][::-1]
    figure = _figure(0.9 + 0.22 * max(len(shown), 1))
    axes = figure.subplots()
    axes.barh([name for name, _ in shown], [100.0 * share for _, share in shown], color=MODEL, height=0.7)
    rest = 100.0 * sum(share for _, share in list(importance)[MOST_FEATURES:])
    more = (
        f"; the other {len(importance) - MOST_FEATURES} together {rest:.1f} %"
        if len(importance) > MOST_FEATURES
        else ""
    )
    axes.set_title(f"Feature importance{more}", loc="left", color=INK, fontsize=11)
    axes.set_xlabel("share of the gain, %", color=INK, fontsize=9)
    axes.margins(y=0.01)
    _plain(axes)
    axes.tick_params(axis="y", labelsize=7)
    return _png(figure)
