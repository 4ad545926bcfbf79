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
TOLD_OTHERWISE = Path(__file__).parent / "told_otherwise.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it kills and forks as only Linux does")

HARM = {
    "send_before_commit": r"(Order|Close)Command \d+ of signal \w+ was sent, but its decision is not durable",
    "resend_on_unknown": r"decision \w+ (was sent as 2 requests|has 2 positions)",
    "skip_fsync": r"acknowledged records up to \d+ of .* are lost",
    "ignore_seal": r"do not give the sha256 of their seal|the seal line of records \d+ to \d+ cannot be read|bytes that no seal covers",
}
"""The sentence that names what each of them does, and no other."""
OF_WHAT_IS_TOLD = {
    "forget_revision": r"deal \d+ is recorded with other figures than the terminal's",
    "close_by_identifier": r"the close of position \d+ was refused \d+ times, because there is no such ticket",
    "forget_old_position": r"trade \w+ made \S+ by its deals, \S+ by its outcome",
    "ignore_contract_changes": r"\d+ entries in \w+ were refused by terms of its contract that the terminal had told",
    "accept_other_login": r"sessions of 2 accounts were taken",
    "deposits_are_profit": r"the high-water mark is \S+, deposits and gains make \S+ at most",
    "book_twice": r"deal \d+ is recorded \d+ times, twice with the same figures",
}
"""The same of builds that make the wrong thing of a terminal that tells something else than before."""


def test_every_switch_is_tried_here() -> None:
    assert {*HARM, *OF_WHAT_IS_TOLD} == {switch for switch in SWITCHES if switch}


def test_builds_that_do_not_follow_what_is_told_are_caught_and_the_sound_one_has_nothing_said_of_it() -> None:
    ran = subprocess.run(
        [sys.executable, str(TOLD_OTHERWISE), "--short"], capture_output=True, text=True, timeout=240, check=False
    )
    assert ran.stdout, ran.stderr[-2000:]
    said = json.loads(ran.stdout)
    assert said.pop("") == []
    assert said.keys() == OF_WHAT_IS_TOLD.keys()
    assert {name for name in said if not any(re.search(OF_WHAT_IS_TOLD[name], one) for one in said[name])} == set()


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
