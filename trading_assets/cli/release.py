"""`trading release`: what may be in use, what is, and a person's word: promote a model, or go back.

A person's promotion is recorded as any other before the pointer moves; one against the judge's refusal needs `--force` and is
recorded as such. How judgements are carried out lives in `defs.judgements`, what a release is in `store.release`.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
import polars as pl
from rich.console import Console
from rich.table import Table

from trading_assets.cli.screen import show_table
from trading_assets.core.errors import InputError, StateError
from trading_assets.core.release import RULES_ONLY_ID, ReleaseManifest
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake
from trading_assets.store.release import current_id, load_release, read_manifest, released
from trading_assets.store.seals import sealing_lake


def releases(home: Home) -> dict[str, Any]:
    """Return every release, sound or not, and which is in use."""
    current = current_id(home.releases)
    return {
        "current": current or RULES_ONLY_ID,
        "releases": [_row(home, one, current) for one in released(home.releases)],
    }


def _row(home: Home, release_id: str, current: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {"release_id": release_id, "is_current": release_id == current, "problem": ""}
    try:
        manifest = read_manifest(home.releases, release_id)
    except StateError as error:
        return row | {"problem": str(error)}
    return row | {
        "model_version": manifest.model_version,
        "blend": manifest.blend,
        "created_at": manifest.created_at,
        "dataset_version": manifest.dataset_version,
        "parent_release_id": manifest.parent_release_id,
    }


def shown(home: Home, release_id: str | None) -> dict[str, Any]:
    """Return one release (the one in use when none is named) with every judgement on its model, the oldest first.

    Raises InputError for one there is none of.
    """
    named = release_id or current_id(home.releases) or RULES_ONLY_ID
    if named == RULES_ONLY_ID:
        return {"release_id": RULES_ONLY_ID, "is_current": current_id(home.releases) is None, "manifest": None,
                "problem": "", "judgements": _judgements(home, None)}  # fmt: skip
    manifest = _manifest(home, named)
    try:
        load_release(home.releases, named)
        problem = ""
    except StateError as error:
        problem = str(error)
    told = {
        name: getattr(manifest, name)
        for name in manifest.__struct_fields__
        if name not in ("normaliser", "calibration", "candidate_features")
    }
    return {"release_id": named, "is_current": named == current_id(home.releases), "manifest": told, "problem": problem,
            "judgements": _judgements(home, manifest.model_version)}  # fmt: skip


def _manifest(home: Home, release_id: str) -> ReleaseManifest:
    known = released(home.releases)
    if release_id not in known:
        raise InputError(
            "reading",
            f"release {release_id}",
            "there is no such release",
            f"use one of: {', '.join(known) or RULES_ONLY_ID}",
        )
    return read_manifest(home.releases, release_id)


def _judgements(home: Home, model_version: str | None) -> list[dict[str, Any]]:
    """Return the judgements on a model; without one, those that made the rules decide alone."""
    told = _lake(home).read("promotions").sort("judged_at")
    mine = pl.col("release_id") == RULES_ONLY_ID if model_version is None else pl.col("model_version") == model_version
    return told.filter(mine).drop("tenant", "account", "date").to_dicts()


def _lake(home: Home) -> Lake:
    lake = sealing_lake(home)
    lake.ensure_tables()
    return lake


def promote(home: Home, model_version: str, blend: float, reason: str, *, is_forced: bool) -> dict[str, Any]:
    """Put a trained model into use by a person's word. Raises InputError without a reason, or against a refusal without force."""
    _check_reason(reason)
    last = _lake(home).read("promotions").filter(
        (pl.col("model_version") == model_version) & (pl.col("trigger") != "person") & (pl.col("action") != "hold")
    ).sort("judged_at")  # fmt: skip
    is_refused = last.is_empty() or last["action"][-1] in ("demote", "step_back") or last["verdict"][-1] == "refused"
    if is_refused and not is_forced:
        why = last["reasons"][-1][0] if last.height else "It was never judged."
        raise InputError(
            "promoting",
            f"model {model_version}",
            f"the judge refused it: {why}".rstrip("."),
            "say --force to set that aside; it is recorded",
        )
    at = datetime.now(UTC)
    release_id = _release_of(home, model_version, blend, at)
    words = f"By a person: {reason}"
    return _carry_out(home, at, release_id, model_version, blend, "judge", (words,), is_forced=is_forced and is_refused)


def _release_of(home: Home, model_version: str, blend: float, at: datetime) -> str:
    """Write the release from what its training left, or from another release of the same model."""
    from trading_assets.defs.judgements import at_blend
    from trading_assets.defs.learning import TRAINED, Trained
    from trading_assets.defs.promotion import draft_of

    path = home.models / model_version / TRAINED
    if path.is_file():
        return draft_of(home, msgspec.json.decode(path.read_bytes(), type=Trained), blend, at)
    for other in released(home.releases):
        with suppress(StateError):  # one that is no release says nothing of this model
            if read_manifest(home.releases, other).model_version == model_version:
                return at_blend(home, other, blend, at)
    known = sorted(path.name for path in home.models.glob("meta-*"))
    raise InputError(
        "releasing",
        f"model {model_version}",
        "it was never trained here",
        f"use one of: {', '.join(known) or 'none yet'}",
    )


def roll_back(home: Home, release_id: str | None, reason: str) -> dict[str, Any]:
    """Go back to a release, or to the one before the present. Raises InputError when there is none to go back to."""
    _check_reason(reason)
    current = current_id(home.releases)
    if current is None and release_id is None:
        raise InputError("rolling back", "the release", "the rules decide alone already", "name one with --to")
    target = release_id or _before(home)
    at = datetime.now(UTC)
    if target == RULES_ONLY_ID:
        known = None if current is None else _manifest(home, current)
        version = "none" if known is None else known.model_version
        return _carry_out(home, at, target, version, 0.0, "rollback", (f"By a person: {reason}",), is_forced=False)
    manifest = _manifest(home, target)
    load_release(home.releases, target)
    return _carry_out(
        home,
        at,
        target,
        manifest.model_version,
        manifest.blend,
        "rollback",
        (f"By a person: {reason}",),
        is_forced=False,
    )


def _before(home: Home) -> str:
    """Return what was in use before the last judgement that changed it."""
    moved = _lake(home).read("promotions").filter(pl.col("release_id").is_not_null()).sort("judged_at")
    return RULES_ONLY_ID if moved.is_empty() else moved["from_release_id"][-1] or RULES_ONLY_ID


def _carry_out(
    home: Home, at: datetime, release_id: str, model_version: str, blend: float, action: str, reasons: tuple[str, ...],
    *, is_forced: bool,
) -> dict[str, Any]:  # fmt: skip
    from trading_assets.defs.judgements import judged, point_at_last, record
    from trading_assets.store.policy import read_policy

    lake = _lake(home)
    dataset_version = 0 if release_id == RULES_ONLY_ID else read_manifest(home.releases, release_id).dataset_version
    told = record(home, lake, at, judged(
        at, model_version=model_version, dataset_version=dataset_version,
        verdict="refused" if release_id == RULES_ONLY_ID else "promoted", release_id=release_id, blend=blend, reasons=reasons,
        action=action, trigger="person", is_forced=is_forced, policy_version=read_policy(home).version,
    ))  # fmt: skip
    point_at_last(home, lake)
    return {"release_id": release_id, "model_version": model_version, "blend": blend, "before": told.from_release_id or RULES_ONLY_ID,
            "is_forced": is_forced, "reason": reasons[0]}  # fmt: skip


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise InputError("recording", "the reason", "it is empty", "say why with --reason; it stands in the journal")


def releases_report(result: dict[str, Any]) -> None:
    """Print the releases as a table."""
    table = Table("", "release", "model", "blend", "made", "dataset", "made from")
    for one in result["releases"]:
        mark = "in use" if one["is_current"] else ""
        if one["problem"]:
            table.add_row(mark or "unusable", one["release_id"], "", "", "", "", "")
            continue
        table.add_row(mark, one["release_id"], one["model_version"], f"{one['blend']:.0%}", f"{one['created_at']:%Y-%m-%d %H:%M}",
                      str(one["dataset_version"]), one["parent_release_id"] or RULES_ONLY_ID)  # fmt: skip
    show_table(table)
    console = Console(soft_wrap=True)
    for one in result["releases"]:
        if one["problem"]:
            console.print(f"[red]{one['release_id']}: {one['problem']}")
    if result["current"] == RULES_ONLY_ID:
        console.print("The rules decide alone.")


def release_report(result: dict[str, Any]) -> None:
    """Print one release and the judgements on its model."""
    console = Console(soft_wrap=True)
    console.print(f"{result['release_id']}{', in use' if result['is_current'] else ''}")
    for name, value in (result["manifest"] or {}).items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for number, (key, one) in enumerate(inner):
            said = f"{one:%Y-%m-%d %H:%M} UTC" if isinstance(one, datetime) else str(one)
            click.echo(f"  {name if not number else '':<22} {f'{key}  ' if key else ''}{said}")
    console.print(f"  [red]{result['problem']}" if result["problem"] else "  It verifies and loads.")
    for one in result["judgements"]:
        forced = ", by force" if one["is_forced"] else ""
        console.print(
            f"{one['judged_at']:%Y-%m-%d %H:%M}  {one['action']} ({one['trigger']}{forced}): {one['verdict']}, {one['release_id'] or 'nothing changed'}"
        )
        for reason in one["reasons"]:
            console.print(f"    · {reason}")


def moved_report(result: dict[str, Any]) -> None:
    """Say what is in use now."""
    forced = " The judge's refusal was set aside; that is recorded." if result["is_forced"] else ""
    Console().print(f"{result['release_id']} is in use from the next bar on; before: {result['before']}.{forced}")
