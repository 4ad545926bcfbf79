"""How a table of the lake becomes an asset: name, description, schema, partitions and retries come from its declaration.

What a table holds is written beside it in the module of its stage; this module holds no computation.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

import dagster as dg
import polars as pl

from trading_assets.core.dbt_sources import duckdb_type, sentence
from trading_assets.core.tables import TABLES
from trading_assets.defs.partitions import daily_partitions
from trading_assets.defs.rows_by_day import rows_by_day
from trading_assets.defs.settings import AssetSettings
from trading_assets.store.lake import Lake

OWNERS = ["team:trading"]
RETRIES = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)
PARTITIONS = daily_partitions(AssetSettings.from_environment().first_date)
ONE_RUN = dg.BackfillPolicy.single_run()


def table_schema(name: str) -> dg.TableSchema:
    """Return a table's columns as Dagster shows them: the types and words of the data docs."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=duckdb_type(column.dtype),
                description=sentence(column),
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
    return lambda write: decorator(_counting(name, write, of_days=True))


def _counting(name: str, write: Callable[..., Any], *, of_days: bool) -> Callable[..., Any]:
    """Add to what the function reports how many rows the table has."""

    @wraps(write)
    def written(*arguments: Any, **named: Any) -> Any:
        return _counted(named["storage"].lake, name, write(*arguments, **named), of_days=of_days)

    return written


def counting(write: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Decorate a function that writes several tables: add to what it reports how many rows each table has."""

    @wraps(write)
    def written(*arguments: Any, **named: Any) -> Iterator[Any]:
        for result in write(*arguments, **named):
            yield _counted(named["storage"].lake, result.asset_key.path[-1], result, of_days=True)

    return written


def _counted(lake: Lake, name: str, result: Any, *, of_days: bool) -> Any:
    """Return what was reported, with the rows of the whole table and of its latest days, from the table's log alone."""
    if not isinstance(result, dg.MaterializeResult):
        return result
    by_day = lake.rows_by_date(name)
    shown: dict[str, Any] = {"dagster/row_count": sum(by_day.values()), **(result.metadata or {})}
    if of_days:
        shown["rows_by_day"] = rows_by_day(by_day)
    return result._replace(metadata=shown)


def whole_table_asset(
    name: str, deps: Sequence[str], **more: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorate a function that writes a table as a whole, without partitions."""
    decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        name=name, deps=list(deps), retry_policy=RETRIES, **{**describe(name), **more}
    )
    return lambda write: decorator(_counting(name, write, of_days=False))


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
    """Report rows written, and rows read where the two must be seen side by side; what the table holds is added to it."""
    shown: dict[str, Any] = {"rows_out": rows} | ({"rows_in": rows_in} if rows_in is not None else {}) | metadata
    return dg.MaterializeResult(asset_key=name, metadata=shown)


def is_shown(context: object) -> bool:
    """Whether Dagster shows what an asset says of itself: for the self-check, which makes tables by itself, nothing is drawn."""
    return isinstance(context, dg.AssetExecutionContext)


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
