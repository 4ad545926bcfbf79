"""dbt's plugin: the places come from the environment when dbt connects. The builds themselves: `tests/test_dbt_project.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from dbt.adapters.duckdb.credentials import Attachment, DuckDBCredentials

from trading_assets.core.errors import InputError
from trading_assets.store.dbt_plugin import Plugin


def credentials() -> DuckDBCredentials:
    attached = [Attachment(path=":memory:", alias="marts"), Attachment(path="other.duckdb", alias="other")]
    return DuckDBCredentials(database="marts", schema="main", path=":memory:", attach=attached)


def test_the_file_of_the_marts_takes_the_place_the_profile_keeps_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADING_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("TRADING_MARTS", str(tmp_path / "marts.duckdb"))
    told = credentials()
    plugin = Plugin("lake", {}, told)
    plugin.update_connection_config(told, {})
    assert plugin.lake.path("bars").startswith(str(tmp_path / "lake"))
    assert [one.path for one in told.attach or ()] == [str(tmp_path / "marts.duckdb"), "other.duckdb"]


def test_without_its_places_dbt_is_told_how_it_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADING_LAKE", raising=False)
    monkeypatch.delenv("TRADING_MARTS", raising=False)
    with pytest.raises(InputError, match="TRADING_LAKE is not set; run it as `trading exec -- dbt`"):
        Plugin("lake", {}, credentials())
    monkeypatch.setenv("TRADING_LAKE", str(tmp_path))
    with pytest.raises(InputError, match="TRADING_MARTS is not set"):
        Plugin("lake", {}, credentials()).update_connection_config(credentials(), {})
