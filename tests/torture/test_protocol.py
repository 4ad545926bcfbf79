"""The bridge among hostile terminals, in short: the suite's share of `torture_protocol`."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent / "torture_protocol.py"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """What the harness says after its short form."""
    report = tmp_path_factory.mktemp("protocol") / "report.json"
    ran = subprocess.run(
        [sys.executable, str(HARNESS), "--short", "--report", str(report)],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert report.exists(), ran.stdout[-2000:] + ran.stderr[-2000:]
    told: dict[str, dict[str, int]] = json.loads(report.read_text(encoding="utf-8"))
    assert not told["failures"], told
    return told


def test_hostile_terminals_are_refused_answered_and_recorded_and_a_good_one_plays_on(
    said: dict[str, dict[str, int]],
) -> None:
    assert said["counts"]["frames with something wrong"] > 200
    assert said["counts"]["refusals answered"] > 50
    assert said["counts"]["reasons of refusal"] >= 6


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has wheels for Linux on x86_64 alone")
def test_a_fuzzer_that_follows_coverage_finds_no_crash_no_hang_and_no_memory_without_bound(
    said: dict[str, dict[str, int]],
) -> None:
    assert said["counts"]["inputs of the fuzzer"] > 200
    assert said["counts"]["inputs it found worth keeping"] > 10
