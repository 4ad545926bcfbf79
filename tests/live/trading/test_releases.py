"""Releases in use: swapped between bars in a running daemon, refused when they do not verify."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scripted_terminal import START, DaemonProcess, RunningDaemon, ScriptedTerminal, daemon_at, records, terminal_at
from test_disk import Disk

from trading_assets.core.decisions.scoring import candidate_feature_names
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.features.normaliser import fit
from trading_assets.core.learning.meta_model import MODEL_FILE, MetaModel, TrainingParams, train_on
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.trading import ReleaseLoad
from trading_assets.core.release import ReleaseManifest
from trading_assets.store.release import (
    MANIFEST,
    MANIFEST_HASH,
    POINTER,
    PROBE_FILE,
    model_files,
    set_current,
    write_release,
)

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
    write_release(home / "releases", msgspec.structs.replace(manifest, **changes), model_files(model))
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


# --- broken artefacts ---------------------------------------------------------------------------------------------------


def torn(folder: Path) -> None:
    """Cut the model's file in half, as a copy that was interrupted leaves it."""
    content = (folder / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).write_bytes(content[: len(content) // 2])


def missing(folder: Path) -> None:
    (folder / MODEL_FILE).unlink()


def sealed_again(folder: Path, name: str, content: bytes) -> None:
    """Replace a file and mend every hash, as only somebody who knows the format would."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["files"][name] = sha256(content).hexdigest()
    encoded = json.dumps(manifest).encode()
    (folder / MANIFEST).write_bytes(encoded)
    (folder / MANIFEST_HASH).write_text(sha256(encoded).hexdigest())


def unloadable(folder: Path) -> None:
    sealed_again(folder, MODEL_FILE, b'{"format": 1}')


def other_scores(folder: Path) -> None:
    """Leave a model that verifies and loads, and scores its probe differently than it did."""
    probe = json.loads((folder / PROBE_FILE).read_bytes())
    probe["probability"][3] = (0.5).hex()
    sealed_again(folder, PROBE_FILE, json.dumps(probe).encode())


def no_probe_at_all(folder: Path) -> None:
    sealed_again(folder, PROBE_FILE, b'{"rows": [["zz"]], "probability": []}')


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (torn, "does not match the sha256"),
        (missing, "cannot be read"),
        (unloadable, "meta-model"),
        (other_scores, "scores 1 of 16 probe rows differently"),
        (no_probe_at_all, "not a probe of this model"),
    ],
)
async def test_a_broken_artefact_never_reaches_a_decision_and_the_one_before_stays_in_memory(
    daemon: RunningDaemon, terminal: ScriptedTerminal, home: Path, model: MetaModel,
    spoil: Callable[[Path], None], sentence: str,
) -> None:  # fmt: skip
    await terminal.settle(START)
    release(home, model, "r-1")
    await terminal.step()
    release(home, model, "r-2", blend=0.1)
    spoil(home / "releases" / "r-2")
    # Even the files of the one in use may go: it is in memory.
    shutil.rmtree(home / "releases" / "r-1")
    await terminal.step()
    assert [decision.versions.release for decision in records(home, Decision)] == ["r-1", "r-1"]
    refused = records(home, ReleaseLoad)[-1]
    assert (refused.release_id, refused.is_accepted) == ("r-2", False)
    assert sentence in refused.reason
    assert "r-1 stays in use" in refused.reason
    assert daemon.port


async def test_the_rules_alone_are_named_like_a_release_and_swapped_in(
    daemon: RunningDaemon, terminal: ScriptedTerminal, home: Path, model: MetaModel
) -> None:
    await terminal.settle(START)
    release(home, model, "r-1")
    await terminal.step()
    set_current(home / "releases", "rules-only")
    await terminal.step()
    assert [decision.versions.release for decision in records(home, Decision)] == ["r-1", "rules-only"]
    assert records(home, ReleaseLoad)[-1].is_accepted
    assert daemon.port


async def test_a_daemon_process_swaps_between_bars_and_refuses_a_torn_release(
    home: Path, start_process: Callable[[Path], DaemonProcess], model: MetaModel
) -> None:
    started = start_process(home)
    async with terminal_at(started.port) as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        release(home, model, "r-1")
        await terminal.step()
        release(home, model, "r-2")
        torn(home / "releases" / "r-2")
        await terminal.step()
    started.kill()
    assert [decision.versions.release for decision in records(home, Decision)] == ["rules-only", "r-1", "r-1"]
    assert [(load.release_id, load.is_accepted) for load in records(home, ReleaseLoad)] == [
        ("rules-only", True), ("r-1", True), ("r-2", False),
    ]  # fmt: skip


async def test_while_the_disk_fails_a_release_decides_nothing_and_comes_into_use_once_it_is_on_record(
    home: Path, model: MetaModel
) -> None:
    disk = Disk()
    async with daemon_at(home, sync=disk.sync) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        slot = daemon.desk().account.release
        disk.is_failing = True
        release(home, model, "r-1")
        await slot.follow()
        await slot.follow()
        assert (slot.current.release_id, slot.accepted) == ("rules-only", 1 + 1)
        disk.is_failing = False
        await terminal.step()
        assert slot.current.release_id == "r-1"
    assert [load.release_id for load in records(home, ReleaseLoad)] == ["rules-only", "r-1"]
    assert [decision.versions.release for decision in records(home, Decision)] == ["r-1"]
