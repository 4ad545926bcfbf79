"""The command inbox: whole files, each taken once, in order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trading_assets.core.errors import InputError, StateError
from trading_assets.store import control
from trading_assets.store.control import (
    Answer,
    Command,
    answer_of,
    finish_command,
    put_command,
    take_commands,
    unfinished_commands,
    waiting_commands,
    withdraw_command,
)


def test_a_command_is_taken_once_and_finished(tmp_path: Path) -> None:
    command = Command("01", "breaker_reset", "drawdown_stop")
    assert take_commands(tmp_path / "control") == []
    assert put_command(tmp_path / "control", command) == "01"
    assert take_commands(tmp_path / "control") == [command]
    assert take_commands(tmp_path / "control") == []
    assert unfinished_commands(tmp_path / "control") == [command]
    assert answer_of(tmp_path / "control", "01") is None
    for words in ("reset on paper", "said twice"):
        finish_command(tmp_path / "control", command, is_done=True, answer=words)
    told = answer_of(tmp_path / "control", "01")
    assert told == Answer("01", "breaker_reset", "drawdown_stop", is_done=True, answer="reset on paper")
    assert unfinished_commands(tmp_path / "control") == []


def test_commands_are_taken_in_the_order_they_were_given(tmp_path: Path) -> None:
    for time, name in enumerate(("c", "a", "b")):
        put_command(tmp_path, Command(name, "halt", "news"))
        os.utime(tmp_path / f"{name}.json", (time, time))
    assert [command.command_id for command in take_commands(tmp_path)] == ["c", "a", "b"]


def test_an_id_is_given_once_for_all(tmp_path: Path) -> None:
    command = Command("01", "drain")

    def finish() -> None:
        finish_command(tmp_path, command, is_done=True, answer="")

    for step in (lambda: None, lambda: take_commands(tmp_path), finish):
        step()
        if not (tmp_path / "01.json").exists() and not (tmp_path / "taken").exists():
            put_command(tmp_path, command)
        with pytest.raises(StateError, match="a command of this id was given before; give it a new id"):
            put_command(tmp_path, command)


def test_a_crash_between_the_answer_and_its_file_does_not_answer_twice(tmp_path: Path) -> None:
    command = Command("01", "halt")
    put_command(tmp_path, command)
    take_commands(tmp_path)
    taken = (tmp_path / "taken" / "01.json").read_bytes()
    finish_command(tmp_path, command, is_done=True, answer="halted")
    (tmp_path / "taken" / "01.json").write_bytes(taken)
    assert unfinished_commands(tmp_path) == []
    assert not (tmp_path / "taken" / "01.json").exists()


def test_a_command_that_waits_can_be_taken_back_and_one_that_is_taken_cannot(tmp_path: Path) -> None:
    put_command(tmp_path, Command("01", "resume"))
    assert withdraw_command(tmp_path, "01")
    assert take_commands(tmp_path) == []
    put_command(tmp_path, Command("02", "resume"))
    take_commands(tmp_path)
    assert not withdraw_command(tmp_path, "02")


def odd_entries(folder: Path) -> list[str]:
    """Put everything into a folder that is no small regular file, older than all else; return the names."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "folder.json").mkdir()
    (folder / "folder.json" / "full").write_text("of something")
    (folder / "link.json").symlink_to("/dev/zero")
    (folder / "dangling.json").symlink_to("nowhere")
    (folder / "large.json").write_bytes(b" " * 1_000_000)
    (folder / "deep.json").write_bytes(b"[" * 60_000)
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.json")
    names = [
        f"{name}.json"
        for name in ("folder", "link", "dangling", "large", "deep", "pipe")
        if os.path.lexists(folder / f"{name}.json")
    ]
    for name in names:
        os.utime(folder / name, (1, 1), follow_symlinks=False)
    return names


def test_what_is_no_file_stands_in_nobodys_way_is_put_aside_and_told(tmp_path: Path) -> None:
    names = odd_entries(tmp_path)
    put_command(tmp_path, Command("01", "halt"))
    refused: dict[str, str] = {}
    assert [one.command.command_id for one in waiting_commands(tmp_path)] == ["01"]
    assert [command.command_id for command in take_commands(tmp_path, refused.__setitem__)] == ["01"]
    assert {f"{name}.json" for name in refused} == set(names)
    assert "it is a named pipe, not a file" in refused["pipe"]
    assert "it has 1000000 bytes, 65536 are the most" in refused["large"]
    again = odd_entries(tmp_path)
    assert take_commands(tmp_path) == []
    assert not list(tmp_path.glob("*.json"))
    assert len(list((tmp_path / "refused").iterdir())) == 2 * len(again), "of one name, neither takes the other's place"


def test_what_is_damaged_among_the_taken_is_put_aside_and_the_rest_is_answered(tmp_path: Path) -> None:
    put_command(tmp_path, Command("01", "drain"))
    take_commands(tmp_path)
    names = odd_entries(tmp_path / "taken")
    refused: dict[str, str] = {}
    assert [command.command_id for command in unfinished_commands(tmp_path, refused.__setitem__)] == ["01"]
    assert {f"{name}.json" for name in refused} == set(names)
    assert [command.command_id for command in unfinished_commands(tmp_path)] == ["01"]


def test_what_cannot_be_read_or_moved_stays_is_told_and_what_stands_behind_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("foreign", "mine"):
        put_command(tmp_path, Command(name, "halt"))
    read = control.read_small_file

    def refuse_one(path: Path, most_bytes: int) -> bytes:
        # Permissions mean nothing to root, who may run these tests.
        if path.stem == "foreign":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, most_bytes)

    monkeypatch.setattr(control, "read_small_file", refuse_one)
    stuck: dict[str, str] = {}
    assert [command.command_id for command in take_commands(tmp_path, None, stuck.__setitem__)] == ["mine"]
    assert stuck == {"foreign.json": "not readable (Permission denied); mend its permissions or remove it"}
    assert (tmp_path / "foreign.json").exists()


def test_a_command_taken_back_while_the_inbox_is_read_keeps_no_other_from_being_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        put_command(tmp_path, Command(name, "halt"))
    read = control._read

    def read_late(path: Path) -> Command:
        withdraw_command(tmp_path, "a")
        return read(path)

    monkeypatch.setattr(control, "_read", read_late)
    assert [command.command_id for command in take_commands(tmp_path)] == ["b"]


@pytest.mark.parametrize("name", ["", "../up", "a b", ".x", "x" * 101])
def test_an_id_that_cannot_be_a_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be an id"):
        put_command(tmp_path, Command(name, "halt"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b'{"command_id":"bad","command":"explode"}', b'{"command_id":"other","command":"halt"}',
     b'{"command_id":"bad","command":"halt","more":1}'],
)  # fmt: skip
def test_what_is_no_command_is_put_aside_and_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    put_command(tmp_path, Command("good", "resume"))
    refused: list[tuple[str, str]] = []
    commands = take_commands(tmp_path, lambda name, reason: refused.append((name, reason)))
    assert [command.command_id for command in commands] == ["good"]
    assert [name for name, _ in refused] == ["bad"]
    assert "give one of halt, resume" in refused[0][1]
    assert (tmp_path / "refused" / "bad.json").read_bytes() == content


def test_half_written_files_are_not_seen(tmp_path: Path) -> None:
    (tmp_path / ".01.json.99.tmp").write_bytes(b"{")
    assert take_commands(tmp_path) == []
    assert (tmp_path / ".01.json.99.tmp").exists()
