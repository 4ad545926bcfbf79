"""Which token opens which account: those of the settings and those under `tokens/`, which may change while the daemon runs.

Tokens are known by their sha256 alone and every one is compared, each in constant time. A revoked token is refused from the
next look on, and whoever is connected with it is hung up on (`live.bridge.conversation`). How tokens rest is `store.tokens`.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trading_assets.core.errors import StateError
from trading_assets.store.tokens import ID_LENGTH, Mark, Token, read_token, token_marks, token_sha256

_FIX = "set the token of this account in the terminal (`trading token new ACCOUNT` makes one)"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a token is worth: the account it opens, or why it opens none. `token_id` names it without telling it."""

    account: str | None
    token_id: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Key:
    sha256: str
    tenant: str
    account: str
    is_revoked: bool


class Scan(NamedTuple):
    """What lies in the folder of tokens: what changes when a file is replaced, what was read anew, what cannot be."""

    marks: Mapping[Path, Mark]
    read: Mapping[Path, Token]
    troubles: Mapping[Path, str]


class Keyring:
    """The tokens of one daemon. `report` is told of files that cannot be read, once each."""

    def __init__(
        self, tenant: str, accounts: Mapping[str, str], folder: Path | None, report: Callable[[str], None]
    ) -> None:
        """`accounts`: every account with the sha256 of its token in the settings, empty where it has none."""
        self._tenant = tenant
        self._accounts = {account: digest.lower() for account, digest in accounts.items()}
        self._folder = folder
        self._report = report
        self._marks: Mapping[Path, Mark] = {}
        self._read: dict[Path, Token] = {}
        self._troubled: set[Path] = set()
        self._keys = self._all_keys()

    def look(self) -> bool:
        """Read what has changed on disk; returns whether anything has."""
        return self.take(self.scan())

    def scan(self) -> Scan:
        """Read what has changed on disk and change nothing here; for a thread that may wait for a disk."""
        if self._folder is None:
            return Scan(self._marks, {}, {})
        read: dict[Path, Token] = {}
        troubles: dict[Path, str] = {}
        try:
            marks = token_marks(self._folder)
        except OSError as error:
            text = f"{self._folder} cannot be read ({error}); the tokens known stay in force"
            return Scan(self._marks, {}, {self._folder: text})
        for path, mark in marks.items():
            if self._marks.get(path) != mark:
                try:
                    read[path] = read_token(path)
                except StateError as error:
                    troubles[path] = str(error)
        return Scan(marks, read, troubles)

    def take(self, scan: Scan) -> bool:
        """Take what a scan has found; returns whether anything has changed. One that cannot be read changes nothing of
        what is known of its token, is told once, and is tried again."""
        for path, text in scan.troubles.items():
            if path not in self._troubled:
                self._troubled.add(path)
                self._report(text)
        marks = {path: mark for path, mark in scan.marks.items() if path not in scan.troubles}
        if marks == self._marks:
            return False
        self._marks = marks
        self._troubled -= set(scan.read)
        known = {path: token for path, token in self._read.items() if path in scan.marks}
        self._read = {**known, **scan.read}
        self._keys = self._all_keys()
        return True

    def judge(self, token: str) -> Verdict:
        """Say what a token is worth. The time taken does not tell how much of it was right."""
        if not token:
            return Verdict(None, "", f"the token is missing; {_FIX}")
        offered = token_sha256(token)
        token_id = offered[:ID_LENGTH]
        matching = [key for key in self._keys if hmac.compare_digest(offered, key.sha256)]
        if not matching:
            return Verdict(None, token_id, f"the token is not known here; {_FIX}")
        if any(key.is_revoked for key in matching):
            return Verdict(None, token_id, f"the token was revoked; {_FIX}")
        key = matching[0]
        if key.tenant != self._tenant:
            return Verdict(None, token_id, f"the token belongs to another tenant; {_FIX}")
        if key.account not in self._accounts:
            return Verdict(None, token_id, f"the token belongs to an account that is not connected here; {_FIX}")
        return Verdict(key.account, token_id)

    def opens(self, account: str, token_id: str) -> bool:
        """Return whether a token judged good before still is."""
        mine = [key for key in self._keys if key.sha256.startswith(token_id)]
        return bool(mine) and all(key.account == account and not key.is_revoked for key in mine)

    def _all_keys(self) -> tuple[_Key, ...]:
        given = [
            _Key(digest, self._tenant, account, is_revoked=False)
            for account, digest in self._accounts.items()
            if digest
        ]
        made = [
            _Key(token.sha256, token.tenant, token.account, token.revoked_at is not None)
            for token in self._read.values()
        ]
        return (*given, *made)
