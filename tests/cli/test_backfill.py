"""`trading backfill` as a process: killed in the middle and given again, it ends with the rows of a run nobody disturbed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from played import DAYS, PATIENCE_S, PROJECT, Played, copied, environment
from said import Say

from trading_assets.cli.backfill import Piece, pieces_of
from trading_assets.cli.environment import beside_python
from trading_assets.core.tables import TABLES
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake
from trading_assets.store.under_way import begin_days, end_days, unfinished_days

pytestmark = pytest.mark.timeout(900)

STAGES = ("raw", "market", "features", "signals", "trades", "ledger", "labels", "dataset")
OTHERS = {"label_definitions", "feature_definitions", "dataset_versions"}
"""Registries, and the versions, which tell how the rows came and not what they are."""
OPS = {"raw_transforms", "raw_promotions", "raw_findings", "raw_ops_errors", "raw_repairs"}
"""What the asset half says of its own runs."""


@pytest.fixture
def emptied(played: Played, tmp_path: Path) -> Iterator[Home]:
    """A played home without its tables."""
    with copied(played.home, tmp_path / "copy") as home:
        shutil.rmtree(home.lake)
        shutil.rmtree(home.cursors)
        yield home


def start(home: Home) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [beside_python("trading"), "backfill", "--to", str(DAYS[-1]), "--piece-days", "2", "--json", "--home", str(home.root)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=PROJECT,
    )  # fmt: skip


def test_a_backfill_that_was_killed_goes_on_and_ends_as_one_that_was_not(played: Played, emptied: Home) -> None:
    first, noted, lake = start(emptied), emptied.cursors / "backfill.json", Lake(emptied.lake)
    until = time.monotonic() + PATIENCE_S
    while first.poll() is None and time.monotonic() < until:
        # The second piece is past its raw tables and has made nothing of them yet.
        if noted.exists() and DAYS[2] in unfinished_days(emptied) and DAYS[2] in lake.dates("raw_quotes"):
            break
        time.sleep(0.02)  # another process fills the lake
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    assert [name.split()[0] for name in json.loads(noted.read_text())["done"]] == ["ingest"]
    assert DAYS[2] not in lake.dates("trades")

    second = start(emptied)
    said, problems = second.communicate(timeout=PATIENCE_S * 3)
    assert second.returncode == 0, problems
    assert json.loads(said) | {"first": ""} == {
        "first": "", "last": str(DAYS[-1]), "days": 4, "pieces": 6, "done_before": 1,
    }  # fmt: skip
    assert not noted.exists()
    assert unfinished_days(emptied) == set()
    before = Lake(played.home.lake)
    names = [name for name, table in TABLES.items() if table.stage in STAGES and name not in OTHERS | OPS]
    different = [name for name in names if not lake.read(name, dates=DAYS).equals(before.read(name, dates=DAYS))]
    assert different == []
    assert lake.read("learning_dataset").height


def test_a_range_is_cut_into_runs_job_by_job() -> None:
    assert list(pieces_of(date(2026, 1, 1), date(2026, 1, 3), 2))[:3] == [
        Piece("ingest", date(2026, 1, 1), date(2026, 1, 2)),
        Piece("ingest", date(2026, 1, 3), date(2026, 1, 3)),
        Piece("ledger", date(2026, 1, 1), date(2026, 1, 2)),
    ]


@pytest.mark.parametrize(
    "arguments", [("--from", "2025-12-31"), ("--to", "2030-01-01"), ("--from", "2026-01-06", "--to", "2026-01-05")]
)
def test_days_the_journals_have_nothing_of_are_one_sentence(
    say: Say, played: Played, arguments: tuple[str, ...]
) -> None:
    said = say("backfill", *arguments, "--home", played.home.root)
    assert said.code == 1
    assert "the journals reach from 2026-01-04 to 2026-01-07" in said.sentence


def test_days_stay_under_way_until_a_run_over_them_has_ended(tmp_path: Path) -> None:
    home = Home(tmp_path)
    begin_days(home, "killed", DAYS[:3])
    begin_days(home, "next", DAYS[1:])
    assert unfinished_days(home) == set(DAYS)
    end_days(home, "next")
    assert unfinished_days(home) == {DAYS[0]}
    end_days(home, "unknown")
    assert unfinished_days(home) == {DAYS[0]}
    begin_days(home, "last", [DAYS[0]])
    end_days(home, "last")
    assert unfinished_days(home) == set()
    assert list((home.cursors / "under_way").iterdir()) == []
