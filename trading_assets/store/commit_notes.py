"""What a write of the lake says of itself, kept in its Delta commit: code, run, and the versions of the tables it was made from.

The tables read since the write before are the sources; several tables written from one reading have the same. What a commit
forgets with the table's log (30 days), the journal keeps: `defs.ops` makes a record of each table that a run wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trading_assets import __version__

if TYPE_CHECKING:
    from deltalake import CommitProperties

_SOURCES, _RUN, _CODE = "trading.sources", "trading.run_id", "trading.code_version"


class Provenance:
    """What one lake has read and written; one for each `Lake`."""

    def __init__(self, run_id: str = "") -> None:
        self.run_id = run_id
        self._read: dict[str, int] = {}
        self._is_written = False

    def read(self, table: str, version: int) -> None:
        """Note that a version of a table was read. What was read before the last write belongs to that."""
        if self._is_written:
            self._read, self._is_written = {}, False
        self._read[table] = version

    def of_write(self, table: str) -> CommitProperties:
        """Return what the commit of a write says."""
        from deltalake import CommitProperties  # who only reads notes does without

        self._is_written = True
        sources = (f"{name}@{version}" for name, version in sorted(self._read.items()) if name != table)
        return CommitProperties(custom_metadata={_CODE: __version__, _RUN: self.run_id, _SOURCES: " ".join(sources)})


def told_by(commit: Mapping[str, Any]) -> dict[str, Any]:
    """Return code version, run and sources of a commit of `Lake.history`; empty for a commit without a note."""
    if _CODE not in commit:
        return {}
    return {
        "code_version": commit[_CODE],
        "run_id": commit[_RUN],
        "sources": tuple(str(commit[_SOURCES]).split()),
        "delta_version": int(commit["version"]),
    }
