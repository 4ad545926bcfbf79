"""Tables of money: profit-and-loss events, the equity curve by the minute and by the day.

Stage `ledger` of the asset graph. Conservation: the sum over deals equals the sum over pnl_events, to the cent.
"""

from __future__ import annotations

from trading_assets.core.columns.column import Table, count, moment, money, number, share, table, text
from trading_assets.core.columns.raw import columns_of
from trading_assets.core.records.trading import Deal

PNL_KINDS = ("profit", "commission", "swap", "fee")

pnl_events = table(
    "pnl_events",
    "ledger",
    "One row per deal and kind of money it moved; zero amounts have no row.",
    "Every change of the balance that is profit or loss: balance and credit operations are not. Partitioned by the day of the deal.",
    (
        *columns_of(Deal, "deal_ticket"),
        text("kind", "What moved: profit, commission, swap or fee.", "core.trades.ledger", allowed=PNL_KINDS),
        moment("event_at", "When the deal was done.", "terminal"),
        *columns_of(Deal, "known_at", "position_id", "trade_id", "signal_id", "symbol"),
        money("amount", "Amount, negative when paid or lost.", "raw_deals"),
        text("source", "Why the deal was done: EXPERT, SL, TP, SO, CLIENT, ...", "raw_deals"),
        *columns_of(Deal, "slippage_points"),
    ),
    key=("tenant", "account", "deal_ticket", "kind"),
)

_CURVE_SOURCE = "core.trades.ledger"

equity_curve = table(
    "equity_curve",
    "ledger",
    "One row per account and minute with a deal or a mark.",
    "Balance and equity by the minute, with the drawdown from the highest equity so far. Partitioned by the day of the minute.",
    (
        moment("minute_at", "Start of the minute.", _CURVE_SOURCE),
        money("balance", "Balance at the end of the minute.", _CURVE_SOURCE),
        money("unrealised_pnl", "Unrealised profit of all open trades at their last mark.", _CURVE_SOURCE),
        money("equity", "Balance and unrealised profit.", _CURVE_SOURCE),
        money("high_water_mark", "Highest equity so far.", _CURVE_SOURCE),
        money("drawdown", "High-water mark less equity, zero or positive.", _CURVE_SOURCE),
        share("drawdown_share", "Drawdown as a share of the high-water mark.", "share", _CURVE_SOURCE),
        count("open_trades", "Trades open at the end of the minute.", "trades", _CURVE_SOURCE),
    ),
    key=("tenant", "account", "minute_at"),
)

equity_daily = table(
    "equity_daily",
    "ledger",
    "One row per account and UTC day.",
    "Each day of the account in one line. Partitioned by that day.",
    (
        money("opening_balance", "Balance at the start of the day.", _CURVE_SOURCE),
        money("closing_balance", "Balance at the end of the day.", _CURVE_SOURCE),
        money("closing_equity", "Equity at the end of the day.", _CURVE_SOURCE),
        money("deposits", "Balance and credit operations of the day.", _CURVE_SOURCE),
        money("gross_pnl", "Profit of the day's deals.", _CURVE_SOURCE),
        money("commission", "Commission of the day's deals, negative when paid.", _CURVE_SOURCE),
        money("swap", "Swap of the day's deals.", _CURVE_SOURCE),
        money("fee", "Fee of the day's deals.", _CURVE_SOURCE),
        money("net_pnl", "Gross and commission, swap and fee.", _CURVE_SOURCE),
        number(
            "return_share",
            "Net profit as a share of the opening balance; null when that is zero.",
            "share",
            _CURVE_SOURCE,
            nullable=True,
        ),
        share(
            "max_drawdown_share",
            "Largest drawdown of the day as a share of the high-water mark.",
            "share",
            _CURVE_SOURCE,
        ),
        count("trades_opened", "Trades opened on the day.", "trades", "trades"),
        count("trades_closed", "Trades closed on the day.", "trades", "trades"),
        money(
            "average_net_pnl",
            "Average net: mean net profit of the trades closed so far; null before the first.",
            _CURVE_SOURCE,
            nullable=True,
        ),
        number(
            "pnl_volatility",
            "Standard deviation of the daily net profit so far; null before the second day.",
            "account currency",
            _CURVE_SOURCE,
            nullable=True,
        ),
    ),
    key=("tenant", "account", "date"),
)

LEDGER_TABLES: tuple[Table, ...] = (pnl_events, equity_curve, equity_daily)
