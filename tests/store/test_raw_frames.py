"""Raw frames: journal lines as frames, exact to the bit."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.errors import InputError, StateError
from trading_assets.core.records.codec import RECORD_TYPES, decode_record, encode_record
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.market import Quote
from trading_assets.core.records.record import Record
from trading_assets.core.tables import TABLES, raw_name
from trading_assets.store import raw_frames
from trading_assets.store.raw_frames import records_frame


def as_rows(records: Sequence[Record]) -> list[Any]:
    """The records as plain values, in the way a frame gives its rows."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return [plain(part) for part in value]
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        return value

    rows = [plain(msgspec.to_builtins(record, builtin_types=(Decimal, datetime))) for record in records]
    for row in rows:
        del row["type"]
    return rows


@pytest.mark.parametrize("kind", RECORD_TYPES, ids=lambda kind: kind.__name__)
def test_every_record_comes_through_unchanged(kind: type[Record], record_of: Callable[..., Any]) -> None:
    records = [record_of(kind, seed) for seed in range(8)]
    frame = records_frame(raw_name(kind), records)
    assert frame.schema == TABLES[raw_name(kind)].schema
    assert frame["date"].to_list() == [record.known_at.date() for record in records]
    assert frame["journal_index"].to_list() == list(range(8))
    assert frame.drop("date", "journal_index").to_dicts() == as_rows(records)


@settings(max_examples=200)
@given(prices=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_floats_are_bit_identical(prices: list[float]) -> None:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    quotes = [
        Quote(
            tenant="market", account="a", event_at=at, known_at=at, chain_id="c", symbol="EURUSD", bid=price, ask=price,
            server_msc=0, clock_rule="utc",
        )
        for price in prices
    ]  # fmt: skip
    bids = records_frame("raw_quotes", [encode_record(quote) for quote in quotes])["bid"]
    assert [struct.pack("<d", bid) for bid in bids] == [struct.pack("<d", price) for price in prices]


@pytest.mark.parametrize(
    "price", [5e-324, 2.2250738585072011e-308, 1.7976931348623157e308, -0.0, 0.30000000000000004, 1.0000000000000002]
)
def test_the_hard_floats_are_bit_identical(price: float, record_of: Callable[..., Any]) -> None:
    (bid,) = records_frame("raw_quotes", [record_of(Quote, bid=price)])["bid"]
    assert struct.pack("<d", bid) == struct.pack("<d", price)


@given(microseconds=st.integers(0, 7_000_000_000_000_000))
def test_times_keep_their_microseconds(microseconds: int) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    quote = Quote(
        tenant="market", account="a", event_at=at, known_at=at, chain_id="c", symbol="EURUSD", bid=1.0, ask=1.0,
        server_msc=0, clock_rule="utc",
    )  # fmt: skip
    frame = records_frame("raw_quotes", [quote])
    assert frame["event_at"].to_list() == [at]
    assert frame["date"].to_list() == [at.date()]


def test_lines_that_need_several_chunks_stay_in_order(
    record_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [record_of(Decision, seed, signal_id=str(seed)) for seed in range(30)]
    whole = records_frame("raw_decisions", records)
    monkeypatch.setattr(raw_frames, "_CHUNK_BYTES", 20_000)
    assert records_frame("raw_decisions", records).equals(whole)
    assert whole["signal_id"].to_list() == [str(seed) for seed in range(30)]


def test_each_day_counts_its_own_rows(record_of: Callable[..., Any]) -> None:
    days = [datetime(2026, 3, day, 12, tzinfo=UTC) for day in (2, 2, 3, 3, 3)]
    frame = records_frame("raw_quotes", [record_of(Quote, known_at=day) for day in days], first_index=10)
    assert frame["journal_index"].to_list() == [10, 11, 10, 11, 12]


def test_no_lines_are_an_empty_frame() -> None:
    assert records_frame("raw_decisions", []).equals(TABLES["raw_decisions"].empty())


def test_a_decimal_is_rounded_at_the_eighth_place_half_to_even(record_of: Callable[..., Any]) -> None:
    given_amounts = ["0.123456785", "0.123456775", "12345678901234567890.1", "1E-9"]
    lines = [encode_record(record_of(Decision, volume_lots=Decimal(amount))) for amount in given_amounts]
    amounts = records_frame("raw_decisions", lines)["volume_lots"].to_list()
    assert amounts == [Decimal("0.12345678"), Decimal("0.12345678"), Decimal("12345678901234567890.1"), Decimal(0)]


def test_a_field_that_older_lines_lack_gets_its_default(record_of: Callable[..., Any]) -> None:
    quote = record_of(Quote)
    older = encode_record(quote).replace(b'"schema_version":%d,' % quote.schema_version, b"")
    assert b"schema_version" not in older
    assert records_frame("raw_quotes", [older])["schema_version"].to_list() == [1]


def test_a_line_of_another_record_is_refused(record_of: Callable[..., Any]) -> None:
    with pytest.raises(StateError, match=r"line 2 starts with .*decision"):
        records_frame("raw_quotes", [encode_record(record_of(Quote)), encode_record(record_of(Decision))])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"bid":1.5', b'"bid":"high"'),
        (b'"bid":1.5', b'"bid":'),
        (b'"server_msc":7', b'"server_msc":7.5'),
        (b"2026-03-02T10", b"2026-13-02T10"),
    ],
)
def test_a_line_that_does_not_fit_is_refused_in_one_sentence(
    old: bytes, new: bytes, record_of: Callable[..., Any]
) -> None:
    line = encode_record(record_of(Quote, bid=1.5, server_msc=7, known_at=datetime(2026, 3, 2, 10, tzinfo=UTC)))
    assert old in line
    with pytest.raises(
        StateError, match=r"read records into raw_quotes: a line does not fit the record: .*trading verify"
    ):
        records_frame("raw_quotes", [line, line.replace(old, new)])


def test_a_table_that_is_not_raw_takes_no_lines() -> None:
    with pytest.raises(InputError, match="signals: it is not a raw table"):
        records_frame("signals", [])


def test_frames_and_records_agree_after_decoding(record_of: Callable[..., Any]) -> None:
    line = encode_record(record_of(Decision, 5))
    assert records_frame("raw_decisions", [line]).equals(records_frame("raw_decisions", [decode_record(line)]))


def test_a_null_where_none_may_be_is_left_for_the_lakes_check(record_of: Callable[..., Any]) -> None:
    frame = records_frame("raw_quotes", [record_of(Quote, bid=float("nan"))])
    assert frame["bid"].to_list() == [None]
    assert isinstance(frame, pl.DataFrame)
