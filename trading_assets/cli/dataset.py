"""`trading dataset` and `trading predict`: the versions of the learning dataset, and scores by any trained model.

What a version is lives in `store.dataset_versions`, what a score is in `store.scores`; here are the answers and how a person
reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from trading_assets.cli.screen import show_table
from trading_assets.core.errors import InputError
from trading_assets.store.dataset_versions import difference, resume, rollback, summaries
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake
from trading_assets.store.scores import predict_batch
from trading_assets.store.seals import sealing_lake

SHOWN = 20
"""Keys of a difference that a person is shown; JSON holds them all."""


def versions(home: Home) -> dict[str, Any]:
    """Return every version of the dataset."""
    return {"versions": summaries(Lake(home.lake))}


def diff(home: Home, earlier: int, later: int) -> dict[str, Any]:
    """Return the keys of the rows two versions do not share."""
    found = difference(Lake(home.lake), earlier, later)
    return {
        "earlier": earlier,
        "later": later,
        "added": _keys(found.added),
        "removed": _keys(found.removed),
        "changed": _keys(found.changed),
    }


def rolled_back(home: Home, version: int) -> dict[str, Any]:
    """Go back to a version; return the new one."""
    made = rollback(sealing_lake(home), version)
    return {"version": made.version, "restored_version": version, "rows": made.rows, "sha256": made.sha256}


def resumed(home: Home) -> dict[str, Any]:
    """Let rows enter again; return the version that says so."""
    made = resume(sealing_lake(home))
    return {"version": made.version, "rows": made.rows, "sha256": made.sha256}


def predicted(home: Home, model_version: str, signals: Sequence[str]) -> dict[str, Any]:
    """Return the scores of the signals' candidates. Raises InputError when none is named, with the latest there are."""
    if not signals:
        latest = ", ".join(_latest_signals(home)) or "none is ingested yet"
        raise InputError(
            "scoring with",
            f"model {model_version}",
            "no decision is named",
            f"name one with --signal; the latest: {latest}",
        )
    scores = predict_batch(home, model_version, signals)
    return {"model_version": model_version, "scores": scores.to_dicts()}


def _latest_signals(home: Home) -> list[str]:
    """Return the ids of the latest decisions that had candidates with prices."""
    lake = Lake(home.lake)
    dates = lake.dates("candidates") if home.lake.is_dir() else []
    rows = lake.read("candidates", dates=dates[-1:], columns=("signal_id", "kind")) if dates else pl.DataFrame()
    priced = rows.filter(pl.col("kind").is_in(["LONG", "SHORT"])) if rows.height else rows
    return sorted(set(priced["signal_id"]))[-3:] if priced.height else []


def _keys(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return rows.to_dicts()


def versions_report(result: dict[str, Any]) -> None:
    """Print the versions as a table."""
    table = Table("version", "made by", "committed", "rows", "days", "sha256", "models trained on it")
    for one in result["versions"]:
        origin = f"rollback to {one['restored_version']}" if one["operation"] == "rollback" else one["operation"]
        table.add_row(
            str(one["version"]), origin, f"{one['committed_at']:%Y-%m-%d %H:%M}", str(one["rows"]), str(one["days"]),
            one["sha256"][:12], ", ".join(one["models"]),
        )  # fmt: skip
    show_table(table)


def diff_report(result: dict[str, Any]) -> None:
    """Print how many rows differ, and the first of them."""
    console = Console()
    for what in ("added", "removed", "changed"):
        rows = result[what]
        console.print(f"{len(rows)} rows {what} from version {result['earlier']} to {result['later']}")
        for row in rows[:SHOWN]:
            console.print(
                f"  {row['date']}  {row['tenant']}/{row['account']}  {row['idea_id']}  {row['labels_version']}"
            )
        if len(rows) > SHOWN:
            console.print(f"  … and {len(rows) - SHOWN} more; --json lists them all")


def rollback_report(result: dict[str, Any]) -> None:
    """Say what was made."""
    Console().print(
        f"Version {result['version']} now holds what version {result['restored_version']} held: {result['rows']} rows, "
        f"sha256 {result['sha256'][:12]}. Every version before it is still there. "
        "No row enters it, by job or self-check, until `trading dataset resume`."
    )


def resume_report(result: dict[str, Any]) -> None:
    """Say what happens now."""
    Console().print(
        f"The dataset grows again from version {result['version']}, {result['rows']} rows: the next hourly job adds what it "
        "lacks; trading materialise dataset does it now."
    )


def prediction_report(result: dict[str, Any]) -> None:
    """Print the scores as a table."""
    table = Table("signal", "candidate", "kind", "exit profile", "win probability", "recorded live", "by this model")
    for one in result["scores"]:
        live = "" if one["recorded_probability"] is None else f"{one['recorded_probability']:.4f}"
        table.add_row(
            one["signal_id"], one["idea_id"], one["kind"], one["exit_profile"], f"{one['win_probability']:.4f}", live,
            "yes" if one["recorded_model_version"] == result["model_version"] else "",
        )  # fmt: skip
    show_table(table)
