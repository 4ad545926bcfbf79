"""Releases at rest: one immutable folder each, and the CURRENT pointer.

    releases/CURRENT                     release id and a newline, replaced atomically
    releases/<release_id>/manifest.json  what it is, with the sha256 of every file below
    releases/<release_id>/manifest.sha256
    releases/<release_id>/<files>        the model

A folder appears whole or not at all: written under a temporary name, synced, renamed, the parent synced. What a
release means is `core.release`; who may make one is `core.learning.promotion`.
"""

from __future__ import annotations

import os
import re
import shutil
from hashlib import sha256
from pathlib import Path

import msgspec

from trading_assets.core.errors import StateError
from trading_assets.core.features.feature_set import FeatureSet
from trading_assets.core.learning.meta_model import MODEL_FILE, MetaModel
from trading_assets.core.release import Release, ReleaseManifest
from trading_assets.store.files import replace_atomically, sync_folder

POINTER = "CURRENT"
MANIFEST = "manifest.json"
MANIFEST_HASH = "manifest.sha256"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_AGAIN = "make the release again from the registry, or point CURRENT at another one"


def write_release(releases: Path, manifest: ReleaseManifest, files: dict[str, bytes]) -> Path:
    """Write a release and return its folder. The manifest's file hashes are taken from `files`.

    Writing the same release again changes nothing; other content under a known id is refused with StateError.
    """
    _check_names(manifest.release_id, *files)
    hashed = msgspec.structs.replace(manifest, files={name: _hash(content) for name, content in files.items()})
    encoded = msgspec.json.format(msgspec.json.encode(hashed), indent=2)
    folder = releases / manifest.release_id
    if folder.exists():
        if _read(folder, MANIFEST) == encoded:
            return folder
        raise StateError(
            "writing", folder, "this release exists with other content", "releases never change; use a new release id"
        )
    releases.mkdir(parents=True, exist_ok=True)
    draft = releases / f".{manifest.release_id}.{os.getpid()}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    contents = files | {MANIFEST: encoded, MANIFEST_HASH: f"{_hash(encoded)}\n".encode()}
    for name, content in contents.items():
        _write_synced(draft / name, content)
    sync_folder(draft)
    draft.rename(folder)
    sync_folder(releases)
    return folder


def set_current(releases: Path, release_id: str) -> None:
    """Point CURRENT at a release, atomically, after verifying it. Raises StateError for one that does not verify."""
    read_manifest(releases, release_id)
    replace_atomically(releases / POINTER, f"{release_id}\n".encode())


def current_id(releases: Path) -> str | None:
    """Return the release CURRENT points at; None before the first one. Raises StateError for a spoilt pointer."""
    try:
        text = (releases / POINTER).read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as fault:
        raise StateError("reading", releases / POINTER, f"it cannot be read ({fault})", _AGAIN) from fault
    _check_names(text)
    return text


def read_manifest(releases: Path, release_id: str) -> ReleaseManifest:
    """Return a release's manifest once the manifest and every file match their sha256. Raises StateError otherwise."""
    return _verified(releases, release_id)[0]


def load_release(
    releases: Path,
    release_id: str,
    *,
    feature_set: FeatureSet | None = None,
    candidate_features: tuple[str, ...] | None = None,
) -> Release:
    """Verify and load a release; with `feature_set` also refuse one trained on another. Raises StateError (invariant 9)."""
    manifest, contents = _verified(releases, release_id)
    if MODEL_FILE not in contents:
        raise StateError("loading", releases / release_id, f"it holds no {MODEL_FILE}", _AGAIN)
    model = MetaModel.from_bytes(contents[MODEL_FILE])
    agreement = {
        "model version": (manifest.model_version, model.version),
        "candidate features": (manifest.candidate_features, model.feature_names),
        "calibration": (manifest.calibration, model.calibration),
    }
    for what, (stated, held) in agreement.items():
        if stated != held:
            raise StateError("loading", releases / release_id, f"manifest and model differ in {what}", _AGAIN)
    release = Release(manifest, model)
    if feature_set is not None:
        mismatch = release.mismatch(feature_set, candidate_features or manifest.candidate_features)
        if mismatch:
            raise StateError(
                "loading",
                releases / release_id,
                f"it {mismatch}",
                "train a model on the feature set in use and promote it",
            )
    return release


def _verified(releases: Path, release_id: str) -> tuple[ReleaseManifest, dict[str, bytes]]:
    _check_names(release_id)
    folder = releases / release_id
    encoded = _read(folder, MANIFEST)
    if _read(folder, MANIFEST_HASH).decode(errors="replace").strip() != _hash(encoded):
        raise StateError("loading", folder, f"{MANIFEST} does not match its sha256", _AGAIN)
    try:
        manifest = msgspec.json.decode(encoded, type=ReleaseManifest)
    except msgspec.DecodeError as fault:
        raise StateError(
            "loading", folder, f"{MANIFEST} is not a manifest of this software ({fault})", _AGAIN
        ) from fault
    if manifest.release_id != release_id:
        raise StateError("loading", folder, f"its manifest names {manifest.release_id}", _AGAIN)
    contents = {}
    for name, expected in manifest.files.items():
        _check_names(name)
        contents[name] = _read(folder, name)
        if _hash(contents[name]) != expected:
            raise StateError("loading", folder / name, "the file does not match the sha256 in the manifest", _AGAIN)
    return manifest, contents


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as fault:
        problem = "the release does not exist" if not folder.is_dir() else f"{name} cannot be read ({fault.strerror})"
        raise StateError("loading", folder, problem, _AGAIN) from fault


def _check_names(*names: str) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise StateError("using", f"release name {name!r}", "it is not a plain file name", _AGAIN)


def _hash(content: bytes) -> str:
    return sha256(content).hexdigest()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
