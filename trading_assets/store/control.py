"""The command inbox of the daemon: imports point one way, files go round.

A command is one JSON file, put there whole, taken out by a rename and so carried out at most once. What a command
does, and the record that answers it, are the daemon's business.

    control/<id>.json → control/taken/<id>.json → control/done/<id>.json
                     ↘ control/refused/<id>.json  (not a command)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from trading_assets.core.errors import InputError, StateError
from trading_assets.store.files import replace_atomically, sync_folder

CommandName = Literal["halt", "resume", "breaker_reset", "query", "drain", "reload"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing a person or a repair asks of the daemon. `command_id` names it once and for all."""

    command_id: str
    command: CommandName
    argument: str = ""


_decoder = msgspec.json.Decoder(Command)


def put_command(control: Path, command: Command) -> str:
    """Put the command into the inbox, durable when this returns; return its id.

    Raises InputError for an id that cannot be a file's name and StateError for one that was given before.
    """
    if _ID.fullmatch(command.command_id) is None:
        raise InputError(
            "giving the command",
            repr(command.command_id),
            "this cannot be an id",
            "use up to 100 letters, digits, _ and -",
        )
    file = f"{command.command_id}.json"
    if any((control / place / file).exists() for place in ("", "taken", "done", "refused")):
        raise StateError(
            "giving the command", command.command_id, "a command of this id was given before", "give it a new id"
        )
    replace_atomically(control / file, msgspec.json.encode(command) + b"\n")
    return command.command_id


def take_commands(control: Path, on_refusal: Callable[[str, str], None] | None = None) -> list[Command]:
    """Take the commands that wait, in the order they were given. Each is returned once, whatever happens afterwards.

    A file that is no command is put aside in `refused`; `on_refusal` is told its name and the reason.
    """
    if not control.is_dir():
        return []
    waiting = sorted(
        (path.stat().st_mtime_ns, path.name) for path in control.glob("*.json") if not path.name.startswith(".")
    )
    commands: list[Command] = []
    for _, name in waiting:
        path = control / name
        try:
            command = _read(path)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            _move(path, "refused")
            if on_refusal is not None:
                on_refusal(path.stem, f"not a command ({error}); give one of {', '.join(CommandName.__args__)}")  # type: ignore[attr-defined]
            continue
        _move(path, "taken")
        commands.append(command)
    return commands


def finish_command(control: Path, command_id: str) -> None:
    """Note that the command's answer is in the journal."""
    path = control / "taken" / f"{command_id}.json"
    if path.exists():
        _move(path, "done")


def unfinished_commands(control: Path) -> list[Command]:
    """Return the commands that were taken and not finished: the daemon stopped on the way and must not do them again."""
    return [_read(path) for path in sorted((control / "taken").glob("*.json"))]


def _read(path: Path) -> Command:
    command = _decoder.decode(path.read_bytes())
    if command.command_id != path.stem:
        raise ValueError(f"the file is named {path.stem!r}, the command in it {command.command_id!r}")
    return command


def _move(path: Path, place: str) -> None:
    """Move the file into a folder of the inbox, durable when this returns."""
    root = path.parent if path.parent.name not in ("taken", "done", "refused") else path.parent.parent
    folder = root / place
    folder.mkdir(exist_ok=True)
    path.replace(folder / path.name)
    sync_folder(folder)
    sync_folder(path.parent)
