"""Figures of the model card, drawn to SVG elements that stand inside a page. What they show is computed elsewhere.

The same facts give the same bytes: no date, no random names, points spread by their order and not by chance.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from trading_assets.core.learning.evaluation import Evaluation
from trading_assets.core.learning.model_card import CardFacts, ShapFeature

INK, MODEL, SHADE, LOSS, UNKNOWN = "#334155", "#2563eb", "#93c5fd", "#dc2626", "#94a3b8"
LOW_TO_HIGH = LinearSegmentedColormap.from_list("low_to_high", ["#2563eb", "#a855f7", "#dc2626"])
MOST_FEATURES = 20
_SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "axes.edgecolor": INK}


def card_figures(facts: CardFacts) -> dict[str, str]:
    """Return the card's figures as SVG elements by name."""
    return {
        "equity": _svg("equity", (9.2, 3.4), lambda axes: _equity(axes, facts.evaluation)),
        "reliability": _svg("reliability", (5.6, 4.2), lambda axes: _reliability(axes, facts.evaluation)),
        "shap": _svg("shap", (5.6, 6.2), lambda axes: _shap(axes, facts.shap)),
        "importance": _svg("importance", (3.6, 6.2), lambda axes: _importance(axes, facts.importance)),
    }


def _svg(name: str, size: tuple[float, float], draw: Callable[[Axes], None]) -> str:
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        axes.grid(alpha=0.25)
        axes.tick_params(colors=INK, labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", dpi=120, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _equity(axes: Axes, evaluation: Evaluation) -> None:
    days = np.array([point.day for point in evaluation.equity], dtype="datetime64[D]")
    total, low, high = (
        np.array([getattr(point, name) for point in evaluation.equity]) for name in ("total_r", "low", "high")
    )
    axes.fill_between(days, low, high, color=SHADE, alpha=0.45, linewidth=0, label="95 of 100 resampled histories")
    axes.plot(days, total, color=MODEL, linewidth=1.8, marker="o", markersize=3, label="its picks")
    axes.axhline(0.0, color=LOSS, linewidth=0.8)
    axes.set_ylabel("R in all, after costs", color=INK)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(AutoDateLocator()))  # type: ignore[no-untyped-call]
    axes.legend(frameon=False, fontsize=8, loc="upper left" if total[-1] >= 0 else "lower left")


def _reliability(axes: Axes, evaluation: Evaluation) -> None:
    rows, said, seen = (
        np.array([getattr(part, name) for part in evaluation.reliability]) for name in ("rows", "predicted", "observed")
    )
    ends = [min(said.min(), seen.min()) - 0.03, max(said.max(), seen.max()) + 0.03]
    axes.plot(ends, ends, color=INK, linewidth=0.8, linestyle=":", label="honest")
    axes.axhline(evaluation.wins / evaluation.rows, color=LOSS, linewidth=0.8, linestyle="--", label="share of wins")
    axes.errorbar(
        said, seen, yerr=1.96 * np.sqrt(seen * (1 - seen) / rows), color=MODEL, marker="o", markersize=4, linewidth=1.2,
        capsize=2, label="model, ten groups of candidates",
    )  # fmt: skip
    axes.set_xlabel("win probability it gave", color=INK)
    axes.set_ylabel("share that won", color=INK)
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def _shap(axes: Axes, features: tuple[ShapFeature, ...]) -> None:
    for place, feature in enumerate(reversed(features)):
        x = np.array(feature.contributions)
        rank = np.array([np.nan if one is None else one for one in feature.ranks])
        known = ~np.isnan(rank)
        y = place + _spread(x)
        axes.scatter(x[~known], y[~known], s=3, color=UNKNOWN, linewidths=0, rasterized=True)
        axes.scatter(
            x[known], y[known], s=3, c=rank[known], cmap=LOW_TO_HIGH, vmin=0, vmax=1, linewidths=0, rasterized=True
        )
    axes.axvline(0.0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(features)), [feature.name for feature in reversed(features)])
    axes.set_ylim(-0.7, max(len(features), 1) - 0.3)
    axes.set_xlabel("contribution to the log odds of a win (SHAP)", color=INK)


def _spread(x: np.ndarray) -> np.ndarray:
    """Return heights around 0 at which points of about the same x lie beside each other."""
    if not len(x) or np.ptp(x) == 0:
        return np.linspace(-0.3, 0.3, len(x))
    cell = np.minimum((x - x.min()) / np.ptp(x) * 60, 59).astype(np.int64)
    counts = np.bincount(cell, minlength=60)
    order = np.argsort(cell, kind="stable")
    within = np.empty(len(x))
    within[order] = np.arange(len(x)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Points of one cell go up and down by turns from its middle.
    turn = np.where(within % 2 == 0, 1, -1) * np.ceil(within / 2)
    return np.asarray(0.7 * turn / max(counts.max(), 1))


def _importance(axes: Axes, importance: tuple[tuple[str, float], ...]) -> None:
    shown = importance[:MOST_FEATURES][::-1]
    axes.barh([name for name, _ in shown], [100.0 * share for _, share in shown], color=MODEL, height=0.7)
    axes.set_xlabel("share of the gain, %", color=INK)
    axes.margins(y=0.01)
    axes.tick_params(axis="y", labelsize=7)
