"""Scheduled backups: when one is due, which are dropped, and what is never touched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trading_assets.core.errors import InputError
from trading_assets.store.backup_plan import BackupPlan, copy_name, plan_of, scheduled_copies, standing_of
from trading_assets.store.home import Home

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PLAN = BackupPlan(folder="../copies", every_hours=24, keep=2)


def test_without_the_table_nothing_is_copied_and_its_defaults_are_a_day_and_a_week(tmp_path: Path) -> None:
    assert plan_of(Home(tmp_path)) is None
    (tmp_path / "settings.toml").write_text('port = 1\n[backups]\nfolder = "../copies"\n')
    plan = plan_of(Home(tmp_path))
    assert plan == BackupPlan(folder="../copies", every_hours=24, keep=7)
    assert plan.folder_of(Home(tmp_path)) == tmp_path.parent / "copies"


def test_a_home_whose_copies_are_not_made_is_overdue(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.root.mkdir()
    assert standing_of(home, NOON) is None
    (home.root / "settings.toml").write_text('[backups]\nfolder = "../copies"\n')
    (tmp_path / "copies").mkdir()
    told = standing_of(home, NOON)
    assert told is not None
    assert (told["newest_at"], told["count"], told["is_overdue"]) == (None, 0, True)
    (tmp_path / "copies" / copy_name(home, NOON)).write_text("")
    for hours, is_overdue in ((24, False), (26, True)):
        told = standing_of(home, NOON + timedelta(hours=hours))
        assert told is not None
        assert (told["newest_at"], told["count"], told["is_overdue"]) == (NOON, 1, is_overdue)


@pytest.mark.parametrize(
    "table", ['folder = "copies"', 'folder = "/x"\nkeep = 0', 'folder = "/x"\nkept = 3', "keep = 3"]
)
def test_a_plan_that_cannot_be_followed_is_refused_in_a_sentence(tmp_path: Path, table: str) -> None:
    (tmp_path / "settings.toml").write_text(f"[backups]\n{table}\n")
    with pytest.raises(InputError, match="reading \\[backups\\]"):
        plan_of(Home(tmp_path))


def test_one_is_due_a_day_after_the_newest_and_an_hour_after_a_failure() -> None:
    hour, day = timedelta(hours=1), timedelta(days=1)
    assert PLAN.due_at(None, None) is None
    assert PLAN.due_at(NOON, None) == NOON + day
    assert PLAN.due_at(NOON, NOON + day) == NOON + day + hour
    assert PLAN.due_at(None, NOON) == NOON + hour


def test_only_scheduled_copies_of_this_home_are_counted(tmp_path: Path) -> None:
    home, other = Home(Path("/srv/one")), Home(Path("/srv/two"))
    mine = [copy_name(home, NOON + timedelta(days=day)) for day in (2, 0, 1)]
    for name in (*mine, copy_name(other, NOON), "trading-20260301T000000Z.tar.zst", copy_name(home, NOON) + ".part"):
        (tmp_path / name).write_text("")
    found = scheduled_copies(home, tmp_path)
    assert [at for at, _ in found] == [NOON + timedelta(days=day) for day in range(3)]
    assert PLAN.too_many([path for _, path in found]) == [tmp_path / mine[1]]
