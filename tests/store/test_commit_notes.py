"""Every write of the lake says with which code, in which run and from which versions of other tables it was made."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from trading_assets import __version__
from trading_assets.core.tables import TABLES
from trading_assets.store.commit_notes import told_by
from trading_assets.store.lake import Lake

DAY = date(2026, 3, 2)


def test_a_write_names_its_run_its_code_and_what_was_read_for_it(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for name in ("bars", "features", "signals", "candidates"):
        lake.create(TABLES[name])
    lake.provenance.run_id = "run-7"
    empty = {name: TABLES[name].empty() for name in TABLES}
    lake.read("bars")
    lake.read("features")
    lake.replace("signals", empty["signals"])
    lake.replace("candidates", empty["candidates"])
    lake.read("bars")
    lake.read("features")
    lake.replace("features", empty["features"])
    notes = {name: told_by(lake.history(name, 1)[0]) for name in ("signals", "candidates", "features", "bars")}
    both = {"code_version": __version__, "run_id": "run-7", "sources": ("bars@0", "features@0"), "delta_version": 1}
    assert notes["signals"] == notes["candidates"] == both
    # What it read of itself is no source.
    assert notes["features"] == both | {"sources": ("bars@0",)}
    assert notes["bars"] == {}
