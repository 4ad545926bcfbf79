"""No process outlives the command that owns it: killed, asked to end, or ended by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from trading_assets.store.owned_processes import MARK, EndAsked, end_on_signals, owned_processes
from trading_assets.store.process_keeper import end_marked, marked

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

SLEEPER = "import time; time.sleep(600)"
CHILD = f"""
import subprocess, sys, time
own = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}], start_new_session=True)
print(own.pid, flush=True)
time.sleep(600)
"""
OWNER = f"""
import os, subprocess, sys
from trading_assets.store.owned_processes import end_on_signals, owned_processes
end_on_signals()
with owned_processes():
    child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE, start_new_session=True)
    print(child.pid, int(child.stdout.readline()), flush=True)
    if sys.argv[1] == "ends":
        sys.exit(3)
    child.wait()
"""
"""A child, and a grandchild in a session of its own whose parent may be gone before it."""


def family(how: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, how], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout as said:
        return owner, [psutil.Process(int(pid)) for pid in said.readline().split()]


@pytest.mark.parametrize("how", ["kill", "terminate", "ends"])
def test_child_and_grandchild_end_with_their_owner(how: str) -> None:
    owner, owned = family(how)
    assert len(owned) == 2
    if how != "ends":
        getattr(owner, how)()
    owner.wait(30)
    _, left = psutil.wait_procs(owned, timeout=30)
    assert left == []


@posix
def test_a_grandchild_whose_parent_was_killed_before_ends_with_the_owner() -> None:
    owner, (child, grandchild) = family("kill")
    child.kill()
    owner.wait(30)
    psutil.wait_procs([grandchild], timeout=30)
    assert not grandchild.is_running()


@posix
def test_one_that_does_not_want_to_end_is_killed() -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    child = subprocess.Popen(
        [sys.executable, "-c", deaf], env={**os.environ, MARK: "outer:mine"}, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    with child.stdout as said:
        said.readline()
    assert [process.pid for process in marked("mine")] == [child.pid]
    assert marked("min") == []
    end_marked("mine", patience_s=0.1)
    child.wait()
    assert marked("mine") == []


def test_within_itself_there_is_one_keeper_and_the_mark_is_taken_off_again() -> None:
    before = os.environ.get(MARK)
    with owned_processes() as outer, owned_processes() as inner:
        assert inner is outer
        assert outer.mark in os.environ[MARK]
    assert os.environ.get(MARK) == before


def test_a_command_within_another_bears_both_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "other")
    with owned_processes() as keeper:
        assert os.environ[MARK] == f"other:{keeper.mark}"
    assert os.environ[MARK] == "other"


@posix
def test_a_signal_unwinds_as_ctrl_c_does_and_one_that_was_ignored_stays_so() -> None:
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    before = {name: signal.getsignal(getattr(signal, name)) for name in names}
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        end_on_signals()
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt) as asked:
            os.kill(os.getpid(), signal.SIGTERM)
        assert isinstance(asked.value, EndAsked)
        assert asked.value.number == signal.SIGTERM
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def test_the_keeper_imports_nothing_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "trading_assets.py").write_text("raise SystemExit('hijacked')")
    done = subprocess.run(
        [sys.executable, "-P", "-c", OWNER, "ends"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
