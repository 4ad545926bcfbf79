"""An order's life under torture, in short: the suite's share of `torture_orders`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HARNESS = Path(__file__).parent / "torture_orders.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it kills and forks as only Linux does")


def tortured(tmp_path: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """Run the harness in a process of its own, since it forks; returns its report and what it printed."""
    report = tmp_path / "report.json"
    ran = subprocess.run(
        [sys.executable, str(HARNESS), "--short", "--report", str(report), *arguments],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert report.exists(), ran.stdout[-2000:] + ran.stderr[-2000:]
    said: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    assert ran.returncode == (1 if said["failures"] else 0)
    return said, ran.stdout


def test_whoever_dies_wherever_in_an_orders_life_the_books_agree_and_no_order_is_sent_twice(tmp_path: Path) -> None:
    said, printed = tortured(tmp_path)
    assert not said["failures"], printed[-3000:]
    counts = said["counts"]
    assert counts["kills"] >= 10
    assert counts["connections cut"] >= 1
    assert counts["trades closed"] >= 40
    assert counts["orders that were unknown"] == counts["unknown orders resolved"] > 0
    assert counts["partial fills"] > 0
    assert counts["plays that came to the same twice"] == 2
