"""Names a file of a backup may have: those that mean one file inside the home, on every system alike.

An archive is made on one system and restored on another. `..\\x` is a file's name on Linux and a way out of the folder on
Windows, `con` is a device there, and a trailing dot is dropped; so a name is judged as both would.
"""

from __future__ import annotations

import re
from pathlib import Path

_SIGNS = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff<>:"|?*\\]')
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?", re.IGNORECASE)
_LONGEST = 255


def problem_of(name: str) -> str:
    """Return what is wrong with a relative name with `/` between its parts; empty when nothing is."""
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return f"{name!a} is no path inside a home"
        if found := _SIGNS.search(part):
            return f"{name!a} holds {found[0]!a}, which cannot be in a file's name on every system"
        if part[-1] in ". ":
            return f"{name!a} has a part that ends in a dot or a blank, which Windows drops"
        if _DEVICES.fullmatch(part):
            return f"{name!a} names a device of Windows"
        if len(part.encode()) > _LONGEST:
            return f"a name of {len(part.encode())} bytes is too long for a file"
    return ""


def place_under(root: Path, name: str) -> Path | None:
    """Return where a file of that name lies under `root`; None when it would lie elsewhere, through a link for one."""
    base = root.resolve()
    target = base.joinpath(*name.split("/"))
    return target if target.parent.resolve().is_relative_to(base) else None
