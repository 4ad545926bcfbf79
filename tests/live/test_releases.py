"""Releases in use: swapped between bars in a running daemon, refused when they do not verify."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scripted_terminal import START, RunningDaemon, ScriptedTerminal, daemon_at, records

from trading_assets.core.decisions.scoring import candidate_feature_names
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.features.normaliser import fit
from trading_assets.core.learning.meta_model import MODEL_FILE, MetaModel, TrainingParams, train_on
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.trading import ReleaseLoad
from trading_assets.core.release import ReleaseManifest
from trading_assets.store.release import POINTER, set_current, write_release

FEATURES = FEATURE_SETS["intraday"]


@pytest.fixture(scope="module")
def model() -> MetaModel:
    names = candidate_feature_names(FEATURES)
    chance = np.random.default_rng(5)
    matrix = chance.normal(size=(400, len(names))).astype(np.float32)
    return train_on(matrix, chance.random(400) < 0.5, names, TrainingParams(trees=5, leaves=4, rows_per_leaf=20))


def release(home: Path, model: MetaModel, release_id: str, **changes: Any) -> None:
    """Write a release and point CURRENT at it."""
    rows = np.random.default_rng(6).normal(size=(50, len(FEATURES.names)))
    manifest = ReleaseManifest(
        release_id=release_id,
        created_at=datetime(2024, 1, 8, tzinfo=UTC),
        model_version=model.version,
        feature_set_version=FEATURES.version,
        strategy_version="intraday-1",
        candidate_features=model.feature_names,
        blend=0.3,
        normaliser=fit(rows, FEATURES.names),
        calibration=model.calibration,
        dataset_version=1,
        dataset_sha256="ab" * 32,
        files={},
        parent_release_id=None,
    )
    write_release(home / "releases", msgspec.structs.replace(manifest, **changes), {MODEL_FILE: model.to_bytes()})
    set_current(home / "releases", release_id)


async def test_a_release_is_swapped_in_between_two_bars_of_a_running_daemon(
    daemon: RunningDaemon, terminal: ScriptedTerminal, home: Path, model: MetaModel
) -> None:
    await terminal.settle(START)
    await terminal.step()
    release(home, model, "r-1")
    await terminal.step()
    before, after = records(home, Decision)
    assert (before.versions.release, before.versions.model, before.blend) == ("rules-only", None, 0.0)
    assert (after.versions.release, after.versions.model, after.blend) == ("r-1", model.version, 0.3)
    assert all(one.win_probability is not None for one in after.candidates if one.kind in ("LONG", "SHORT"))
    assert after.features != after.features_normalised
    assert after.feature_window.sha256_raw != after.feature_window.sha256_normalised
    loads = [(load.release_id, load.is_accepted) for load in records(home, ReleaseLoad)]
    assert loads == [("rules-only", True), ("r-1", True)]
    assert (await daemon.status())["accounts"]["paper"]["release_id"] == "r-1"


async def test_a_release_with_a_spoilt_file_is_refused_and_the_one_before_stays(
    daemon: RunningDaemon, terminal: ScriptedTerminal, home: Path, model: MetaModel
) -> None:
    await terminal.settle(START)
    release(home, model, "r-1")
    await terminal.step()
    release(home, model, "r-2")
    path = home / "releases" / "r-2" / MODEL_FILE
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    await terminal.step()
    assert [decision.versions.release for decision in records(home, Decision)] == ["r-1", "r-1"]
    refused = records(home, ReleaseLoad)[-1]
    assert (refused.release_id, refused.is_accepted) == ("r-2", False)
    assert "sha256" in refused.reason
    assert "r-1 stays in use" in refused.reason
    assert daemon.port


async def test_a_release_of_another_feature_set_is_refused_and_the_rules_decide(home: Path, model: MetaModel) -> None:
    release(home, model, "r-1", feature_set_version="intraday-0000")
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
    assert records(home, Decision)[0].versions.release == "rules-only"
    refused = records(home, ReleaseLoad)[0]
    assert not refused.is_accepted
    assert "intraday-0000" in refused.reason


async def test_a_spoilt_pointer_is_refused(daemon: RunningDaemon, terminal: ScriptedTerminal, home: Path) -> None:
    await terminal.settle(START)
    (home / "releases").mkdir(exist_ok=True)
    (home / "releases" / POINTER).write_text("../elsewhere\n")
    await terminal.step()
    refused = records(home, ReleaseLoad)[-1]
    assert (refused.release_id, refused.is_accepted) == ("unreadable", False)
    assert daemon.port
