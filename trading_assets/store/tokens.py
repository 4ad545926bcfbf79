"""The tokens of terminals at rest: one small file a token under `tokens/`, with its sha256, never the token itself.

A file is made once and replaced whole when its token is revoked, so two commands at once lose nothing and the daemon,
which looks at the folder again and again, sees a token or its revocation, never a part. Who may come in with one is
`live.bridge.keyring`'s.
"""

from __future__ import annotations

import re
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import msgspec

from trading_assets.core.errors import InputError, StateError
from trading_assets.store.files import replace_atomically
from trading_assets.store.small_files import UnusableFileError, read_small_file

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SUFFIX = ".json"
_MOST_BYTES = 64 * 1024
ID_LENGTH = 12

Mark = tuple[int, int, int]
"""What changes when a file is replaced."""


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One token: what it is called, what it opens, and since when it does not any more."""

    name: str
    tenant: str
    account: str
    sha256: str
    made_at: datetime
    revoked_at: datetime | None = None

    @property
    def token_id(self) -> str:
        """How the token is called in records: the beginning of its hash."""
        return self.sha256[:ID_LENGTH]


def token_sha256(token: str) -> str:
    """Return how a token rests, in hexadecimal digits."""
    # A terminal may send any text; what cannot be UTF-8 is nobody's token.
    return sha256(token.encode(errors="replace")).hexdigest()


def put_token(folder: Path, token: Token) -> Path:
    """Write a new token. Raises InputError for a name that is none, or is taken."""
    path = _path(folder, token.name)
    if path.exists():
        raise InputError(
            "making token", token.name, "there is one of this name", "choose another, revoked ones keep their names"
        )
    replace_atomically(path, msgspec.json.encode(token))
    return path


def revoke_token(folder: Path, name: str, at: datetime) -> Token:
    """Mark a token as revoked, for good; once more changes nothing. Raises InputError for one that is not there."""
    path = _path(folder, name)
    if not path.exists():
        known = ", ".join(sorted(entry.stem for entry in _files(folder))) or "none"
        raise InputError("revoking token", name, "there is none of this name", f"these are there: {known}")
    token = read_token(path)
    if token.revoked_at is None:
        token = msgspec.structs.replace(token, revoked_at=at)
        replace_atomically(path, msgspec.json.encode(token))
    return token


def read_token(path: Path) -> Token:
    """Read one token. Raises StateError for a file that is none."""
    try:
        token = msgspec.json.decode(read_small_file(path, _MOST_BYTES), type=Token)
    except UnusableFileError as error:
        raise StateError("reading token", path, str(error), "remove it and make the token anew") from error
    except OSError as error:
        raise StateError("reading token", path, str(error), "mend its permissions, or make the token anew") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise StateError("reading token", path, f"it is damaged ({error})", "delete it and make a new one") from error
    if not _SHA256.fullmatch(token.sha256) or token.name != path.stem:
        raise StateError("reading token", path, "it is not what was written", "delete it and make a new one")
    return token


def token_marks(folder: Path) -> dict[Path, Mark]:
    """Return the token files with what changes when one is replaced. Costs one look at each."""
    marks: dict[Path, Mark] = {}
    for path in _files(folder):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        marks[path] = status.st_mtime_ns, status.st_size, status.st_ino
    return marks


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix == _SUFFIX and not path.name.startswith("."))


def _path(folder: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise InputError("naming token", repr(name), "it cannot be a token's name", "use letters, digits, _ . and -")
    return folder / f"{name}{_SUFFIX}"
