"""Deals and marks of made-up accounts, for the tests of the ledger and of what is made of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import strategies as st

START = datetime(2024, 3, 4, 10, tzinfo=UTC)
MONEY = pl.Decimal(38, 8)
MOMENT = pl.Datetime("us", "UTC")
DEAL_SCHEMA = {
    "tenant": pl.String,
    "account": pl.String,
    "event_at": MOMENT,
    "known_at": MOMENT,
    "deal_ticket": pl.String,
    "position_id": pl.String,
    "trade_id": pl.String,
    "signal_id": pl.String,
    "symbol": pl.String,
    "kind": pl.String,
    "reason": pl.String,
    "volume_lots": MONEY,
    "price": pl.Float64,
    "profit": MONEY,
    "commission": MONEY,
    "swap": MONEY,
    "fee": MONEY,
    "slippage_points": pl.Float64,
}


def deal(
    ticket: int,
    kind: str,
    seconds: int,
    *,
    position: str = "",
    lots: str = "0",
    price: float = 1.1,
    symbol: str = "EURUSD",
    **money: str,
) -> dict[str, Any]:
    """One deal, `seconds` after the start."""
    at = START + timedelta(seconds=seconds)
    return {
        "tenant": "t",
        "account": "a",
        "event_at": at,
        "known_at": at,
        "deal_ticket": str(ticket),
        "position_id": position,
        "trade_id": f"T{position}" if position else None,
        "signal_id": f"S{position}" if position else None,
        "symbol": symbol if position else "",
        "kind": kind,
        "reason": "EXPERT",
        "volume_lots": Decimal(lots),
        "price": price,
        "slippage_points": 0.5 if position else None,
    } | {name: Decimal(money.get(name, "0")) for name in ("profit", "commission", "swap", "fee")}


def mark(seconds: int, position: str, value: str) -> dict[str, Any]:
    """One mark of a trade."""
    return {
        "tenant": "t",
        "account": "a",
        "event_at": START + timedelta(seconds=seconds),
        "trade_id": f"T{position}",
        "unrealised_pnl": Decimal(value),
    }


def deals_of(*rows: dict[str, Any]) -> pl.DataFrame:
    """Rows as raw deals."""
    return pl.DataFrame(list(rows), schema=DEAL_SCHEMA, orient="row")


def marks_of(*rows: dict[str, Any]) -> pl.DataFrame:
    """Rows as marks."""
    schema = {
        "tenant": pl.String,
        "account": pl.String,
        "event_at": MOMENT,
        "trade_id": pl.String,
        "unrealised_pnl": MONEY,
    }
    return pl.DataFrame(list(rows), schema=schema, orient="row")


DEPOSIT = deal(1, "BALANCE", 0, profit="10000")
ONE_TRADE = (
    DEPOSIT,
    deal(2, "BUY", 60, position="7", lots="0.10", commission="-0.35"),
    deal(3, "SELL", 400, position="7", lots="0.10", profit="25.40", commission="-0.35", swap="-0.12"),
)


cents = st.integers(-500_000, 500_000).map(lambda number: Decimal(number) / 100)


@st.composite
def books(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Deals of an account: trades in one or two parts, deposits, credit, costs, some told twice or taken back."""
    rows = [DEPOSIT]
    for number in range(draw(st.integers(0, 12))):
        begin = draw(st.integers(1, 4 * 86_400))
        lots = draw(st.integers(1, 50))
        parts = sorted({lots, draw(st.integers(1, lots))})
        entry, leave = ("BUY", "SELL") if draw(st.booleans()) else ("SELL", "BUY")
        position = str(number)
        rows.append(
            deal(
                10 * number + 2, entry, begin, position=position, lots=f"{lots / 100:.2f}", commission=str(draw(cents))
            )
        )
        done = 0
        for step, upto in enumerate(parts if draw(st.booleans()) else []):
            rows.append(
                deal(
                    10 * number + 3 + step,
                    leave,
                    begin + 60 * (step + 1),
                    position=position,
                    lots=f"{(upto - done) / 100:.2f}",
                    profit=str(draw(cents)),
                    swap=str(draw(cents)),
                    fee=str(draw(cents)),
                )
            )
            done = upto
        if draw(st.booleans()):
            kind = draw(
                st.sampled_from(["BALANCE", "CREDIT", "BONUS", "COMMISSION_DAILY", "INTEREST", "TAX", "NEW_TYPE"])
            )
            rows.append(deal(10 * number + 9, kind, draw(st.integers(1, 4 * 86_400)), profit=str(draw(cents))))
    again = rows[:: draw(st.integers(1, 5))]
    later = [
        row | {"known_at": row["known_at"] + timedelta(hours=draw(st.integers(1, 60))), "profit": draw(cents)}
        for row in rows[1 :: draw(st.integers(1, 5))]
        if draw(st.booleans())
    ]
    taken_back = [
        row
        | {"known_at": row["known_at"] + timedelta(hours=61), "kind": f"{row['kind']}_CANCELED", "profit": Decimal(0)}
        for row in rows[1 :: draw(st.integers(2, 9))]
        if row["kind"] in ("BUY", "SELL") and draw(st.booleans())
    ]
    return draw(st.permutations(rows + again + later + taken_back))
