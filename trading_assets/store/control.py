"""The command inbox of the daemon: imports point one way, files go round.

A command is one JSON file, put there whole, taken out by a rename and so carried out at most once. What a command
does, and the record that answers it, are the daemon's business.

    control/<id>.json → control/taken/<id>.json → control/done/<id>.json  (with the answer)
                     ↘ control/refused/<id>.json  (not a command)

Whatever else lies there is put aside or left, told, and stands in nobody's way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from trading_assets.core.errors import InputError, StateError
from trading_assets.store.files import replace_atomically, sync_folder
from trading_assets.store.small_files import read_small_file

CommandName = Literal["halt", "resume", "breaker_reset", "query", "drain", "reload", "account_accept"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_MOST_BYTES = 64 * 1024
_MOST_OF_ONE_NAME = 1000
_STUCK = "not readable"
_NO_COMMAND = f"give one of {', '.join(CommandName.__args__)}"  # type: ignore[attr-defined]

Told = Callable[[str, str], None]
"""Is told the name of an entry and what is wrong with it."""


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


class WaitingCommand(NamedTuple):
    """A command that no daemon has taken yet."""

    command: Command
    given_at: datetime


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


def waiting_commands(control: Path) -> list[WaitingCommand]:
    """Return the commands that wait for a daemon, in the order they were given; what cannot be read is left out."""
    return _commands_in(control)


def waiting_halts(control: Path) -> list[WaitingCommand]:
    """Return the halts with which the next daemon would begin: not taken yet, or taken by one that died over it."""
    waiting = [*_commands_in(control / "taken"), *_commands_in(control)]
    return [one for one in waiting if one.command.command == "halt"]


def withdraw_halts(control: Path) -> list[Command]:
    """Take back the halts that wait, while no daemon runs; return them."""
    withdrawn = []
    for one in waiting_halts(control):
        name = f"{one.command.command_id}.json"
        for folder in (control, control / "taken"):
            if (folder / name).exists():
                (folder / name).unlink(missing_ok=True)
                sync_folder(folder)
        withdrawn.append(one.command)
    return withdrawn


def take_commands(control: Path, on_refusal: Told | None = None, on_stuck: Told | None = None) -> list[Command]:
    """Take the commands that wait, in the order they were given. Each is returned once, whatever happens afterwards.

    What is no command is put aside in `refused`, and `on_refusal` is told. What cannot be read or taken now stays where
    it is, `on_stuck` is told at each look, and what stands behind it is taken all the same. Raises OSError when the
    folder itself cannot be read.
    """
    commands: list[Command] = []
    for path, _ in _waiting(control):
        try:
            command = _take(path, on_refusal)
        except OSError as error:
            if on_stuck is not None:
                on_stuck(path.name, f"{_STUCK} ({error.strerror or error}); mend its permissions or remove it")
            continue
        if command is not None:
            commands.append(command)
    return commands


def _commands_in(folder: Path) -> list[WaitingCommand]:
    waiting: list[WaitingCommand] = []
    for path, given_ns in _waiting(folder):
        with suppress(OSError, ValueError, RecursionError):
            waiting.append(WaitingCommand(_read(path), datetime.fromtimestamp(given_ns / 1e9, UTC)))
    return waiting


def _waiting(control: Path) -> list[tuple[Path, int]]:
    """Return the entries that wait with the time they were given, oldest first. Raises OSError for an unreadable folder."""
    found: list[tuple[int, str]] = []
    try:
        entries = os.scandir(control)
    except (FileNotFoundError, NotADirectoryError):
        return []
    with entries:
        for entry in entries:
            if entry.name.startswith(".") or not entry.name.endswith(".json"):
                continue
            # Who gave a command may take it back at any moment.
            with suppress(FileNotFoundError):
                found.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
    return [(control / name, given_ns) for given_ns, name in sorted(found)]


def _take(path: Path, on_refusal: Told | None) -> Command | None:
    """Take one file out of the inbox; None for one that was taken back meanwhile, or is no command."""
    try:
        command = _read(path)
        _move(path, "taken")
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:  # the first also of the decoder, and of what is no file
        _refuse(path, f"not a command ({error}); {_NO_COMMAND}", on_refusal)
        return None
    return command


def finish_command(control: Path, command: Command, *, is_done: bool, answer: str) -> None:
    """Note that the command's answer is in the journal, and what it is for whoever waits for it."""
    path = control / "taken" / f"{command.command_id}.json"
    if not path.exists():
        return
    answered = Answer(command.command_id, command.command, command.argument, is_done, answer)
    replace_atomically(control / "done" / path.name, msgspec.json.encode(answered) + b"\n")
    path.unlink()
    sync_folder(path.parent)


def unfinished_commands(control: Path, on_refusal: Told | None = None, on_stuck: Told | None = None) -> list[Command]:
    """Return the commands that were taken and not finished: the daemon stopped on the way.

    What is damaged there is put aside or left, and told, as in the inbox.
    """
    taken, found = control / "taken", []
    for path, _ in _waiting(taken):
        try:
            if (control / "done" / path.name).exists():
                path.unlink()
            else:
                found.append(_read(path))
        except FileNotFoundError:
            continue
        except (ValueError, RecursionError) as error:
            _refuse(path, f"damaged ({error}); give the command again", on_refusal)
        except OSError as error:
            if on_stuck is not None:
                on_stuck(
                    f"taken/{path.name}", f"{_STUCK} ({error.strerror or error}); mend its permissions or remove it"
                )
    return found


def answer_of(control: Path, command_id: str) -> Answer | None:
    """Return the answer to a command, None while there is none."""
    try:
        return _answer_decoder.decode(read_small_file(control / "done" / f"{command_id}.json", _MOST_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, OSError) as error:
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
    command = _decoder.decode(read_small_file(path, _MOST_BYTES))
    if command.command_id != path.stem:
        raise ValueError(f"the file is named {path.stem!r}, the command in it {command.command_id!r}")
    return command


def _refuse(path: Path, reason: str, on_refusal: Told | None) -> None:
    """Put aside what is no command. Raises OSError when it cannot be moved."""
    _move(path, "refused")
    if on_refusal is not None:
        on_refusal(path.stem, reason)


def _move(path: Path, place: str) -> None:
    """Move the entry into a folder of the inbox, durable when this returns."""
    root = path.parent if path.parent.name not in ("taken", "done", "refused") else path.parent.parent
    folder = root / place
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    for number in range(2, _MOST_OF_ONE_NAME):
        # A folder cannot be moved over a file, nor a file over a folder.
        if place != "refused" or not os.path.lexists(target):
            break
        target = folder / f"{path.stem}.{number}{path.suffix}"
    path.replace(target)
    sync_folder(folder)
    sync_folder(path.parent)
