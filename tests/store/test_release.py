"""Releases at rest: whole or absent, never changed, and refused when a byte is off."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import pytest

from trading_assets.core.errors import StateError
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.features.normaliser import IDENTITY
from trading_assets.core.learning.meta_model import MODEL_FILE, MetaModel, TrainingParams, train_on
from trading_assets.core.release import ReleaseManifest
from trading_assets.store.release import (
    MANIFEST,
    MANIFEST_HASH,
    POINTER,
    current_id,
    load_release,
    read_manifest,
    set_current,
    write_release,
)

FEATURES = FEATURE_SETS["intraday"]
NAMES = ("spread_bp", "consensus", "cost_r")


@pytest.fixture(scope="module")
def model() -> MetaModel:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(400, 3)).astype(np.float32)
    return train_on(matrix, rng.random(400) < 0.4, NAMES, TrainingParams(trees=5, leaves=4, rows_per_leaf=20))


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    return tmp_path / "releases"


def manifest_of(model: MetaModel, release_id: str = "r-1", **changes: object) -> ReleaseManifest:
    manifest = ReleaseManifest(
        release_id=release_id,
        created_at=datetime(2024, 3, 4, 2, tzinfo=UTC),
        model_version=model.version,
        feature_set_version=FEATURES.version,
        strategy_version="intraday-1",
        candidate_features=model.feature_names,
        blend=0.1,
        normaliser=IDENTITY(FEATURES.names),
        calibration=model.calibration,
        dataset_version=3,
        dataset_sha256="ab" * 32,
        files={},
        parent_release_id=None,
    )
    return msgspec.structs.replace(manifest, **changes)


def written(releases: Path, model: MetaModel, release_id: str = "r-1", **changes: object) -> Path:
    return write_release(releases, manifest_of(model, release_id, **changes), {MODEL_FILE: model.to_bytes()})


def sealed(folder: Path, content: bytes) -> None:
    """Put another manifest in place, with its hash, as someone who knows the format would."""
    (folder / MANIFEST).write_bytes(content)
    (folder / MANIFEST_HASH).write_text(sha256(content).hexdigest())


def test_a_release_loads_as_it_was_written(releases: Path, model: MetaModel) -> None:
    written(releases, model)
    loaded = load_release(releases, "r-1", feature_set=FEATURES, candidate_features=NAMES)
    assert (loaded.release_id, loaded.blend, loaded.model_version) == ("r-1", 0.1, model.version)
    assert loaded.manifest is not None
    assert loaded.manifest.files == {MODEL_FILE: sha256(model.to_bytes()).hexdigest()}
    rows = np.random.default_rng(2).normal(size=(6, 3))
    assert loaded.model is not None
    assert np.array_equal(loaded.model.win_probability(rows), model.win_probability(rows))


def test_the_pointer_names_the_release_in_use(releases: Path, model: MetaModel) -> None:
    assert current_id(releases) is None
    written(releases, model)
    assert current_id(releases) is None
    set_current(releases, "r-1")
    written(releases, model, "r-2")
    assert current_id(releases) == "r-1"
    set_current(releases, "r-2")
    assert current_id(releases) == "r-2"
    assert (releases / POINTER).read_bytes() == b"r-2\n"


def test_nothing_but_releases_and_the_pointer_is_left_behind(releases: Path, model: MetaModel) -> None:
    written(releases, model)
    set_current(releases, "r-1")
    assert sorted(path.name for path in releases.iterdir()) == [POINTER, "r-1"]
    assert sorted(path.name for path in (releases / "r-1").iterdir()) == sorted([MANIFEST, MANIFEST_HASH, MODEL_FILE])


def test_writing_the_same_release_again_changes_nothing_and_other_content_is_refused(
    releases: Path, model: MetaModel
) -> None:
    folder = written(releases, model)
    before = (folder / MANIFEST).stat().st_mtime_ns
    assert written(releases, model) == folder
    assert (folder / MANIFEST).stat().st_mtime_ns == before
    with pytest.raises(StateError, match="releases never change"):
        written(releases, model, blend=0.3)
    assert load_release(releases, "r-1").blend == 0.1


@pytest.mark.parametrize("name", [MODEL_FILE, MANIFEST, MANIFEST_HASH])
def test_a_flipped_byte_in_any_file_is_refused(releases: Path, model: MetaModel, name: str) -> None:
    path = written(releases, model) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(StateError, match="sha256") as caught:
        load_release(releases, "r-1")
    assert str(caught.value).count("\n") == 0
    with pytest.raises(StateError):
        set_current(releases, "r-1")
    assert current_id(releases) is None


@pytest.mark.parametrize("name", [MODEL_FILE, MANIFEST, MANIFEST_HASH])
def test_a_missing_file_is_refused(releases: Path, model: MetaModel, name: str) -> None:
    (written(releases, model) / name).unlink()
    with pytest.raises(StateError, match="cannot be read"):
        load_release(releases, "r-1")


def test_a_release_that_does_not_exist_is_refused(releases: Path) -> None:
    with pytest.raises(StateError, match=r"^loading .*r-9: the release does not exist; .*\.$"):
        load_release(releases, "r-9")


def test_another_feature_set_is_refused(releases: Path, model: MetaModel) -> None:
    written(releases, model, feature_set_version="older-1")
    assert load_release(releases, "r-1").manifest is not None
    with pytest.raises(StateError, match="was trained on feature set older-1"):
        load_release(releases, "r-1", feature_set=FEATURES, candidate_features=NAMES)


def test_other_candidate_features_are_refused(releases: Path, model: MetaModel) -> None:
    written(releases, model)
    with pytest.raises(StateError, match="other candidate features"):
        load_release(releases, "r-1", feature_set=FEATURES, candidate_features=(*NAMES, "held_side"))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"model_version": "meta-other"}, "model version"),
        ({"candidate_features": ("a", "b", "c")}, "candidate features"),
        ({"calibration": {"raw": (0.0,), "calibrated": (0.5,)}}, "calibration"),
    ],
)
def test_a_manifest_that_speaks_of_another_model_is_refused(
    releases: Path, model: MetaModel, changes: dict[str, object], what: str
) -> None:
    if "calibration" in changes:
        changes = {"calibration": msgspec.convert(changes["calibration"], type(model.calibration))}
    written(releases, model, **changes)
    with pytest.raises(StateError, match=f"differ in {what}"):
        load_release(releases, "r-1")


def test_a_manifest_that_is_none_is_refused(releases: Path, model: MetaModel) -> None:
    sealed(written(releases, model), b'{"release_id": "r-1"}')
    with pytest.raises(StateError, match="not a manifest of this software"):
        load_release(releases, "r-1")


def test_a_manifest_of_another_release_is_refused(releases: Path, model: MetaModel) -> None:
    other = (written(releases, model, "r-2") / MANIFEST).read_bytes()
    sealed(written(releases, model), other)
    with pytest.raises(StateError, match="its manifest names r-2"):
        load_release(releases, "r-1")


def test_a_release_without_a_model_is_refused(releases: Path, model: MetaModel) -> None:
    write_release(releases, manifest_of(model), {"notes.txt": b"nothing"})
    with pytest.raises(StateError, match=r"holds no meta_model\.json"):
        load_release(releases, "r-1")


@pytest.mark.parametrize("content", [b"../elsewhere\n", b"\n", b".hidden", b"\xff\xfe", b"r-1\nr-2"])
def test_a_spoilt_pointer_is_refused(releases: Path, content: bytes) -> None:
    releases.mkdir()
    (releases / POINTER).write_bytes(content)
    with pytest.raises(StateError):
        current_id(releases)


def test_names_that_leave_the_folder_are_refused(releases: Path, model: MetaModel) -> None:
    with pytest.raises(StateError, match="not a plain file name"):
        written(releases, model, "../r-1")
    with pytest.raises(StateError, match="not a plain file name"):
        write_release(releases, manifest_of(model), {"../model": b""})
    folder = written(releases, model)
    spoilt = (folder / MANIFEST).read_bytes().replace(MODEL_FILE.encode(), b"../CURRENT")
    sealed(folder, spoilt)
    with pytest.raises(StateError, match="not a plain file name"):
        load_release(releases, "r-1")


def test_a_draft_left_by_a_dead_process_does_not_stand_in_the_way(releases: Path, model: MetaModel) -> None:
    draft = releases / f".r-1.{os.getpid()}.draft"
    draft.mkdir(parents=True)
    (draft / MODEL_FILE).write_bytes(b"torn")
    written(releases, model)
    assert read_manifest(releases, "r-1").release_id == "r-1"


WRITER = """
import sys
from pathlib import Path
import msgspec
from trading_assets.core.release import ReleaseManifest
from trading_assets.store.release import set_current, write_release
releases, content = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
manifest = msgspec.json.decode(Path(sys.argv[3]).read_bytes(), type=ReleaseManifest)
for number in range(100_000):
    named = msgspec.structs.replace(manifest, release_id=f"r-{number}")
    write_release(releases, named, {"meta_model.json": content})
    set_current(releases, named.release_id)
    print(number, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_whole_releases_only(
    releases: Path, model: MetaModel, tmp_path: Path
) -> None:
    (tmp_path / "model").write_bytes(model.to_bytes())
    (tmp_path / "manifest").write_bytes(msgspec.json.encode(manifest_of(model)))
    command = [sys.executable, "-c", WRITER, str(releases), str(tmp_path / "model"), str(tmp_path / "manifest")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(5):
            assert process.stdout.readline()
        process.kill()
    named = current_id(releases)
    assert named is not None
    assert load_release(releases, named).model is not None
    whole = [path.name for path in releases.iterdir() if path.is_dir() and not path.name.startswith(".")]
    assert len(whole) >= 5
    for release_id in whole:
        assert read_manifest(releases, release_id).release_id == release_id
