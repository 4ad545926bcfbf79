"""Tables: derived from the records where they can be, and of types the lake keeps."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.columns.column import DECIMAL, MOMENT, Column, is_allowed, table
from trading_assets.core.columns.raw import columns_of, field_columns
from trading_assets.core.fields import doc
from trading_assets.core.records.codec import RECORD_TYPES
from trading_assets.core.records.decisions import Candidate, Decision
from trading_assets.core.records.record import Record
from trading_assets.core.tables import TABLES, pandera_schema, raw_name

EVERY_TABLE = list(TABLES.values())


def test_every_record_type_has_a_raw_table_with_all_its_fields() -> None:
    for kind in RECORD_TYPES:
        names = set(TABLES[raw_name(kind)].names)
        assert names - {"date", "journal_index"} == set(kind.__struct_fields__)


def test_raw_tables_are_named_by_tag() -> None:
    assert [raw_name(kind) for kind in RECORD_TYPES[:3]] == ["raw_quotes", "raw_bars", "raw_quarantines"]


def test_nested_records_become_lists_and_structs() -> None:
    decisions = TABLES["raw_decisions"].schema
    candidates = decisions["candidates"]
    assert isinstance(candidates, pl.List)
    assert isinstance(candidates.inner, pl.Struct)
    assert {field.name for field in candidates.inner.fields} == set(Candidate.__struct_fields__)
    assert decisions["volume_lots"] == DECIMAL
    assert decisions["decided_at"] == MOMENT


def test_the_parts_of_a_nested_column_are_described_too() -> None:
    inputs = TABLES["raw_decisions"].column("inputs")
    spread = {part.name: part for part in inputs.fields}
    assert spread["bid"].unit == "price"
    assert {part.name for part in spread["account_state"].fields} >= {"balance", "leverage"}


def test_null_is_allowed_exactly_where_the_field_may_be_none() -> None:
    (idea, signal) = columns_of(Decision, "idea_id", "signal_id")
    assert idea.nullable
    assert not signal.nullable


@pytest.mark.parametrize("declared", EVERY_TABLE, ids=lambda declared: declared.name)
def test_a_table_says_everything_about_itself(declared) -> None:  # type: ignore[no-untyped-def]
    assert declared.grain.startswith("One row per ")
    assert declared.grain.endswith(".")
    assert declared.description.endswith(".")
    assert {"tenant", "account", "date"} <= set(declared.names)
    for column in declared.columns:
        assert column.description.endswith((".", "...")), column.name
        assert column.source, column.name
        assert is_allowed(column.dtype), column.name


TOLD_AGAIN = {"raw_bars", "raw_decisions", "raw_decision_timings", "raw_deals", "raw_outcomes"}
"""Raw tables of what can be journalled again, so that its name alone is no key."""


def test_the_grain_of_what_can_be_told_again_is_a_telling() -> None:
    told = {declared.name for declared in EVERY_TABLE if declared.grain.startswith("One row per telling of ")}
    assert told == TOLD_AGAIN


def test_names_say_their_type() -> None:
    for declared in EVERY_TABLE:
        for column in declared.columns:
            if column.name.endswith("_at"):
                assert column.dtype == MOMENT, f"{declared.name}.{column.name}"
            if column.name.startswith(("is_", "has_")):
                assert column.dtype == pl.Boolean, f"{declared.name}.{column.name}"
            if column.name.endswith("_r"):
                assert column.unit.split()[0] == "R", f"{declared.name}.{column.name}"


def test_the_same_name_has_the_same_type_everywhere() -> None:
    seen: dict[str, dict[str, set[str]]] = {}
    for declared in EVERY_TABLE:
        for column in declared.columns:
            seen.setdefault(column.name, {}).setdefault(str(column.dtype), set()).add(declared.name)
    # A decision's `regime` and its `features` are a struct and encoded text; flat tables hold the label and the vector.
    clashes = {name: types for name, types in seen.items() if len(types) > 1}
    assert set(clashes) <= {"regime", "features"}, clashes


@pytest.mark.parametrize(
    "dtype",
    [
        pl.Categorical(), pl.Enum(["a"]), pl.Duration("us"), pl.Array(pl.Float64, 2), pl.UInt64(), pl.UInt8(),
        pl.Datetime("ns", "UTC"), pl.Datetime("us"), pl.List(pl.UInt8), pl.Struct({"a": pl.Duration("us")}), pl.Float32(),
    ],
    ids=str,
)  # fmt: skip
def test_types_that_delta_does_not_keep_are_refused(dtype: pl.DataType) -> None:
    assert not is_allowed(dtype)


def test_a_field_without_a_description_has_no_column() -> None:
    class Silent(msgspec.Struct):
        value: int

    with pytest.raises(TypeError, match=r"Silent\.value has no description"):
        field_columns(Silent)


def test_a_field_of_a_type_the_lake_does_not_know_has_no_column() -> None:
    class Odd(msgspec.Struct):
        value: Annotated[dict[str, int], doc("A mapping.")]

    with pytest.raises(TypeError, match=r"Odd\.value: DictType has no type in the lake"):
        field_columns(Odd)


def test_a_key_of_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="declared twice, or the key"):
        table("t", "raw", "One row per x.", "Text.", (), key=("nothing",))


def test_a_column_declared_twice_is_refused() -> None:
    column = Column("a", DECIMAL, "A.")
    with pytest.raises(ValueError, match="declared twice"):
        table("t", "raw", "One row per x.", "Text.", (column, column))


@pytest.mark.parametrize("declared", EVERY_TABLE, ids=lambda declared: declared.name)
def test_an_empty_frame_is_of_every_table(declared) -> None:  # type: ignore[no-untyped-def]
    pandera_schema(declared).validate(declared.empty(), lazy=True)


@given(st.floats(0.0, 1.0), st.integers(0, 2**62))
def test_a_good_row_passes_the_schema(share: float, trades: int) -> None:
    frame = equity_minute(drawdown_share=share, open_trades=trades)
    assert pandera_schema(TABLES["equity_curve"]).validate(frame, lazy=True).equals(frame)


def equity_minute(**values: object) -> pl.DataFrame:
    declared = TABLES["equity_curve"]
    row: dict[str, object] = dict.fromkeys(declared.names)
    money = ("balance", "unrealised_pnl", "equity", "net_deposits", "high_water_mark", "drawdown")
    row |= {"tenant": "t", "account": "a", "date": date(2026, 3, 2), "minute_at": date(2026, 3, 2)}
    row |= (
        dict.fromkeys(money, 1) | {"drawdown_share": 0.0, "under_water_s": 0.0, "trades": 0, "open_trades": 0} | values
    )
    return pl.DataFrame({name: [value] for name, value in row.items()}).cast(declared.schema)  # type: ignore[arg-type]


def test_record_is_the_base_of_every_record() -> None:
    assert all(issubclass(kind, Record) for kind in RECORD_TYPES)
