"""Judgements carried out: recorded in the journal, kept in the table, and only then the pointer moves (invariant 1).

Whoever judges (the training, the rollout, a person) comes through here. What is judged and how lives in `core.learning`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import polars as pl

from trading_assets.core import ids
from trading_assets.core.errors import InputError
from trading_assets.core.learning.meta_model import MODEL_FILE, MetaModel
from trading_assets.core.records.operations import Promotion
from trading_assets.core.release import RULES_ONLY_ID, ReleaseManifest
from trading_assets.defs.ops import OPS_ACCOUNT, OPS_TENANT, write_ops
from trading_assets.defs.table_asset import conform
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake
from trading_assets.store.release import current_id, model_files, read_manifest, set_current, write_release


def record(home: Home, lake: Lake, at: datetime, judgement: Promotion) -> Promotion:
    """Record a judgement in the journal, then in the table; durable when this returns. Returns it as recorded.

    Its envelope and what was in use before are filled in here.
    """
    current = current_id(home.releases)
    told = msgspec.structs.replace(
        judgement,
        event_at=at,
        known_at=at,
        chain_id=ids.ulid(at, "promotion", judgement.model_version),
        from_release_id=current,
        from_blend=None if current is None else read_manifest(home.releases, current).blend,
    )
    write_ops(home, [told])
    row = pl.DataFrame(
        {"judged_at": [at], "reasons": [list(told.reasons)]},
        schema={"judged_at": pl.Datetime("us", "UTC"), "reasons": pl.List(pl.String)},
    )
    payload = {name: getattr(told, name) for name in told.__struct_fields__ if name not in _ENVELOPE}
    lake.append(
        "promotions", conform("promotions", row, tenant=OPS_TENANT, account=OPS_ACCOUNT, date=at.date(), **payload)
    )
    return told


_ENVELOPE = {"tenant", "account", "event_at", "known_at", "chain_id", "reasons"}


def judged(at: datetime, **fields: object) -> Promotion:
    """Return a judgement of this half, not yet recorded."""
    return Promotion(
        tenant=OPS_TENANT, account=OPS_ACCOUNT, event_at=at, known_at=at, chain_id="", **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def point_at_last(home: Home, lake: Lake) -> dict[str, Any] | None:
    """Point CURRENT at what the last judgement that changed anything named, and return that judgement; None before the first.

    Doing it twice is doing it once: a process that died between record and pointer is made good here.
    """
    moved = lake.read("promotions").filter(pl.col("release_id").is_not_null()).sort("judged_at")
    if moved.is_empty():
        return None
    last = moved.row(-1, named=True)
    wanted = str(last["release_id"])
    if (current_id(home.releases) or RULES_ONLY_ID) != wanted:
        set_current(home.releases, wanted)
    return last


def draft(home: Home, manifest: ReleaseManifest) -> str:
    """Write the release of a manifest whose model is kept, not yet in use; return its id. One that is there already stays."""
    if not (home.releases / manifest.release_id).exists():
        content = kept_model(home, manifest.model_version)
        write_release(home.releases, manifest, model_files(MetaModel.from_bytes(content)))
    return manifest.release_id


def kept_model(home: Home, model_version: str) -> bytes:
    """Return a model's file: from the trained ones, else from a release. Raises InputError for an unknown one."""
    for folder in (home.models / model_version, *sorted(home.releases.glob(f"{model_version}-*"))):
        if (folder / MODEL_FILE).is_file():
            return (folder / MODEL_FILE).read_bytes()
    known = sorted(path.name for path in home.models.glob("meta-*"))
    raise InputError(
        "releasing",
        f"model {model_version}",
        "it was never trained here",
        f"use one of: {', '.join(known) or 'none yet'}",
    )


def release_name(model_version: str, blend: float) -> str:
    """Return the id of a model's release at a blend."""
    return f"{model_version}-blend-{blend * 100:g}".replace(".", "_")


def at_blend(home: Home, release_id: str, blend: float, at: datetime) -> str:
    """Write the same model at another blend as a release of its own; return its id."""
    manifest = read_manifest(home.releases, release_id)
    named = release_name(manifest.model_version, blend)
    return draft(
        home,
        msgspec.structs.replace(
            manifest, release_id=named, blend=blend, created_at=at, files={}, parent_release_id=release_id
        ),
    )
