"""The soak in short: the suite's share of `torture_soak`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent / "torture_soak.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it forks as only Linux does")


def test_trading_at_every_bar_leaves_books_that_agree_to_the_cent(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ran = subprocess.run(
        [sys.executable, str(HARNESS), "--short", "--report", str(report)],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert report.exists(), ran.stdout[-2000:] + ran.stderr[-2000:]
    said = json.loads(report.read_text(encoding="utf-8"))
    assert not said["failures"], said
    assert said["counts"]["trades closed"] > 100
    assert ran.returncode == 0
