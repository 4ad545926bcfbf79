"""The table of what was written into the lake, from the journal's records of it. What writes those is `defs.ops`."""

from typing import Any

import dagster as dg

from trading_assets.defs.resources import Storage
from trading_assets.defs.table_asset import conform, materialised, whole_table_asset


@whole_table_asset("transforms", ["raw_transforms"])
def transforms(storage: Storage) -> dg.MaterializeResult[Any]:
    lake = storage.lake
    recorded, known = lake.rows_by_date("raw_transforms"), lake.rows_by_date("transforms")
    grown = sorted(day for day in recorded.keys() | known.keys() if recorded.get(day) != known.get(day))
    if grown:
        lake.overwrite_dates("transforms", conform("transforms", lake.read("raw_transforms", dates=grown)), grown)
    return materialised(None, sum(recorded.values()), rows_in=sum(recorded.get(day, 0) for day in grown))
