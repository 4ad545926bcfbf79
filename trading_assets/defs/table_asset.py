"""How a table of the lake becomes an asset: name, description, schema, partitions and retries come from its declaration.

What a table holds is written beside it in the module of its stage; this module holds no computation.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import dagster as dg
import polars as pl

from trading_assets.core.tables import TABLES
from trading_assets.defs.partitions import daily_partitions
from trading_assets.defs.rows_by_day import rows_by_day
from trading_assets.defs.settings import AssetSettings

OWNERS = ["team:trading"]
RETRIES = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)
PARTITIONS = daily_partitions(AssetSettings.from_environment().first_date)
ONE_RUN = dg.BackfillPolicy.single_run()


def table_schema(name: str) -> dg.TableSchema:
    """Return a table's columns as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=str(column.dtype),
                description=" ".join(
                    part for part in (column.description, f"[{column.unit}]" if column.unit else "") if part
                ),
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in TABLES[name].columns
        ]
    )


def describe(name: str) -> dict[str, Any]:
    """Return what Dagster shows of a table: description, grain, schema."""
    table = TABLES[name]
    return {
        "description": f"{table.description}\n\n{table.grain}",
        "metadata": {"dagster/column_schema": table_schema(name), "grain": table.grain, "lake_table": name},
        "group_name": table.stage,
        "owners": OWNERS,
        "kinds": {"deltalake", "polars"},
    }


def table_asset(name: str, deps: Sequence[str], **more: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorate a function that writes the daily partitions of one table and returns a MaterializeResult."""
    decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        name=name,
        deps=list(deps),
        partitions_def=PARTITIONS,
        backfill_policy=ONE_RUN,
        retry_policy=RETRIES,
        **{**describe(name), **more},
    )
    return lambda write: decorator(_with_rows_by_day(name, write))


def _with_rows_by_day(name: str, write: Callable[..., Any]) -> Callable[..., Any]:
    """Add to what the function reports how many rows the table has on each of its latest days."""

    @wraps(write)
    def written(*arguments: Any, **named: Any) -> Any:
        result = write(*arguments, **named)
        if not isinstance(result, dg.MaterializeResult):
            return result
        lake = named["storage"].lake
        return result._replace(metadata={**(result.metadata or {}), "rows_by_day": rows_by_day(lake, name)})

    return written


def whole_table_asset(
    name: str, deps: Sequence[str], **more: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorate a function that writes a table as a whole, without partitions."""
    decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        name=name, deps=list(deps), retry_policy=RETRIES, **{**describe(name), **more}
    )
    return decorator


def table_spec(name: str, deps: Sequence[str] = ()) -> dg.AssetSpec:
    """Return the spec of a table that is written together with others."""
    about = describe(name)
    return dg.AssetSpec(
        name,
        deps=list(deps),
        description=about["description"],
        metadata=about["metadata"],
        group_name=about["group_name"],
        owners=about["owners"],
        kinds=about["kinds"],
        partitions_def=PARTITIONS,
    )


def materialised(
    name: str | None, rows: int, *, rows_in: int | None = None, **metadata: Any
) -> dg.MaterializeResult[Any]:
    """Report rows written, and rows read where the two must be seen side by side."""
    shown: dict[str, Any] = (
        {"dagster/row_count": rows} | ({"rows_in": rows_in} if rows_in is not None else {}) | metadata
    )
    return dg.MaterializeResult(asset_key=name, metadata=shown)


def picture(png: bytes, name: str) -> dg.MarkdownMetadataValue:
    """Return a picture that Dagster shows without a file server."""
    return dg.MetadataValue.md(f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})")


def conform(name: str, frame: pl.DataFrame, **constants: Mapping[str, Any] | Any) -> pl.DataFrame:
    """Return the frame with exactly the table's columns in order and type; `constants` fill columns it lacks.

    Raises polars' ColumnNotFoundError when a column is neither there nor given: nothing is made up.
    """
    table = TABLES[name]
    filled = frame.with_columns(**{key: pl.lit(value) for key, value in constants.items()})
    return filled.select(pl.col(column.name).cast(column.dtype) for column in table.columns)
