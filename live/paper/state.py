"""The terminal's memory on disk: one SQLite file in its state folder, changed by transactions.

Account, deals, positions, answers, results not known to be delivered and the play position change together or not
at all, so a terminal killed at any moment continues where it was. What moved money is synced to disk before it is
told to anyone; the play position alone need not survive a power cut.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from live.paper.book import Book, Changes, Counters, Remembered
from live.paper.working import Working
from trading_assets.core.errors import StateError
from trading_assets.core.messages import DealFacts, FromTerminal, PositionFacts, decode_from_terminal, encode_message

_FILE = "terminal.sqlite"
_TABLES = """
CREATE TABLE IF NOT EXISTS deals (ticket INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS positions (ticket INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS orders (ticket INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS answers (number INTEGER PRIMARY KEY, request_id TEXT UNIQUE NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS results (number INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, body BLOB NOT NULL);
"""


class PlayPosition(msgspec.Struct, frozen=True, kw_only=True):
    """How far the feed has been played, as counts of its quotes."""

    played: int
    """Quotes the broker has seen."""
    acknowledged: int
    """Quotes the daemon is known to have dealt with; those between are sent again after a new connection."""
    now_ms: int
    """UTC the terminal has reached."""
    weeks: int = 0
    """Weeks the feed is shifted by, at real-time pace."""
    unseen: int = -1
    """Quotes before this index were sent at least once; those from here on were played while nobody was connected. -1: none."""
    dropped: int = 0
    """Quotes that were played while nobody was connected and are lost, because only so many are kept."""
    events_done: tuple[int, ...] = ()
    """Events of the script that have happened, by their number."""


class State:
    """An open state folder. Close it; a second process on the same folder is refused."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._encoder = msgspec.json.Encoder(decimal_format="string")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # A process that dies gives its lock back, so there is nothing to wait for.
            self._database = sqlite3.connect(self._path, isolation_level=None, timeout=0.2)
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.executescript(_TABLES)
            self._database.execute("BEGIN EXCLUSIVE")
            self._database.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            locked = "locked" in str(error)
            problem = "another terminal is using it" if locked else str(error)
            hint = (
                "stop that one or pass another --state folder"
                if locked
                else "pass a writable folder, or a new one if this is damaged"
            )
            raise StateError("opening terminal state", self._path, problem, hint) from error

    def claim(self, fingerprint: str) -> None:
        """Bind a new folder to a market. Raises StateError when it is bound to another one."""
        bound = self._fact("market")
        if bound is not None and bound != fingerprint.encode():
            raise StateError(
                "continuing from",
                self._path,
                "it belongs to another market",
                "pass the same market and clock again, or an empty --state folder",
            )
        self._set("market", fingerprint.encode())

    def load_book(self) -> Book:
        """Return the book as it was saved; an empty one at first."""
        rows = self._database.execute
        counters = self._fact("counters")
        return Book(
            deals=[_decoded(body, DealFacts) for (body,) in rows("SELECT body FROM deals ORDER BY ticket")],
            positions=[_decoded(body, PositionFacts) for (body,) in rows("SELECT body FROM positions ORDER BY ticket")],
            answers=[_decoded(body, Remembered) for (body,) in rows("SELECT body FROM answers ORDER BY number")],
            counters=_decoded(counters, Counters) if counters else None,
            orders=[_decoded(body, Working) for (body,) in rows("SELECT body FROM orders ORDER BY ticket")],
        )

    def load_position(self) -> PlayPosition | None:
        """Return how far the feed was played, or None for a new folder."""
        body = self._fact("play")
        return _decoded(body, PlayPosition) if body else None

    def load_results(self) -> list[tuple[int, FromTerminal]]:
        """Return the trade results not known to be delivered, oldest first, with their numbers."""
        rows = self._database.execute("SELECT number, body FROM results ORDER BY number")
        return [(number, _result(body)) for number, body in rows]

    def count_death(self) -> int:
        """Note that the process is about to die on purpose; returns how many times it has, this time included."""
        deaths = int(self._fact("deaths") or b"0") + 1
        self._database.execute("PRAGMA synchronous=FULL")
        self._set("deaths", str(deaths).encode())
        return deaths

    @property
    def deaths(self) -> int:
        """How many times a process on this state died on purpose."""
        return int(self._fact("deaths") or b"0")

    def save(
        self,
        position: PlayPosition,
        changes: Changes | None = None,
        results: Sequence[tuple[int, FromTerminal]] = (),
        delivered: Sequence[int] = (),
    ) -> None:
        """Save in one transaction; on disk before this returns when `changes` moved money."""
        execute = self._database.execute
        try:
            execute(f"PRAGMA synchronous={'FULL' if changes or results else 'NORMAL'}")
            with self._transaction():
                self._set("play", self._encoder.encode(position))
                if changes:
                    self._save_changes(changes)
                numbered = [(number, encode_message(message)) for number, message in results]
                self._database.executemany("INSERT INTO results VALUES (?, ?)", numbered)
                self._database.executemany("DELETE FROM results WHERE number = ?", [(number,) for number in delivered])
        except sqlite3.Error as error:
            raise StateError(
                "saving terminal state", self._path, str(error), "make room on the disk and run again, it continues"
            ) from error

    def close(self) -> None:
        """Close the file; may be called again."""
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _save_changes(self, changes: Changes) -> None:
        execute, many, encode = self._database.execute, self._database.executemany, self._encoder.encode
        many("INSERT INTO deals VALUES (?, ?)", [(int(deal.ticket), encode(deal)) for deal in changes.deals])
        revised = [(encode(deal), int(deal.ticket)) for deal in changes.revised]
        many("UPDATE deals SET body = ? WHERE ticket = ?", revised)
        many(
            "INSERT OR REPLACE INTO answers (request_id, body) VALUES (?, ?)",
            [(answer.request_id, encode(answer)) for answer in changes.answers],
        )
        kept: tuple[tuple[str, dict[str, PositionFacts | None] | dict[str, Working | None]], ...] = (
            ("positions", changes.positions),
            ("orders", changes.orders),
        )
        for table, touched in kept:
            for ticket, body in touched.items():
                if body is None:
                    execute(f"DELETE FROM {table} WHERE ticket = ?", (int(ticket),))
                else:
                    execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", (int(ticket), encode(body)))
        self._set("counters", encode(changes.counters))

    def _fact(self, name: str) -> bytes | None:
        with closing(self._database.execute("SELECT body FROM facts WHERE name = ?", (name,))) as rows:
            row = rows.fetchone()
        return None if row is None else bytes(row[0])

    def _set(self, name: str, body: bytes) -> None:
        self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, body))


_Kind = TypeVar("_Kind")


def _decoded(body: bytes, kind: type[_Kind]) -> _Kind:
    """Read what was saved. Raises StateError for what is damaged."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise _damaged(kind.__name__, error) from error


def _result(body: bytes) -> FromTerminal:
    try:
        return decode_from_terminal(body)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise _damaged("a result", error) from error


def _damaged(what: str, error: Exception) -> StateError:
    return StateError(
        "reading the terminal's state",
        what,
        f"it is damaged ({error})",
        "restore the --state folder, or begin with an empty one",
    )
