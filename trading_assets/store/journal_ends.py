"""What no chain can show of itself, that its own end was cut off: each writer notes the ends of its chains beside them.

The note, `<writer>.ends` under the journal's root, is written when the journal is opened and closed and every few
seconds between, and always names seals that are durable already. It is a witness, nothing is read by it: losing it
costs the knowledge of an end, never a record. Who holds the chains against it is `journal_verify`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from trading_assets.store.files import replace_atomically
from trading_assets.store.journal_format import Chain, JournalError, segment_at

NOTE_EVERY_S = 5.0
"""A writer that is killed has noted ends at most this old."""


class ChainEnd(msgspec.Struct, frozen=True):
    """The last seal of a chain at some moment."""

    segment: str
    last_seq: int
    sha256: str


class Noted(msgspec.Struct, frozen=True):
    """What a writer's note says: where its chains end, and ends it noted and did not find when it came back."""

    ends: list[ChainEnd]
    lost: list[ChainEnd] = []


def noted_path(root: Path, writer: str) -> Path:
    """Return where a writer's note lies."""
    return root / f"{writer}.ends"


def read_noted(path: Path) -> Noted:
    """Read a note. Raises JournalError for one that cannot be read, FileNotFoundError for none."""
    try:
        noted = msgspec.json.decode(path.read_bytes(), type=Noted)
        for end in (*noted.ends, *noted.lost):
            segment_at(end.segment)
    except ValueError as error:  # among them msgspec's and those of the text's encoding
        raise JournalError(
            "reading", path, f"it is no note of ends ({error})", "restore it from a copy, or remove it to begin anew"
        ) from error
    return noted


class EndNotes:
    """The note of one writer, kept while its journal is open. Belongs to the thread that commits."""

    def __init__(self, root: Path, writer: str, ends: Mapping[Chain, ChainEnd]) -> None:
        """Hold what recovery found against what was noted, and note that. Raises OSError when it cannot be written."""
        self._path = noted_path(root, writer)
        before = self._read()
        kept = [end for end in before.ends if not _is_reached(end, ends)]
        self.lost = tuple(end for end in kept if end not in before.lost)
        """Ends that were durable once and are not in the journal any more; the owner reports them."""
        self._lost = [*before.lost, *self.lost]
        self._ends = dict(ends)
        self._written = before
        self._due_s = 0.0
        self.write()

    def learn(self, chain: Chain, end: ChainEnd) -> None:
        """A chain ends here now, durably."""
        self._ends[chain] = end

    def write_when_due(self, now_s: float) -> None:
        """Write the note when the last one is old. A disk that refuses it has refused more than that already."""
        if now_s >= self._due_s:
            self._due_s = now_s + NOTE_EVERY_S
            with suppress(OSError):
                self.write()

    def write(self) -> None:
        """Write the note unless it says so already. Raises OSError when it cannot be written."""
        noted = Noted(_sorted(self._ends.values()), _sorted(self._lost))
        if noted != self._written or not self._path.exists():
            replace_atomically(self._path, msgspec.json.format(msgspec.json.encode(noted), indent=1))
            self._written = noted

    def _read(self) -> Noted:
        try:
            return read_noted(self._path)
        except FileNotFoundError:
            return Noted([])
        except JournalError:
            # Verification named it; what it knew is gone, and what is found from now on is noted anew.
            self._path.replace(self._path.with_name(self._path.name + ".torn"))
            return Noted([])


def _is_reached(end: ChainEnd, ends: Mapping[Chain, ChainEnd]) -> bool:
    found = ends.get(segment_at(end.segment).chain)
    return found is not None and found.last_seq >= end.last_seq


def _sorted(ends: Iterable[ChainEnd]) -> list[ChainEnd]:
    return sorted(ends, key=lambda end: (end.segment, end.last_seq))
