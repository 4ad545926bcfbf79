"""The command inbox of the daemon: imports point one way, files go round.

A command is one JSON file, put there whole, taken out by a rename and so carried out at most once. What a command
does, and the record that answers it, are the daemon's business.

    control/<id>.json → control/taken/<id>.json → control/done/<id>.json  (with the answer)
                     ↘ control/refused/<id>.json  (not a command)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
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


class Answer(msgspec.Struct, frozen=True):
    """A command that is finished, with what the daemon answered. The record of it stands in the journal."""

    command_id: str
    command: CommandName
    argument: str
    is_done: bool
    answer: str


_decoder = msgspec.json.Decoder(Command)
_answer_decoder = msgspec.json.Decoder(Answer)


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

    A file that is no command is put aside in `refused`; `on_refusal` is told its name and the reason. Raises OSError
    when the first one cannot be taken; those taken before one that cannot be are returned.
    """
    if not control.is_dir():
        return []
    commands: list[Command] = []
    for path in _waiting(control):
        try:
            command = _take(path, on_refusal)
        except OSError:
            if commands:
                break  # These are taken and must be carried out; the next look meets the same one first.
            raise
        if command is not None:
            commands.append(command)
    return commands


def _waiting(control: Path) -> list[Path]:
    """Return the files that wait, oldest first."""
    found: list[tuple[int, Path]] = []
    for path in control.glob("*.json"):
        # Who gave a command may take it back at any moment.
        with suppress(FileNotFoundError):
            if not path.name.startswith("."):
                found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found)]


def _take(path: Path, on_refusal: Callable[[str, str], None] | None) -> Command | None:
    """Take one file out of the inbox; None for one that was taken back meanwhile, or is no command."""
    try:
        command = _read(path)
        _move(path, "taken")
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        _move(path, "refused")
        if on_refusal is not None:
            on_refusal(path.stem, f"not a command ({error}); give one of {', '.join(CommandName.__args__)}")  # type: ignore[attr-defined]
        return None
    return command


def finish_command(control: Path, command_id: str, *, is_done: bool, answer: str) -> None:
    """Note that the command's answer is in the journal, and what it is for whoever waits for it."""
    path = control / "taken" / f"{command_id}.json"
    if not path.exists():
        return
    command = _read(path)
    answered = Answer(command_id, command.command, command.argument, is_done, answer)
    replace_atomically(control / "done" / path.name, msgspec.json.encode(answered) + b"\n")
    path.unlink()
    sync_folder(path.parent)


def unfinished_commands(control: Path) -> list[Command]:
    """Return the commands that were taken and not finished: the daemon stopped on the way and must not do them again."""
    taken = sorted((control / "taken").glob("*.json"))
    answered = [path for path in taken if (control / "done" / path.name).exists()]
    for path in answered:
        path.unlink()
    return [_read(path) for path in taken if path not in answered]


def answer_of(control: Path, command_id: str) -> Answer | None:
    """Return the answer to a command, None while there is none."""
    try:
        return _answer_decoder.decode((control / "done" / f"{command_id}.json").read_bytes())
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateError(
            "reading the answer to command", command_id, f"it is damaged ({error})", "its record is in the journal, too"
        ) from error


def withdraw_command(control: Path, command_id: str) -> bool:
    """Take back a command that waits; returns whether it was still there. Once taken it is carried out."""
    try:
        (control / f"{command_id}.json").unlink()
    except FileNotFoundError:
        return False
    sync_folder(control)
    return True


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
