"""Scheduled backups: the oldest goes when a newer one is complete; one that fails drops nothing and is an alert."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from said import Say

from trading_assets.cli.backup import backup
from trading_assets.cli.processes import LiveSettings, write_settings
from trading_assets.cli.scheduled_backups import next_due, scheduled_backup
from trading_assets.core.errors import InputError
from trading_assets.core.records.operations import OpsError
from trading_assets.defs.ops import alert
from trading_assets.store.backup import check_backup
from trading_assets.store.backup_plan import BackupPlan, plan_of, scheduled_copies
from trading_assets.store.home import Home
from trading_assets.store.journal import read_records
from trading_assets.store.journal_disk import WriterLock

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    alert(made, "a test", "so that there is a journal", NOON)
    return made


def files_alone(home: Home, target: Path) -> dict[str, Any]:
    return backup(home, target, with_databases=False)


def alerts(home: Home) -> list[str]:
    return [
        one.message
        for one in read_records(home.raw, types=(OpsError,))
        if isinstance(one, OpsError) and one.component == "scheduled backup"
    ]


def test_the_oldest_is_dropped_once_a_newer_one_is_complete(home: Home, tmp_path: Path) -> None:
    plan = BackupPlan(folder="../copies", keep=2)
    by_hand = tmp_path / "copies" / "trading-20200101T000000Z.tar.zst"
    by_hand.parent.mkdir()
    by_hand.write_text("")
    dropped = [scheduled_backup(home, plan, NOON + day * DAY, files_alone)["dropped"] for day in range(4)]
    assert [len(one) for one in dropped] == [0, 0, 1, 1]
    left = scheduled_copies(home, by_hand.parent)
    assert [at for at, _ in left] == [NOON + 2 * DAY, NOON + 3 * DAY]
    assert by_hand.exists()
    assert check_backup(left[-1][1], lambda _share, _name: None).home == str(home.root)
    assert next_due(home, plan, None) == NOON + 4 * DAY
    assert alerts(home) == []


def test_one_that_fails_drops_nothing_and_is_an_alert(home: Home, tmp_path: Path) -> None:
    plan = BackupPlan(folder="../copies", keep=1)
    scheduled_backup(home, plan, NOON, files_alone)
    before = scheduled_copies(home, tmp_path / "copies")

    def on_a_full_disk(_home: Home, _target: Path) -> dict[str, Any]:
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left on device; make room"):
        scheduled_backup(home, plan, NOON + DAY, on_a_full_disk)
    assert scheduled_copies(home, tmp_path / "copies") == before
    (message,) = alerts(home)
    assert "the scheduled backup to" in message
    assert "older ones are kept" in message


def test_the_plan_outlives_a_start_that_writes_the_settings_anew(home: Home) -> None:
    live = LiveSettings(symbols={"EURUSD": "EURUSD"}, clock="eu", timeframe="M5")
    path, _ = write_settings(home, live)
    assert "[backups]" not in path.read_text()
    path.write_text(path.read_text() + '\n[backups]\nfolder = "../José \\"2\\""\nkeep = 3\n', encoding="utf-8")
    write_settings(home, live)
    assert plan_of(home) == BackupPlan(folder='../José "2"', every_hours=24, keep=3)


def test_without_a_plan_or_a_place_the_command_says_what_is_missing(say: Say, home: Home) -> None:
    said = say("backup", "--scheduled", "--home", home.root)
    assert said.code == 1
    assert "has no [backups]" in " ".join(said.err.split())
    assert say("backup", "--home", home.root).code == 2


def test_a_second_process_of_scheduled_backups_says_that_there_is_one(say: Say, home: Home) -> None:
    (home.root / "settings.toml").write_text('[backups]\nfolder = "../copies"\n')
    lock = WriterLock(home.root, "backups")
    try:
        said = say("backup", "--scheduled", "--home", home.root)
    finally:
        lock.release()
    assert said.code == 1
    assert "its scheduled backups are made already" in said.sentence
    assert scheduled_copies(home, home.root.parent / "copies") == []
