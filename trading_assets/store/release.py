"""Releases at rest: one immutable folder each, and the CURRENT pointer.

    releases/CURRENT                     release id and a newline, replaced atomically; `rules-only` for the rules alone
    releases/<release_id>/manifest.json  what it is, with the sha256 of every file below
    releases/<release_id>/manifest.sha256
    releases/<release_id>/<files>        the model, and a probe: rows with the probabilities it gave them when it was released

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
import numpy as np

from trading_assets.core.errors import StateError
from trading_assets.core.features.feature_set import FeatureSet
from trading_assets.core.learning.meta_model import MODEL_FILE, MetaModel
from trading_assets.core.release import RULES_ONLY_ID, Release, ReleaseManifest
from trading_assets.store.files import replace_atomically, sync_folder, write_synced

POINTER = "CURRENT"
MANIFEST = "manifest.json"
MANIFEST_HASH = "manifest.sha256"
PROBE_FILE = "probe.json"
PROBE_ROWS = 16

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_AGAIN = "make the release again from the registry, or point CURRENT at another one"


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """Rows (n, k) and the probabilities (n,) they got, as hexadecimal floats: exact to the bit; `nan` is one of them."""

    rows: tuple[tuple[str, ...], ...]
    probability: tuple[str, ...]


def model_files(model: MetaModel) -> dict[str, bytes]:
    """Return the files of a model's release: the model and its probe."""
    return {MODEL_FILE: model.to_bytes(), PROBE_FILE: msgspec.json.encode(probe_of(model))}


def probe_of(model: MetaModel) -> Probe:
    """Score made-up rows of every size from a thousandth to a thousand, the last one unknown altogether."""
    width = len(model.feature_names)
    chance = np.random.default_rng(PROBE_ROWS)
    rows = chance.normal(size=(PROBE_ROWS, width)) * 10.0 ** chance.uniform(-3, 3, size=(PROBE_ROWS, width))
    rows[-1] = np.nan
    return Probe(rows=tuple(tuple(_hexed(row)) for row in rows), probability=tuple(_hexed(model.win_probability(rows))))


def _hexed(values: np.ndarray) -> list[str]:
    return [float(value).hex() for value in values]


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
        write_synced(draft / name, content)
    sync_folder(draft)
    draft.rename(folder)
    sync_folder(releases)
    return folder


def set_current(releases: Path, release_id: str) -> None:
    """Point CURRENT at a release, atomically, after loading it here; `rules-only` names the rules alone.

    Raises StateError for one that does not verify, load or score its probe.
    """
    if release_id == RULES_ONLY_ID:
        releases.mkdir(parents=True, exist_ok=True)
    else:
        load_release(releases, release_id)
    replace_atomically(releases / POINTER, f"{release_id}\n".encode())


def current_id(releases: Path) -> str | None:
    """Return the release CURRENT points at; None for the rules alone. Raises StateError for a spoilt pointer."""
    try:
        text = (releases / POINTER).read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as fault:
        raise StateError("reading", releases / POINTER, f"it cannot be read ({fault})", _AGAIN) from fault
    _check_names(text)
    return None if text == RULES_ONLY_ID else text


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
    """Verify and load a release; with `feature_set` also refuse one trained on another. Raises StateError (invariant 9).

    A model that scores its probe differently than when it was released is another model, whatever its bytes say. A release
    from before there were probes holds none.
    """
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
    if PROBE_FILE in contents:
        _score_probe(releases / release_id, model, contents[PROBE_FILE])
    release = Release(manifest, model, has_probe=PROBE_FILE in contents)
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


def _score_probe(folder: Path, model: MetaModel, content: bytes) -> None:
    """Raise StateError unless the model gives the probe's rows the probabilities it gave them then, bit for bit."""
    try:
        probe = msgspec.json.decode(content, type=Probe)
        rows = np.array([[float.fromhex(value) for value in row] for row in probe.rows])
        scored = tuple(_hexed(model.win_probability(rows)))
    except (msgspec.DecodeError, ValueError) as fault:
        raise StateError(
            "loading", folder / PROBE_FILE, f"it is not a probe of this model ({fault})", _AGAIN
        ) from fault
    if scored != probe.probability:
        differing = sum(now != then for now, then in zip(scored, probe.probability, strict=False))
        raise StateError(
            "loading",
            folder,
            f"its model scores {differing} of {len(rows)} probe rows differently than when it was released",
            "train and release on this machine, with the locked packages",
        )


def released(releases: Path) -> list[str]:
    """Return the ids of every release there is, in the order of their names."""
    return sorted(path.parent.name for path in releases.glob(f"[!.]*/{MANIFEST}"))


def _verified(releases: Path, release_id: str) -> tuple[ReleaseManifest, dict[str, bytes]]:
    _check_names(release_id)
    folder = releases / release_id
    encoded = _read(folder, MANIFEST)
    if _read(folder, MANIFEST_HASH).decode(errors="replace").strip() != _hash(encoded):
        raise StateError("loading", folder, f"{MANIFEST} does not match its sha256", _AGAIN)
    try:
        manifest = msgspec.json.decode(encoded, type=ReleaseManifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
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
