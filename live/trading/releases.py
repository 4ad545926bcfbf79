"""Which release an account decides with: follows the CURRENT pointer, swaps between bars, refuses what does not verify.

A refused release changes nothing: the previous one stays in memory and in use until the new one has proven to load, to verify and to
score its probe as it did when it was released (invariant 9). How a release rests on disk is `store.release`; each attempt is
recorded before the release decides.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from live.recorder import Recorder
from trading_assets.core.decisions.scoring import candidate_feature_names
from trading_assets.core.errors import StateError
from trading_assets.core.features.feature_set import FeatureSet
from trading_assets.core.records.trading import ReleaseLoad
from trading_assets.core.release import RULES_ONLY, Release
from trading_assets.store.release import POINTER, current_id, load_release

_UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What became of one look at a changed pointer."""

    release_id: str
    model_version: str | None
    is_accepted: bool
    reason: str


class ReleaseSlot:
    """The release in use by one account."""

    def __init__(self, folder: Path, feature_set: FeatureSet, recorder: Recorder) -> None:
        self._folder = folder
        self._recorder = recorder
        self._feature_set = feature_set
        self._seen: tuple[int, int, int] | str | None = "never"
        self._waiting: tuple[_Attempt, Release] | None = None
        self.current: Release = RULES_ONLY
        self.accepted = self.refused = 0
        self.trouble = ""
        """Why the release the pointer names is not in use; empty when it is."""

    async def follow(self) -> None:
        """Look at the pointer; load what it names when it has changed. Costs one stat when it has not.

        It decides once that is on record: while the disk fails the one before stays, and it is recorded at a later look.
        """
        mark = self._pointer_mark()
        if mark != self._seen:
            self._seen = mark
            attempt, release = self._waiting = await asyncio.to_thread(self._load)
            self.accepted += attempt.is_accepted
            self.refused += not attempt.is_accepted
            self.trouble = "" if attempt.is_accepted else attempt.reason
        if self._waiting is None:
            return
        attempt, release = self._waiting
        record = self._recorder.make(
            ReleaseLoad,
            self._recorder.clock.now(),
            self._recorder.chain(),
            release_id=attempt.release_id,
            model_version=attempt.model_version,
            is_accepted=attempt.is_accepted,
            reason=attempt.reason,
        )
        if await self._recorder.append([record]):
            self.current, self._waiting = release, None

    def look_again(self) -> None:
        """Load what the pointer names at the next look, changed or not."""
        self._seen = "never"

    def _pointer_mark(self) -> tuple[int, int, int] | None:
        try:
            status = (self._folder / POINTER).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _load(self) -> tuple[_Attempt, Release]:
        """Return what became of the pointer, and the release to use from now on."""
        release_id = _UNREADABLE
        try:
            named = current_id(self._folder)
            if named is None:
                reason = "no release is named; the rules decide alone"
                return _Attempt(RULES_ONLY.release_id, None, True, reason), RULES_ONLY
            release_id = named
            release = load_release(
                self._folder,
                named,
                feature_set=self._feature_set,
                candidate_features=candidate_feature_names(self._feature_set),
            )
        except StateError as error:
            reason = f"{error} {self.current.release_id} stays in use."
            return _Attempt(release_id, None, False, reason), self.current
        except Exception as fault:  # noqa: BLE001 - whatever a spoilt artefact brings up, it must not reach a decision or end the daemon
            reason = f"loading {release_id} failed: {fault!r}. {self.current.release_id} stays in use."
            return _Attempt(release_id, None, False, reason), self.current
        reason = (
            "it verifies, its feature set is the one in use, and it scores its probe as it did when it was released"
        )
        if not release.has_probe:
            reason = "it verifies and its feature set is the one in use; it is from before there were probes"
        return _Attempt(release_id, release.model_version, True, reason), release
