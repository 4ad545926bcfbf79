"""What each of MetaTrader's types of deals is, and that everybody asks the one table."""

from __future__ import annotations

import re
from pathlib import Path

from trading_assets.core.trades.deal_kinds import CASH_KINDS, CREDIT_KINDS, KINDS, TRADE_KINDS, kind_of

# ENUM_DEAL_TYPE of the documentation of MQL5, without DEAL_TYPE_.
DOCUMENTED = (
    "BUY SELL BALANCE CREDIT CHARGE CORRECTION BONUS COMMISSION COMMISSION_DAILY COMMISSION_MONTHLY COMMISSION_AGENT_DAILY"
    " COMMISSION_AGENT_MONTHLY INTEREST BUY_CANCELED SELL_CANCELED DIVIDEND DIVIDEND_FRANKED TAX"
)
ROOT = Path(__file__).resolve().parents[3]


def test_each_documented_type_has_its_place_and_its_reason() -> None:
    assert list(KINDS) == DOCUMENTED.split()
    assert all(kind.reason for kind in KINDS.values())
    assert (TRADE_KINDS, CASH_KINDS, CREDIT_KINDS) == (("BUY", "SELL"), ("BALANCE", "BONUS"), ("CREDIT",))


def test_a_type_nobody_knows_is_profit_or_loss() -> None:
    assert kind_of("SO_COMPENSATION").role == "cost"


def test_the_tests_in_sql_leave_out_the_same_types() -> None:
    text = (ROOT / "dbt_project" / "tests" / "deals_equal_pnl_events.sql").read_text(encoding="utf-8")
    found = re.search(r"kind not in \(([^)]*)\)", text)
    assert found is not None
    assert set(re.findall(r"'(\w+)'", found[1])) == {*CASH_KINDS, *CREDIT_KINDS}
    balance = (ROOT / "dbt_project" / "tests" / "balance_equals_deals.sql").read_text(encoding="utf-8")
    assert f"kind <> '{CREDIT_KINDS[0]}'" in balance
