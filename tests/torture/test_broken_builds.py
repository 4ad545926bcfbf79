"""Each build that is broken on purpose is caught by the torture of an order's life, by the sentence that names the harm."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from broken import SWITCHES

HARNESS = Path(__file__).parent / "torture_orders.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it kills and forks as only Linux does")

HARM = {
    "send_before_commit": r"(Order|Close)Command \d+ of signal \w+ was sent, but its decision is not durable",
    "resend_on_unknown": r"decision \w+ (was sent as 2 requests|has 2 positions)",
    "skip_fsync": r"acknowledged records up to \d+ of .* are lost",
    "ignore_seal": r"do not give the sha256 of their seal|the seal line of records \d+ to \d+ cannot be read|bytes that no seal covers",
}
"""The sentence that names what each of them does, and no other."""


def test_every_switch_is_tried_here() -> None:
    assert set(HARM) == {switch for switch in SWITCHES if switch}


@pytest.mark.parametrize("switch", HARM)
def test_a_broken_build_is_caught(switch: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ran = subprocess.run(
        [sys.executable, str(HARNESS), "--short", "--broken", switch, "--report", str(report)],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert report.exists(), ran.stdout[-2000:] + ran.stderr[-2000:]
    failures = json.loads(report.read_text(encoding="utf-8"))["failures"]
    assert ran.returncode == 1
    assert any(re.search(HARM[switch], failure) for failure in failures), failures
    # A journal that keeps its word is not blamed for what others do.
    assert switch == "skip_fsync" or not any(re.search(HARM["skip_fsync"], failure) for failure in failures), failures
