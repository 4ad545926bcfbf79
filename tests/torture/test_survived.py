"""What a harness says and how all of them are run."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from power_cut import cut_power, leave_remains, noting
from survived import Survived
from torture_soak import Sample, growth_of

TORTURE = Path(__file__).parent


def test_what_was_not_survived_is_said_in_a_sentence_each() -> None:
    text = Survived("orders", {"plays": 3}, ("seed 1: a deal is missing",)).text()
    assert text.splitlines() == ["orders: 1 NOT SURVIVED", "  3 plays", "  not survived: seed 1: a deal is missing"]


@pytest.mark.parametrize(("ends", "status"), [("()", 0), ("('it broke',)", 1)])
def test_one_harness_that_does_not_survive_fails_all_of_them(tmp_path: Path, ends: str, status: int) -> None:
    for name in ("__main__.py", "survived.py", "broken.py"):
        (tmp_path / name).write_text((TORTURE / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "torture_nothing.py").write_text(
        "import sys\nfrom survived import Survived, run\n"
        "def survive(*, is_short, seed, broken=''):\n"
        f"    return Survived('nothing', {{'things': seed}}, {ends})\n"
        "sys.exit(run(survive, None))\n"
    )
    ran = subprocess.run([sys.executable, str(tmp_path), "--seed", "7"], capture_output=True, text=True, check=False)
    assert ran.returncode == status
    assert ("7 things" in ran.stdout) if status == 0 else ("it broke" in ran.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_a_power_cut_takes_what_was_not_synced_and_no_byte_more(tmp_path: Path) -> None:
    notes, root = tmp_path / "durable", tmp_path / "raw"
    root.mkdir()
    sync = noting(notes)
    for name, is_synced in (("a.ndjson", True), ("b.ndjson", False)):
        descriptor = os.open(root / name, os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, b"durable")
        if is_synced:
            sync(descriptor)
        os.write(descriptor, b" or not")
        os.close(descriptor)
    lost = cut_power(root, notes)
    assert (root / "a.ndjson").read_bytes() == b"durable"
    assert not (root / "b.ndjson").exists()
    assert lost.size == len(b" or not") + len(b"durable or not")
    leave_remains(lost, random.Random(1))
    assert (root / "a.ndjson").read_bytes().startswith(b"durable")


def test_growth_is_measured_from_the_end_of_the_warm_up() -> None:
    samples = [Sample(share / 100, 100 if share < 20 else 200 if share < 90 else 210) for share in range(101)]
    assert growth_of(samples) == pytest.approx(0.05)
