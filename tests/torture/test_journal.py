"""The journal's torture in its short form, and that it can fail: broken builds are caught."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def torture(tmp_path: Path, noun: str, *options: str) -> dict[str, Any]:
    """Run a harness in a process of its own: it forks, and its broken builds patch what they run in."""
    report = tmp_path / "report.json"
    command = [sys.executable, str(HERE / f"torture_{noun}.py"), "--short", "--report", str(report), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert report.exists(), done.stderr
    told: dict[str, Any] = json.loads(report.read_text())
    assert (done.returncode == 0) == (not told["failures"])
    return told


@pytest.mark.skipif(sys.platform != "linux", reason="it kills with SIGKILL and reads /proc")
@pytest.mark.parametrize("broken", ["", "skip_fsync", "ignore_seal"])
def test_a_writer_that_is_killed_keeps_what_it_acknowledged_and_a_broken_one_is_caught(
    tmp_path: Path, broken: str
) -> None:
    # What a kill finds is a matter of milliseconds: a broken build is caught by the second or third seed at the latest.
    for seed in range(1, 4 if broken else 2):
        told = torture(tmp_path, "journal", "--seed", str(seed), "--broken", broken)
        if told["failures"]:
            break
    assert bool(told["failures"]) == bool(broken), told["failures"]
    assert told["counts"]["kills"] == 15
    assert told["counts"]["of them power cuts"] == 10


@pytest.mark.parametrize("broken", ["", "ignore_seal"])
def test_whatever_is_damaged_is_found_and_named_and_a_build_that_ignores_seals_is_caught(
    tmp_path: Path, broken: str
) -> None:
    told = torture(tmp_path, "damage", "--broken", broken)
    assert bool(told["failures"]) == bool(broken), told["failures"][:3]
    if not broken:
        assert min(told["counts"].values()) >= 1
        assert told["counts"]["bit flipped"] > 300


def test_a_disk_that_fails_fills_and_dawdles_loses_nothing_and_keeps_nothing_it_refused(tmp_path: Path) -> None:
    told = torture(tmp_path, "disk")
    assert told["failures"] == []
    assert told["counts"]["syncs that failed"] > 0
    assert told["counts"]["appends refused"] > 0
