"""Tables of what came of the decisions: orders, trades, holdings, marks, outcomes.

Stage `trades` of the asset graph. What money they made is in `ledger`, what they teach in `learning`.
"""

from __future__ import annotations

from trading_assets.core.columns.column import Table, count, flag, moment, money, number, table, text
from trading_assets.core.columns.raw import columns_of, payload_of
from trading_assets.core.records.trading import Mark, Order, Outcome

orders = table(
    "orders",
    "trades",
    "One row per order intent.",
    "Every intent to open or close, in its latest known state. Partitioned by the day it was planned.",
    (
        *columns_of(Order, "magic", "signal_id", "idea_id", "trade_id", "chain_id", "symbol", "side", "purpose"),
        *columns_of(
            Order, "close_reason", "state", "volume_lots", "filled_lots", "price", "stop_price", "target_price"
        ),
        *columns_of(Order, "deviation_points", "deadline_at", "order_ticket", "position_id", "retcode", "reason"),
        moment("planned_at", "When its first state was journalled.", "raw_orders"),
        moment("changed_at", "When its latest state was journalled.", "raw_orders"),
        count("state_count", "States it went through.", "states", "raw_orders"),
    ),
    key=("tenant", "account", "magic"),
)

trades = table(
    "trades",
    "trades",
    "One row per trade.",
    "The life of each position that a decision opened, from its deals. Partitioned by the day it was opened.",
    (
        *columns_of(Outcome, "trade_id", "signal_id", "idea_id"),
        *columns_of(Outcome, "position_id", "symbol", "side", "opened_at"),
        moment("closed_at", "Last exit deal; null while it is open.", "deals", nullable=True),
        flag("is_open", "Whether volume is still open.", "deals"),
        *columns_of(Outcome, "volume_lots", "entry_price"),
        number("exit_price", "Average exit price; null before the first exit deal.", "price", "deals", nullable=True),
        *columns_of(Outcome, "stop_price", "target_price", "risk_unit"),
        text(
            "exit_reason",
            "Why it ended; null while it is open.",
            "core.trades.outcomes",
            nullable=True,
            allowed=columns_of(Outcome, "exit_reason")[0].allowed,
        ),
        *columns_of(Outcome, "gross_pnl", "commission", "swap", "fee", "net_pnl"),
        count("deal_count", "Deals of the position.", "deals", "deals"),
    ),
    key=("tenant", "account", "trade_id"),
)

holdings = table(
    "holdings",
    "trades",
    "One row per trade and UTC day on which it was open.",
    "What was held on each day, and what the day did to it. Partitioned by that day.",
    (
        *columns_of(Outcome, "trade_id", "signal_id", "symbol", "side", "opened_at"),
        moment(
            "closed_at",
            "Last exit deal up to the end of the day; null when it was held overnight.",
            "deals",
            nullable=True,
        ),
        flag("is_open", "Whether it was still open at the end of the day.", "deals"),
        *columns_of(Outcome, "volume_lots", "entry_price"),
        number("held_s", "Time it was open on this day.", "s", "deals", lowest=0.0, highest=86400.0),
        money("realised_pnl", "Profit, commission, swap and fee of the day's deals.", "deals"),
        money(
            "unrealised_pnl",
            "Unrealised profit at the day's last mark; null when the day has none or it is closed.",
            "marks",
            nullable=True,
        ),
        count("mark_count", "Marks on this day.", "marks", "marks"),
    ),
    key=("tenant", "account", "trade_id", "date"),
)

marks = table(
    "marks",
    "trades",
    "One row per trade and mark.",
    "Open trades valued at a quote, every minute and on events. Partitioned by the day of known_at.",
    (
        *columns_of(Mark, "event_at", "known_at"),
        count(
            "mark_index",
            "Position among the trade's marks of this day, in the order of the journal.",
            "marks",
            "raw_marks",
        ),
        *payload_of(Mark),
    ),
    key=("tenant", "account", "trade_id", "date", "mark_index"),
)

outcomes = table(
    "outcomes",
    "trades",
    "One row per closed trade.",
    "How each trade ended, as told last. Partitioned by the day on which it was told first.",
    (*columns_of(Outcome, "chain_id", "known_at"), *payload_of(Outcome)),
    key=("tenant", "account", "trade_id"),
)

TRADE_TABLES: tuple[Table, ...] = (orders, trades, holdings, marks, outcomes)
