"""The dataset: rows as the decision saw them, joined by id and counted; the same content, the same hash."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.core.decisions.decide import DecisionContext, decide
from trading_assets.core.decisions.scoring import candidate_feature_names, candidate_matrix_of
from trading_assets.core.decisions.strategy import INTRADAY
from trading_assets.core.errors import StateError
from trading_assets.core.features.feature_set import FEATURE_SETS
from trading_assets.core.learning.dataset import build_rows, content_hash, day_hashes, hash_of_days, rows_hash
from trading_assets.core.records.codec import decode_record, encode_record
from trading_assets.core.records.decisions import (
    AccountState,
    Decision,
    DecisionInputs,
    FeatureWindowReference,
    RiskState,
    SymbolState,
)
from trading_assets.core.release import RULES_ONLY
from trading_assets.core.tables import TABLES

START = datetime(2024, 3, 6, 10, tzinfo=UTC)
FEATURES = FEATURE_SETS["intraday"]
MOMENT = pl.Datetime("us", "UTC")

SYMBOL = SymbolState(
    symbol="EURUSD",
    digits=5,
    point=0.00001,
    tick_size=0.00001,
    tick_value=Decimal(1),
    contract_size=Decimal(100_000),
    volume_min=Decimal("0.01"),
    volume_max=Decimal(50),
    volume_step=Decimal("0.01"),
    stops_level=0,
    commission_per_lot=Decimal("3.5"),
)
ACCOUNT = AccountState(
    currency="USD",
    balance=Decimal(10_000),
    equity=Decimal(10_000),
    margin_free=Decimal(10_000),
    leverage=100,
    trade_allowed=True,
)
RISK = RiskState(
    open_positions=0,
    pending_orders=0,
    equity_high_water_mark=Decimal(10_000),
    day_start_equity=Decimal(10_000),
    week_start_equity=Decimal(10_000),
    orders_last_hour=0,
    breakers=(),
)


def decision(number: int) -> Decision:
    """The decision at the close of the `number`th bar, on random features, as it reads back from the journal."""
    close_at = START + timedelta(minutes=5 * number)
    context = DecisionContext(
        tenant="t",
        account="a",
        chain_id=f"chain-{number}",
        mode="execute",
        symbol="EURUSD",
        bar_open_at=close_at - timedelta(minutes=5),
        bar_close_at=close_at,
        known_at=close_at,
        inputs=DecisionInputs(
            bid=1.085,
            ask=1.08507,
            quote_at=close_at - timedelta(seconds=1),
            base_bar_count=600,
            account_state=ACCOUNT,
            symbol_state=SYMBOL,
            position=None,
            risk=RISK,
        ),
        windows=(),
        window_sha256="00",
        feature_window=FeatureWindowReference(
            row_count=0, first_close_at=None, sha256_raw="", sha256_normalised="", normaliser_version="identity"
        ),
    )
    row = np.abs(np.random.default_rng(number).normal(size=len(FEATURES.names)))
    row[5] = np.nan
    made = decode_record(encode_record(decide(INTRADAY, context, row, RULES_ONLY)))
    assert isinstance(made, Decision)
    return made


DECISIONS = [decision(number) for number in range(12)]


def labels_of(decisions: list[Decision]) -> pl.DataFrame:
    """A label for each LONG and SHORT of the decisions."""
    rows = [
        {
            "idea_id": candidate.idea_id,
            "signal_id": made.signal_id,
            "label_end_at": made.bar_close_at + timedelta(hours=1),
            "is_win": candidate.kind == "LONG",
            "result_r": 1.0 if candidate.kind == "LONG" else -1.05,
            "profit_tier": "large_gain" if candidate.kind == "LONG" else "full_loss",
            "barrier": "target",
            "mae_r": -0.5,
            "mfe_r": 1.0,
            "time_to_mae_s": 60.0,
            "time_to_mfe_s": 120.0,
            "time_in_drawdown_s": 60.0,
            "path_area_r": 0.5,
            "bars_held": 3,
            "cohort_rank": 1,
            "regret_best_r": 0.0,
            "regret_median_r": 0.0,
            "labels_version": "triple-barrier-2",
            "costs_version": "costs-1",
        }
        for made in decisions
        for candidate in made.candidates
        if candidate.kind in ("LONG", "SHORT")
    ]
    return pl.DataFrame(rows, schema_overrides={"label_end_at": MOMENT})


NO_OUTCOMES = pl.DataFrame(schema={"idea_id": pl.String, "result_r": pl.Float64, "exit_reason": pl.String})
# The second decision's longest horizon has not passed, the third one's market was closed.
RETURNS = pl.DataFrame(
    [
        {"signal_id": made.signal_id, "horizon_minutes": minutes, "return_bp": float(number * 100 + minutes)}
        for number, made in enumerate(DECISIONS)
        for minutes in (1, 5, 15, 60)
        if number != 2 and (number, minutes) != (1, 60)
    ]
)


def test_each_labelled_candidate_is_one_row_with_what_the_decision_knew() -> None:
    labels = labels_of(DECISIONS)
    rows = build_rows(DECISIONS, labels, NO_OUTCOMES, RETURNS)
    assert len(rows) == len(labels) == 72
    for made in DECISIONS:
        ideas, matrix = candidate_matrix_of(made)
        mine = {row["idea_id"]: row for row in rows.filter(pl.col("signal_id") == made.signal_id).iter_rows(named=True)}
        for idea, vector in zip(ideas, matrix, strict=True):
            assert np.array_equal(np.array(mine[idea]["features"]), vector, equal_nan=True)
            assert len(vector) == len(candidate_feature_names(FEATURES))
            assert mine[idea]["is_chosen"] == (idea == made.idea_id)
            assert mine[idea]["feature_set_version"] == FEATURES.version


def test_rows_have_exactly_the_columns_and_types_of_the_table() -> None:
    table = TABLES["learning_dataset"]
    rows = build_rows(DECISIONS, labels_of(DECISIONS), NO_OUTCOMES, RETURNS)
    assert dict(rows.select(table.names).schema) == dict(table.schema)
    assert set(rows.columns) == set(table.names)


def test_the_order_of_labels_and_decisions_does_not_matter() -> None:
    labels = labels_of(DECISIONS)
    straight = build_rows(DECISIONS, labels, NO_OUTCOMES, RETURNS)
    turned = build_rows(DECISIONS[::-1], labels.reverse(), NO_OUTCOMES, RETURNS)
    assert content_hash(straight) == content_hash(turned)
    assert straight.equals(turned)


def test_candidates_without_a_label_have_no_row() -> None:
    labels = labels_of(DECISIONS).filter(pl.col("signal_id") != DECISIONS[3].signal_id)
    assert len(build_rows(DECISIONS, labels, NO_OUTCOMES, RETURNS)) == 66
    assert build_rows([], labels.clear(), NO_OUTCOMES, RETURNS).is_empty()


def test_a_traded_candidate_has_its_outcome_beside_the_label() -> None:
    traded = DECISIONS[2].candidates[0].idea_id
    outcomes = pl.DataFrame({"idea_id": [traded], "result_r": [0.75], "exit_reason": ["timeout"]})
    rows = build_rows(DECISIONS, labels_of(DECISIONS), outcomes, RETURNS)
    assert rows.filter(pl.col("outcome_r").is_not_null()).select("idea_id", "outcome_r").rows() == [(traded, 0.75)]


def test_forward_returns_stand_beside_each_row_of_their_signal_and_are_null_where_there_is_none() -> None:
    rows = build_rows(DECISIONS, labels_of(DECISIONS), NO_OUTCOMES, RETURNS)
    columns = ("return_1m_bp", "return_5m_bp", "return_15m_bp", "return_60m_bp")
    found = {
        number: set(rows.filter(pl.col("signal_id") == DECISIONS[number].signal_id).select(columns).rows())
        for number in (1, 2, 3)
    }
    assert found[1] == {(101.0, 105.0, 115.0, None)}
    assert found[2] == {(None, None, None, None)}
    assert found[3] == {(301.0, 305.0, 315.0, 360.0)}


def test_a_growing_dataset_hashes_the_same_in_pieces_of_days_as_whole() -> None:
    rows = build_rows(DECISIONS, labels_of(DECISIONS), NO_OUTCOMES, RETURNS)
    later = rows.with_columns(date=pl.col("date") + pl.duration(days=1), idea_id=pl.col("idea_id") + "x")
    assert content_hash(pl.concat([later, rows])) == hash_of_days(day_hashes(rows) | day_hashes(later))
    assert content_hash(rows.clear()) == hash_of_days({}) == hash_of_days({date(2024, 3, 6): ""})


def test_a_label_without_its_decision_and_a_decision_told_twice_are_refused() -> None:
    labels = labels_of(DECISIONS)
    with pytest.raises(StateError, match="72 labels gave 66 rows"):
        build_rows(DECISIONS[1:], labels, NO_OUTCOMES, RETURNS)
    with pytest.raises(StateError, match="72 labels gave 78 rows with 72 ideas"):
        build_rows([*DECISIONS, DECISIONS[0]], labels, NO_OUTCOMES, RETURNS)


def test_days_are_those_of_when_the_decision_was_known() -> None:
    late = msgspec.structs.replace(DECISIONS[0], known_at=datetime(2024, 3, 9, 1, tzinfo=UTC))
    assert set(build_rows([late], labels_of([late]), NO_OUTCOMES, RETURNS)["date"]) == {date(2024, 3, 9)}


SMALL = build_rows(DECISIONS[:2], labels_of(DECISIONS[:2]), NO_OUTCOMES, RETURNS)


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_hash_knows_neither_the_order_of_rows_nor_of_columns(random: object) -> None:
    order = list(range(len(SMALL)))
    columns = list(SMALL.columns)
    random.shuffle(order)  # type: ignore[attr-defined]
    random.shuffle(columns)  # type: ignore[attr-defined]
    assert content_hash(SMALL[order].select(columns)) == content_hash(SMALL)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SMALL) - 1), st.sampled_from(SMALL.columns))
def test_the_hash_changes_with_the_smallest_change_of_any_cell(row: int, column: str) -> None:
    values = SMALL[column].to_list()
    match values[row]:
        case bool():
            values[row] = not values[row]
        case int():
            values[row] += 1
        case float():
            values[row] = np.nextafter(values[row], np.inf)
        case list():
            values[row] = [*values[row][:-1], np.nextafter(values[row][-1], np.inf)]
        case str():
            values[row] += "x"
        case None:
            values[row] = 0.0 if SMALL[column].dtype == pl.Float64 else ""
        case datetime():
            values[row] += timedelta(microseconds=1)
        case date():
            values[row] += timedelta(days=1)
    changed = SMALL.with_columns(pl.Series(column, values, dtype=SMALL[column].dtype))
    assert content_hash(changed) != content_hash(SMALL)


def test_text_that_moves_between_rows_and_null_for_empty_change_the_hash() -> None:
    def hash_of(texts: list[str | None]) -> str:
        owner = {name: [name] * 2 for name in ("tenant", "account", "labels_version")}
        return rows_hash(pl.DataFrame({**owner, "idea_id": ["1", "2"], "note": texts}))

    assert len({hash_of(["ab", ""]), hash_of(["a", "b"]), hash_of(["ab", None]), hash_of([None, "ab"])}) == 4


def test_a_type_without_a_place_in_the_hash_is_refused() -> None:
    with pytest.raises(TypeError, match="no place in a content hash"):
        content_hash(SMALL.with_columns(odd=pl.lit(1, pl.Int8)))
