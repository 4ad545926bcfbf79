"""dbt's sources: every table of the lake with all its columns, as the text of one YAML file for each stage.

Generated from `core.tables`; the models that read them are written by hand in dbt_project. Where the files are kept is
`trading_assets.documents`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import polars as pl

from trading_assets.core.columns.column import (
    BOOLEAN,
    DATE,
    DECIMAL,
    FLOAT,
    INTEGER,
    MOMENT,
    STRING,
    Column,
    DType,
    Table,
)
from trading_assets.core.tables import TABLES

_DUCKDB: dict[DType, str] = {
    STRING: "varchar",
    BOOLEAN: "boolean",
    INTEGER: "bigint",
    FLOAT: "double",
    DATE: "date",
    MOMENT: "timestamp with time zone",
    DECIMAL: "decimal(38,8)",
}


def duckdb_type(dtype: DType) -> str:
    """Return the name DuckDB gives the type."""
    match dtype:
        case pl.List(inner=pl.DataType() as inner):
            return f"{duckdb_type(inner)}[]"
        case pl.Struct(fields=fields):
            inside = ", ".join(
                f'"{field.name}" {duckdb_type(field.dtype)}' for field in fields if isinstance(field.dtype, pl.DataType)
            )
            return f"struct({inside})"
        case _:
            return _DUCKDB[dtype]


def source_files() -> dict[str, str]:
    """Return the YAML of each stage's sources, by stage."""
    stages: dict[str, list[Table]] = {}
    for table in TABLES.values():
        stages.setdefault(table.stage, []).append(table)
    return {stage: "\n".join(_file(tables)) + "\n" for stage, tables in stages.items()}


def _file(tables: list[Table]) -> Iterator[str]:
    yield "# Generated from trading_assets/core/tables.py by `python -m trading_assets.documents`; do not edit."
    yield "version: 2"
    yield ""
    yield "sources:"
    yield "  - name: lake"
    yield "    # Views on the lake live in dbt's session alone and leave no trace in the file of the marts."
    yield "    database: memory"
    yield "    schema: lake"
    yield "    description: The Delta tables of the lake, written by the assets."
    yield "    tables:"
    for table in tables:
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield f"      - name: {table.name}"
    yield f"        description: {_quoted(f'{table.description} {table.grain}')}"
    yield "        config:"
    yield "          plugin: lake"
    yield "          meta:"
    yield f"            grain: {_quoted(table.grain)}"
    yield f"            key: {json.dumps(list(table.key))}"
    yield f"            dagster: {{asset_key: [{_quoted(table.name)}]}}"
    yield "        columns:"
    for column in table.columns:
        yield from _column(column)


def sentence(column: Column) -> str:
    """Return what a person reads of a column: what is in it, in which unit, which values, from where."""
    unit = f" Unit: {column.unit}." if column.unit else ""
    values = f" One of {', '.join(column.allowed)}." if column.allowed else ""
    return f"{column.description}{unit}{values} Source: {column.source}."


def _column(column: Column, within: str = "") -> Iterator[str]:
    """Yield the lines of a column, then of its parts, named `column.part`."""
    yield f"          - name: {within}{column.name}"
    yield f"            data_type: {_quoted(duckdb_type(column.dtype))}"
    yield f"            description: {_quoted(sentence(column))}"
    yield "            config:"
    yield (
        f"              meta: {{unit: {_quoted(column.unit)}, source: {_quoted(column.source)}, "
        f"nullable: {json.dumps(column.nullable)}}}"
    )
    for field in column.fields:
        yield from _column(field, f"{within}{column.name}.")


def _quoted(text: str) -> str:
    """JSON text is YAML text."""
    return json.dumps(text, ensure_ascii=False)
