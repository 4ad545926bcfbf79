"""Tables of money: profit-and-loss events, curves by the minute and by the day, performance.

Stage `ledger` of the asset graph. Conservation: trade deals = events = change of balance less deposits, to the cent.
What the figures are is defined in `core.trades.equity` and `core.trades.performance`, in words here beside each column.
"""

from __future__ import annotations

from dataclasses import replace

from trading_assets.core.columns.column import Column, Table, count, moment, money, number, share, table, text, texts
from trading_assets.core.columns.raw import columns_of
from trading_assets.core.records.trading import AccountSnapshot, Deal

PNL_KINDS = ("profit", "commission", "swap", "fee")
SCOPES = ("account", "symbol", "strategy", "model")

_EVENTS, _EQUITY = "core.trades.ledger", "core.trades.equity"
_DAYS, _CURRENCIES, _PERFORMANCE = "core.trades.account_days", "core.trades.currencies", "core.trades.performance"

pnl_events = table(
    "pnl_events",
    "ledger",
    "One row per deal, telling of it and kind of money it moved; zero amounts have no row.",
    "Every change of the balance that is profit or loss: deposits, withdrawals, bonuses and credit are not, and unrealised profit is "
    "in marks. Append-only: partitioned by the day it became known, and a deal the broker tells again with other amounts adds rows "
    "with the difference, under the next revision. The sum of a deal's rows is its latest telling.",
    (
        *columns_of(Deal, "deal_ticket"),
        text("kind", "What moved: profit, commission, swap or fee.", _EVENTS, allowed=PNL_KINDS),
        count(
            "revision",
            "0 for what was told first; n for the nth correction, whose amounts are differences.",
            "corrections",
            _EVENTS,
        ),
        moment("event_at", "When the deal was done.", "terminal"),
        *columns_of(Deal, "known_at", "position_id", "trade_id", "signal_id", "symbol"),
        money("amount", "Amount, negative when paid or lost.", "raw_deals"),
        money("deal_fees", "Commission, swap and fee of this telling of the deal together.", "raw_deals"),
        text("source", "Why the deal was done: EXPERT, SL, TP, SO, CLIENT, ...", "raw_deals"),
        *columns_of(Deal, "slippage_points"),
    ),
    key=("tenant", "account", "deal_ticket", "kind", "revision"),
)


def _in_reporting(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Return amounts of a tenant: in its reporting currency, null where an account has no rate."""
    return tuple(
        replace(column, unit="reporting currency" if column.unit == "account currency" else column.unit, nullable=True)
        for column in columns
    )


_WATER = (
    money("drawdown", "High-water mark less equity, zero or positive.", _EQUITY),
    share(
        "drawdown_share", "Drawdown as a share of the high-water mark; 0 where that is not positive.", "share", _EQUITY
    ),
    moment(
        "under_water_since_at",
        "Last minute, or end of a day, that was a high; null on a high.",
        _EQUITY,
        nullable=True,
    ),
    number("under_water_s", "Time under water: from the last high to now; 0 on a high.", "s", _EQUITY, lowest=0.0),
)
_WORST = (
    money("max_drawdown", "Largest drawdown of the day.", _EQUITY),
    share("max_drawdown_share", "Largest drawdown of the day as a share of the high-water mark.", "share", _EQUITY),
    number(
        "longest_under_water_s",
        "Longest time under water at any minute of the day with a deal or a mark, or at its end.",
        "s",
        _EQUITY,
        lowest=0.0,
    ),
)
_OPEN = count("open_trades", "Positions open then.", "trades", _EQUITY)
_TRADES = (
    _OPEN,
    count("trades", "Positions closed so far.", "trades", _EQUITY),
    money(
        "average_net_pnl",
        "Average net: arithmetic mean of the net profit of the trades closed so far; null before the first.",
        _EQUITY,
        nullable=True,
    ),
    number(
        "trade_pnl_volatility",
        "Volatility of P&L: standard deviation (n - 1) of the net profit of the trades closed so far; null before the second.",
        "account currency",
        _EQUITY,
        nullable=True,
        lowest=0.0,
    ),
)
_NET_DEPOSITS = money("net_deposits", "Paid in less withdrawn, since the beginning.", _EQUITY)
_HIGH = money("high_water_mark", "Highest equity so far, moved by deposits and withdrawals as they came.", _EQUITY)
_MINUTE = moment("minute_at", "Start of the minute; the values are those of its end.", _EQUITY)
_STRATEGY = (
    text("strategy_version", "Strategy that decided; none for deals no decision of ours caused.", "signals"),
    text("model_version", "Meta-model of the decision; rules-only without one, none as above.", "signals"),
)

equity_curve = table(
    "equity_curve",
    "ledger",
    "One row per account and minute with a deal or a mark.",
    "Balance and equity by the minute, with the drawdown from the highest equity so far. Partitioned by the day of the minute.",
    (
        _MINUTE,
        money("balance", "Balance: deposits and all realised profit and loss.", _EQUITY),
        money("unrealised_pnl", "Unrealised profit of all open trades at their last mark.", _EQUITY),
        money("equity", "Balance and unrealised profit.", _EQUITY),
        _NET_DEPOSITS,
        _HIGH,
        *_WATER,
        *_TRADES,
    ),
    key=("tenant", "account", "minute_at"),
)

_EARNED = (
    money("balance", "Realised net profit of these trades so far.", _EQUITY),
    money("unrealised_pnl", "Unrealised profit of these trades at their last mark.", _EQUITY),
    money("equity", "Realised and unrealised profit together: a strategy has no deposits.", _EQUITY),
    money("high_water_mark", "Highest of it so far.", _EQUITY),
    *_WATER,
)

strategy_curve = table(
    "strategy_curve",
    "ledger",
    "One row per account, strategy version, model version and minute in which one of its trades had a deal or a mark.",
    "What each strategy and model earned of an account's money, by the minute. All of them together are what the account earned. "
    "Partitioned by the day of the minute.",
    (*_STRATEGY, _MINUTE, *_EARNED, *_TRADES),
    key=("tenant", "account", "strategy_version", "model_version", "minute_at"),
)

_CONVERSION = (
    *columns_of(AccountSnapshot, "currency"),
    text("reporting_currency", "Currency of the tenant's first account, or the one the settings name.", _CURRENCIES),
    number(
        "rate",
        "What one unit of the account's currency was worth in the reporting currency at the end of the day: mid of the last "
        "closed bar, not older than 7 days; null when there is none.",
        "reporting currency per account currency",
        _CURRENCIES,
        nullable=True,
        lowest=0.0,
    ),
    moment(
        "rate_at",
        "Close of the bar the rate is from; null without a rate, or without need of one.",
        "bars",
        nullable=True,
    ),
    text("rate_symbol", "Pair the rate is from; null as above.", "bars", nullable=True),
)


def _converted(name: str, what: str) -> Column:
    column = money(name, f"{what} at the day's rate; null without a rate.", _CURRENCIES, nullable=True)
    return replace(column, unit="reporting currency")


equity_daily = table(
    "equity_daily",
    "ledger",
    "One row per account and UTC day, from its first deal on, also of days on which nothing moved.",
    "Each day of the account in one line. Opening balance, deposits and net profit make the closing balance, to the cent. "
    "Partitioned by that day.",
    (
        money("opening_balance", "Balance at the start of the day.", _DAYS),
        money("closing_balance", "Balance at the end of the day.", _DAYS),
        money("unrealised_pnl", "Unrealised profit at the end of the day.", _EQUITY),
        money("closing_equity", "Equity at the end of the day.", _DAYS),
        money("deposits", "Paid in on the day, withdrawals negative.", _DAYS),
        money("credit", "Credit operations of the day; they are neither balance nor profit.", _DAYS),
        _NET_DEPOSITS,
        money("gross_pnl", "Profit of the day's deals.", _DAYS),
        money("commission", "Commission of the day's deals, negative when paid.", _DAYS),
        money("swap", "Swap of the day's deals.", _DAYS),
        money("fee", "Fee of the day's deals.", _DAYS),
        money("net_pnl", "Gross profit with commission, swap and fee added, which are negative when paid.", _DAYS),
        number(
            "return_share",
            "Net profit over the day's capital, the opening balance and what was paid in; null without capital.",
            "share",
            _DAYS,
            nullable=True,
        ),
        _HIGH,
        *_WATER,
        *_WORST,
        count("trades_opened", "Positions opened on the day.", "trades", _DAYS),
        count("trades_closed", "Positions closed on the day.", "trades", _DAYS),
        *_TRADES,
        number(
            "pnl_volatility",
            "Standard deviation (n - 1) of the daily net P&L up to the last day with a deal, over all days from Monday to "
            "Friday, the weekend counted with Monday; null before the second.",
            "account currency",
            _PERFORMANCE,
            nullable=True,
            lowest=0.0,
        ),
        *_CONVERSION,
        _converted("converted_balance", "Closing balance"),
        _converted("converted_equity", "Closing equity"),
        _converted("converted_net_pnl", "Net profit of the day"),
    ),
    key=("tenant", "account", "date"),
)

strategy_daily = table(
    "strategy_daily",
    "ledger",
    "One row per account, strategy version, model version and UTC day, from its first deal on.",
    "Where the curve of each strategy and model stood at the end of each day. Partitioned by that day.",
    (*_STRATEGY, *_EARNED, *_WORST, *_TRADES),
    key=("tenant", "account", "strategy_version", "model_version", "date"),
)

# A tenant has no account of its own: its rows carry this sign there.
ALL_ACCOUNTS = "*"
_WHOLE = (
    text("reporting_currency", "Currency of every amount of the row.", _CURRENCIES),
    count("accounts", "Accounts that had begun by then.", "accounts", _CURRENCIES),
    count(
        "unconverted_accounts",
        "Accounts among them without a rate; the row's amounts are null unless this is 0.",
        "accounts",
        _CURRENCIES,
    ),
)
_SUMMED = _in_reporting(
    (
        money("balance", "Balances of all accounts at the rates of the moment.", _CURRENCIES),
        money("unrealised_pnl", "Unrealised profits of all accounts.", _CURRENCIES),
        money("equity", "Balance and unrealised profit.", _CURRENCIES),
        money("net_deposits", "Net deposits of all accounts, at the rates of the moment.", _CURRENCIES),
        money(
            "high_water_mark",
            "Net deposits and the highest equity above them so far: neither a withdrawal nor a rate's move on what was paid in "
            "is a drawdown.",
            _CURRENCIES,
        ),
        *_WATER,
    )
)

tenant_curve = table(
    "tenant_curve",
    "ledger",
    "One row per tenant and minute in which one of its accounts had a deal or a mark.",
    "All accounts of a tenant as one, in its reporting currency at the rates of the minute. The account is *. Partitioned "
    "by the day of the minute.",
    (_MINUTE, *_WHOLE, *_SUMMED, _OPEN),
    key=("tenant", "minute_at"),
)

tenant_daily = table(
    "tenant_daily",
    "ledger",
    "One row per tenant and UTC day.",
    "Where a tenant's curve stood at the end of each day, at the rates of that moment. The account is *. Partitioned by that day.",
    (*_WHOLE, *_SUMMED, *_in_reporting(_WORST), _OPEN),
    key=("tenant", "date"),
)


def _ratio(name: str, description: str, unit: str = "ratio") -> Column:
    return number(name, description, unit, _PERFORMANCE, nullable=True)


performance_daily = table(
    "performance_daily",
    "ledger",
    "One row per account, scope, name of the scope and UTC day on which it had a deal.",
    "What each day brought and how good it is so far: of the account, and of each symbol, strategy and model in it. Profit "
    "counts on the day of its deal, a trade on the day it was closed. Ratios are of the daily returns so far: net P&L over "
    "the account's capital, one for each day from Monday to Friday, the weekend counted with Monday. Partitioned by that day.",
    (
        text("scope", "What the row is about: account, symbol, strategy or model.", _PERFORMANCE, allowed=SCOPES),
        text(
            "scope_name",
            "Symbol, strategy version or model version (none: no decision of ours); empty for the account.",
            _PERFORMANCE,
        ),
        money("net_pnl", "Profit, commission, swap and fee of the day's deals.", _PERFORMANCE),
        count("deal_count", "Deals of the day.", "deals", _PERFORMANCE),
        texts("models", "Model versions whose trades had a deal on the day.", _PERFORMANCE),
        count("trades_closed", "Trades closed on the day.", "trades", _PERFORMANCE),
        count("wins", "Trades among them with a net profit.", "trades", _PERFORMANCE),
        share("win_share", "Win rate: wins among the trades closed on the day; null without any.", "share", _PERFORMANCE, nullable=True),
        _ratio("profit_factor", "Net profit of the day's wins over net loss of its losses; null without a loss."),
        money("best_net_pnl", "Best trade closed on the day; null without any.", _PERFORMANCE, nullable=True),
        money("worst_net_pnl", "Worst trade closed on the day; null without any.", _PERFORMANCE, nullable=True),
        number("pips", "Price results of the trades closed on the day.", "pips", _PERFORMANCE),
        _ratio("mean_holding_s", "Mean time from the first to the last deal of the trades closed on the day; null without any.", "s"),
        number("total_r", "Results of the trades closed on the day that have an outcome, before commission.", "R", "outcomes"),
        _ratio("mean_r", "Mean of these results; null without any.", "R"),
        money("cumulative_pnl", "Net P&L so far.", _PERFORMANCE),
        money("high_water_pnl", "High-water P&L: highest net P&L at the end of any day so far, at least 0.", _PERFORMANCE),
        money("drawdown", "High-water P&L less net P&L so far.", _PERFORMANCE),
        money("max_drawdown", "Largest drawdown of the net P&L at the end of any day so far.", _PERFORMANCE),
        count("trades_so_far", "Trades closed so far.", "trades", _PERFORMANCE),
        money("average_net_pnl", "Average net: arithmetic mean of the net profit of the trades closed so far; null before the first.", _PERFORMANCE, nullable=True),
        share("win_share_so_far", "Wins among the trades closed so far; null before the first.", "share", _PERFORMANCE, nullable=True),
        _ratio("profit_factor_so_far", "Net profit of all wins over net loss of all losses; null without a loss."),
        number("pips_so_far", "Price results of the trades closed so far.", "pips", _PERFORMANCE),
        _ratio("mean_holding_s_so_far", "Mean time held of the trades closed so far; null before the first.", "s"),
        _ratio("expectancy_r", "Expectancy: mean result of the trades closed so far that have an outcome, before commission; null before the first.", "R"),
        Column("observations", columns_of(Deal, "server_msc")[0].dtype, "Daily returns so far, days without a deal included; null before the first.", "days", _PERFORMANCE, nullable=True),
        _ratio("pnl_volatility", "Standard deviation (n - 1) of the daily net P&L; null before the second day.", "account currency"),
        _ratio("annual_return_share", "Compounded daily returns, carried on to 252 days; null before the second day or when everything is lost. Of a few days it says little.", "share a year"),
        _ratio("sharpe_ratio", "Mean over standard deviation (n - 1) of the daily returns, times the root of 252, no rate deducted; null before the second day or when they do not differ."),
        _ratio("sortino_ratio", "Mean of the daily returns over the root of the mean square of the returns, with positive ones as zero (downside deviation of Sortino and Price, 1994), times the root of 252; null before the second day or without a negative one."),
        _ratio("calmar_ratio", "Annual return over largest drawdown of the compounded returns; null before the second day or without a drawdown."),
        share("max_drawdown_share", "Largest fall of the compounded daily returns below their highest so far, the start included.", "share", _PERFORMANCE, nullable=True),
    ),
    key=("tenant", "account", "scope", "scope_name", "date"),
)  # fmt: skip

LEDGER_TABLES: tuple[Table, ...] = (
    pnl_events,
    equity_curve,
    strategy_curve,
    tenant_curve,
    equity_daily,
    strategy_daily,
    tenant_daily,
    performance_daily,
)
