"""Every table of the lake by name: the raw ones derived from the record types, the others declared stage by stage.

How they rest on disk is `store.lake`; dbt's sources and column docs are generated from here. The declarations
themselves live in `core.columns`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_assets.core.columns.column import Column, Table
from trading_assets.core.columns.decisions import DECISION_TABLES
from trading_assets.core.columns.learning import LEARNING_TABLES
from trading_assets.core.columns.ledger import LEDGER_TABLES
from trading_assets.core.columns.market import MARKET_TABLES, REGISTRY_DATE, REGISTRY_OWNER
from trading_assets.core.columns.operations import OPERATIONS_TABLES
from trading_assets.core.columns.raw import RAW_TABLES, raw_name
from trading_assets.core.columns.trades import TRADE_TABLES

if TYPE_CHECKING:
    import pandera.polars as pandera

__all__ = [
    "REGISTRY_DATE",
    "REGISTRY_OWNER",
    "TABLES",
    "Column",
    "Table",
    "pandera_schema",
    "raw_name",
]

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        *RAW_TABLES,
        *MARKET_TABLES,
        *DECISION_TABLES,
        *TRADE_TABLES,
        *LEDGER_TABLES,
        *LEARNING_TABLES,
        *OPERATIONS_TABLES,
    )
}


def pandera_schema(table: Table) -> pandera.DataFrameSchema:
    """Return what a frame of the table must be: these columns and types, nulls and values allowed, key unique.

    Pass it a collected frame: pandera accepts bad data silently when it is given a LazyFrame.
    """
    import pandera.polars as pandera  # takes 1.7 s to import, which most users of the declarations do not need

    def column_schema(column: Column) -> pandera.Column:
        checks = []
        if column.allowed:
            checks.append(pandera.Check.isin(column.allowed))
        if column.lowest is not None:
            checks.append(pandera.Check.ge(column.lowest))
        if column.highest is not None:
            checks.append(pandera.Check.le(column.highest))
        return pandera.Column(column.dtype, checks or None, nullable=column.nullable)

    return pandera.DataFrameSchema(
        {column.name: column_schema(column) for column in table.columns},
        strict=True,
        ordered=True,
        unique=list(table.key) or None,
        name=table.name,
    )
