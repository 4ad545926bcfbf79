"""How a trace looks to a person: one line for each link of the chain. What the links hold is `cli.trace`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Line = tuple[str, object]


def trace_report(chain: dict[str, Any]) -> None:
    """Print a chain, stage by stage; of a model, how it came to be and what became of it."""
    from trading_assets.cli.screen import pairs  # whoever wants JSON needs no screen, and does not wait for it

    if (model := chain.get("model")) is not None:
        pairs(f"[bold]The trace of {model['training']['model_version']}[/bold]", _of_model(model))
        return
    signal = chain["signal"]
    rows = [*_seen(chain), *_decided(chain), *_traded(chain), *_learned(chain), *_written(chain["provenance"])]
    pairs(f"[bold]The trace of {signal['symbol']} {signal['signal_id']}[/bold]", rows)


def _seen(chain: dict[str, Any]) -> Iterator[Line]:
    windows = (
        f"{one['timeframe']} {one['bar_count']} bars, {'equal' if one['is_equal'] else 'DIFFERENT'}"
        for one in chain["chart_windows"]
    )
    yield "Chart window", "; ".join(windows) or "not in the lake"
    signal = chain["signal"]
    yield "Features", f"{len(chain['features'])} of {signal['feature_set_version']}; {_equal(chain['feature_window'])}"
    yield "Regime", f"{signal['regime']} ({signal['regime_confidence']:.2f})"
    yield "Forecasts", "; ".join(f"{one['predictor']} {one['value']:+.2f}" for one in chain["predictions"])


def _decided(chain: dict[str, Any]) -> Iterator[Line]:
    best = max((one["blended_score"] for one in chain["candidates"]), default=0)
    yield "Cohort", f"{len(chain['candidates'])} candidates, best blended score {best:.3f}"
    blocking = [one for one in chain["filters"] if one["verdict"] == "block"]
    tripped = [one["breaker"] for one in chain["breakers"] if one["is_tripped"]]
    yield "Filters", "; ".join(f"{one['filter']}: {one['reason']}" for one in blocking) or "none stood in the way"
    if tripped:
        yield "Breakers", ", ".join(tripped)
    signal = chain["signal"]
    at = f"{signal['bar_close_at']:%Y-%m-%d %H:%M}"
    yield (
        "Decision",
        f"{signal['signal_id']} {signal['suggestion']} / {signal['action']} at {at} under {signal['release_id']}",
    )
    yield "Why", "; ".join(signal["reasons"])


def _traded(chain: dict[str, Any]) -> Iterator[Line]:
    for one in chain["orders"]:
        lots = f"{one['volume_lots'].normalize():f}"
        states = " → ".join(state["state"] for state in chain["order_states"] if state["magic"] == one["magic"])
        yield "Order", f"{one['purpose']} {one['side']} {lots} lots: {states}, {one['reason']}; magic {one['magic']}"
    for one in chain["deals"]:
        lots = f"{one['volume_lots'].normalize():f}"
        yield (
            "Deal",
            f"{one['deal_ticket']} {one['kind']} {lots} at {one['price']} ({one['entry']}, {one['reason']}), "
            f"profit {one['profit']:.2f}",
        )
    if marks := chain["marks"]:
        yield "Marks", f"{len(marks)}, worst {marks[-1]['mae_r']:+.2f} R, best {marks[-1]['mfe_r']:+.2f} R"
    if (end := chain["outcome"]) is not None:
        minutes = f"{end['holding_s'] / 60:.0f} minutes"
        yield "Outcome", f"{end['exit_reason']} after {minutes}: {end['result_r']:+.2f} R, net {end['net_pnl']:.2f}"


def _learned(chain: dict[str, Any]) -> Iterator[Line]:
    for one in chain["labels"]:
        yield "Label", f"{one['kind']} {one['exit_profile']}: {one['barrier']}, {one['result_r']:+.2f} R"
    learning = chain["learning"]
    held = "; ".join(_versions(one) for one in learning["dataset_versions"]) or "none yet"
    yield "Dataset", f"{len(learning['dataset_rows'])} rows; versions {held}"
    yield "Models", _names(learning["models"], "model_version")
    yield from (_judged(one) for one in learning["promotions"])


def _versions(run: dict[str, Any]) -> str:
    if run["last"] is None:
        return f"{run['first']} to the newest"
    return f"{run['first']} to {run['last']}" if run["last"] != run["first"] else str(run["first"])


def _judged(one: dict[str, Any]) -> Line:
    release = f", release {one['release_id']} at blend {one['blend']:g}" if one["release_id"] else ""
    return (
        "Promotion",
        f"{one['model_version']} {one['verdict']} at {one['judged_at']:%Y-%m-%d %H:%M} ({one['action']}){release}",
    )


def _written(provenance: dict[str, Any]) -> Iterator[Line]:
    """Runs, each with the tables it wrote."""
    runs: dict[str, list[str]] = {}
    for table, written in provenance["written"].items():
        run = f"run {written['run_id']} of code {written['code_version']}" if "run_id" in written else ""
        told = run or f"at {written['written_at']:%Y-%m-%d %H:%M:%S}, by a run that is not told of yet"
        runs.setdefault(told, []).append(table)
    yield from (("Written by", f"{run}: {', '.join(tables)}") for run, tables in runs.items())


def _of_model(model: dict[str, Any]) -> Iterator[Line]:
    training, version = model["training"], model["dataset_version"]
    yield "Trained", f"{training['trained_at']:%Y-%m-%d %H:%M} on {training['row_count']} rows"
    hashed = f", sha256 {version['sha256'][:12]}, {version['row_count']} rows" if version else ", not recorded"
    yield "Dataset", f"version {training['dataset_version']}{hashed}"
    yield "Features", training["feature_set_version"]
    yield "Strategy", training["strategy_version"]
    yield from (_judged(one) for one in model["promotions"])
    for one in model["release_loads"]:
        verdict = "accepted" if one["is_accepted"] else "refused"
        yield (
            "In use",
            f"{one['release_id']} {verdict} by the daemon at {one['known_at']:%Y-%m-%d %H:%M}: {one['reason']}",
        )


def _names(rows: Iterable[dict[str, Any]], column: str) -> str:
    return ", ".join(str(row[column]) for row in rows) or "none yet"


def _equal(window: dict[str, Any] | None) -> str:
    if window is None:
        return "not compared yet"
    verdict = "equal to the batch side bit for bit" if window["is_equal"] else "DIFFERENT from the batch side"
    return f"{window['row_count']} rows, {verdict}"
