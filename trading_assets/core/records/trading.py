"""Records of trading: sessions, orders, deals, positions, outcomes, breakers, and what was in use."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from trading_assets.core.fields import (
    IdeaId,
    Magic,
    SignalId,
    Symbol,
    TradeId,
    doc,
    moment,
)
from trading_assets.core.records.decisions import (
    BreakerState,
    RiskState,
    SymbolState,
    TraderLimits,
)
from trading_assets.core.records.record import (
    ExitReason,
    OrderState,
    Record,
    Side,
)

ACCOUNT_CHANGE = "ACCOUNT_CHANGE"
"""Reason of the deals by which an earlier account's money leaves the ledger: the daemon's own, told by no terminal."""


class Session(Record, frozen=True, kw_only=True, tag="session"):
    """A terminal that said hello. One row per session."""

    STREAM = "trading"

    session: Annotated[str, doc("Session of the connection.", source="daemon")]
    login: Annotated[str, doc("Account number at the broker.", source="terminal")]
    server: Annotated[str, doc("Name of the broker's server the terminal is logged in to.", source="terminal")]
    company: Annotated[str, doc("Name of the broker, as its terminal gives it.", source="terminal")]
    margin_mode: Annotated[str, doc("netting or hedging.", source="terminal")]
    build: Annotated[str, doc("Build of the Expert Advisor or simulated terminal.", source="terminal")]
    clock_rule: Annotated[str, doc("Rule that turns server time into UTC.", source="settings of the daemon")]
    currency: Annotated[
        str, doc("Currency the account is kept in: ISO 4217 code; empty on old records.", source="terminal")
    ] = ""
    deal_prefix: Annotated[
        str,
        doc(
            "What tickets of deals begin with here, so that they are not taken for an earlier account's; empty for the first account.",
            source="live.desk.admission",
        ),
    ] = ""
    limits: Annotated[
        TraderLimits | None, doc("The trader's own limits from here on; null when none are set.", source="terminal")
    ] = None


class AccountChange(Record, frozen=True, kw_only=True, tag="account_change"):
    """A person's word that an account is another one at the broker from now on. One row per change."""

    STREAM = "trading"

    login: Annotated[str, doc("Account number at the broker from now on.", source="terminal")]
    server: Annotated[str, doc("Name of the broker's server from now on.", source="terminal")]
    currency: Annotated[str, doc("Currency the account is kept in: ISO 4217 code.", source="terminal")]
    margin_mode: Annotated[str, doc("netting or hedging.", source="terminal")]
    former_login: Annotated[str, doc("Account number until now.", source="daemon")]
    former_server: Annotated[str, doc("Server until now.", source="daemon")]
    is_renamed: Annotated[
        bool,
        doc("Whether it is the same account on a server of another name, so that its books go on.", source="daemon"),
    ]
    deal_prefix: Annotated[str, doc("What tickets of deals begin with from now on.", source="live.desk.admission")]
    cause: Annotated[str, doc("Who said so.", source="live.desk.admission")]


class ClockVerdict(Record, frozen=True, kw_only=True, tag="clock_verdict"):
    """What the server's clock was judged to be: at an opening, after a weekend, by live quotes, by seconds. One row per judgement."""

    STREAM = "trading"

    server: Annotated[str, doc("Name of the broker's server the terminal is logged in to.", source="terminal")]
    clock_rule: Annotated[str, doc("Rule in use; empty when none could be told.", source="live.server_clock.watch")]
    origin: Annotated[
        Literal["settings", "detected", "recorded"],
        doc(
            "Who named the rule: a person, this session's history, or an earlier session's.",
            source="live.server_clock.watch",
        ),
    ]
    occasion: Annotated[
        Literal["opening", "weekend", "quotes", "offset"], doc("What was judged by.", source="live.server_clock.watch")
    ]
    is_accepted: Annotated[bool, doc("Whether the rule may be traded on.", source="live.server_clock.watch")]
    fitting_rules: Annotated[
        tuple[str, ...],
        doc("Rules that fit the history; empty when not judged by it.", source="core.market.clock_detection"),
    ]
    weekends: Annotated[int, doc("Weekends it was judged by.", "weekends", "core.market.clock_detection")]
    server_msc: Annotated[int, doc("Server time of the judgement, written as if it were an epoch.", "ms", "terminal")]
    offset_minutes: Annotated[
        int | None,
        doc(
            "Server time ahead of UTC as live quotes showed it; null when none did.",
            "minutes",
            "live.server_clock.watch",
        ),
    ] = None
    offset_s: Annotated[
        float | None,
        doc(
            "How far the terminal's clock is ahead of the daemon's, by its rule; null when not measured.",
            "s",
            "live.server_clock.offset",
        ),
    ] = None
    problem: Annotated[str, doc("Why it was not accepted; empty when it was.", source="live.server_clock.watch")]


class AccountSnapshot(Record, frozen=True, kw_only=True, tag="account"):
    """The account as the terminal reported it. One row per report."""

    STREAM = "trading"

    currency: Annotated[str, doc("Currency the account is kept in: ISO 4217 code.", source="terminal")]
    balance: Annotated[Decimal, doc("Money on the account, without open positions.", "account currency", "terminal")]
    equity: Annotated[
        Decimal, doc("Balance with the unrealised profit of open positions and credit.", "account currency", "terminal")
    ]
    credit: Annotated[
        Decimal, doc("Money lent by the broker: in the equity, not in the balance.", "account currency", "terminal")
    ]
    margin: Annotated[Decimal, doc("Margin in use.", "account currency", "terminal")]
    margin_free: Annotated[
        Decimal, doc("Equity that no position binds: what is left for new ones.", "account currency", "terminal")
    ]
    leverage: Annotated[int, doc("Leverage, 1:n.", "ratio", "terminal")]
    is_trade_allowed: Annotated[
        bool | None, doc("Whether the terminal allows trading; null on old records.", source="terminal")
    ] = None


class SymbolSpec(Record, frozen=True, kw_only=True, tag="symbol_spec"):
    """The contract of a symbol as the terminal reported it. One row per session, day and symbol, and one per change."""

    STREAM = "trading"

    symbol: Symbol
    raw_symbol: Annotated[str, doc("Symbol at the broker, with its suffix.", source="terminal")]
    spec: Annotated[
        SymbolState,
        doc(
            "Contract of the symbol: what a point, a tick and a lot are worth, and which sizes may be sent.",
            source="terminal",
        ),
    ]
    chart_point: Annotated[
        float | None,
        doc(
            "Step in which the symbol's bars count spreads: the point of its first contract; null on old records, then that of this one.",
            "price",
            "live.trading.contracts",
        ),
    ] = None


class Order(Record, frozen=True, kw_only=True, tag="order"):
    """One state of one order. One row per order and state change."""

    STREAM = "trading"

    signal_id: SignalId
    idea_id: Annotated[str | None, doc("Candidate the order carries out; null for a close.", source="decision")]
    trade_id: TradeId
    magic: Magic
    symbol: Symbol
    side: Annotated[Side, doc("BUY or SELL.", source="daemon")]
    purpose: Annotated[Literal["OPEN", "CLOSE"], doc("Whether it opens or closes a position.", source="daemon")]
    close_reason: Annotated[str, doc("Why a position is closed; empty for OPEN.", source="daemon")]
    state: Annotated[OrderState, doc("State of the order.", source="core.trades.lifecycle")]
    volume_lots: Annotated[Decimal, doc("Volume asked for.", "lots", "decision")]
    filled_lots: Annotated[Decimal, doc("Volume filled so far.", "lots", "terminal")]
    price: Annotated[float, doc("Price expected when it was sent.", "price", "quote")]
    stop_price: Annotated[float, doc("Stop loss; 0 when none.", "price", "decision")]
    target_price: Annotated[float, doc("Take profit; 0 when none.", "price", "decision")]
    deviation_points: Annotated[int, doc("Largest slippage the terminal may accept.", "points", "strategy")]
    deadline_at: Annotated[datetime, moment("After this the terminal must refuse it.", "strategy")]
    order_ticket: Annotated[str | None, doc("Order ticket at the broker.", source="terminal")]
    position_id: Annotated[str | None, doc("Position identifier at the broker.", source="terminal")]
    retcode: Annotated[int | None, doc("Result code of the trade server.", "code", "terminal")]
    reason: Annotated[str, doc("The state in words.", source="daemon")]


class Deal(Record, frozen=True, kw_only=True, tag="deal"):
    """One deal of the broker: a fill, or a balance operation. One row per telling of a deal; of its money the last counts, else the first."""

    STREAM = "trading"

    deal_ticket: Annotated[str, doc("Number the broker gave the deal, as text.", source="terminal")]
    order_ticket: Annotated[str, doc("Order ticket; 0 for a balance operation.", source="terminal")]
    position_id: Annotated[str, doc("Position identifier; joins the life of a trade.", source="terminal")]
    trade_id: Annotated[str | None, doc("Trade; null for deals that are not ours.", source="daemon")]
    signal_id: Annotated[
        str | None, doc("Decision that opened the trade; null for deals that are not ours.", source="daemon")
    ]
    magic: Magic
    symbol: Symbol
    kind: Annotated[str, doc("Type of the deal: BUY, SELL, BALANCE, CREDIT, COMMISSION, ...", source="terminal")]
    entry: Annotated[
        Literal["IN", "OUT", "INOUT", "OUT_BY"], doc("Whether it enters or leaves a position.", source="terminal")
    ]
    reason: Annotated[str, doc("EXPERT, SL, TP, SO, CLIENT, MOBILE, WEB, ...", source="terminal")]
    volume_lots: Annotated[Decimal, doc("Volume the deal filled.", "lots", "terminal")]
    price: Annotated[float, doc("Price at which the deal filled.", "price", "terminal")]
    profit: Annotated[Decimal, doc("Profit of the deal.", "account currency", "terminal")]
    commission: Annotated[Decimal, doc("Commission, negative when paid.", "account currency", "terminal")]
    swap: Annotated[
        Decimal, doc("Interest for positions held overnight, negative when paid.", "account currency", "terminal")
    ]
    fee: Annotated[
        Decimal, doc("Fee charged for the deal besides commission, negative when paid.", "account currency", "terminal")
    ]
    slippage_points: Annotated[
        float | None, doc("Fill price against the expected price, positive when worse.", "points", "daemon")
    ]
    comment: Annotated[str, doc("Broker's comment.", source="terminal")]
    server_msc: Annotated[int, doc("The terminal's own time of the deal.", "ms", "terminal")]
    is_late: Annotated[
        bool, doc("Kept by the terminal while the connection was down, or told once more.", source="terminal")
    ] = False
    slippage_r: Annotated[
        float | None, doc("The slippage in R of its trade: the distance from entry to stop as decided.", "R", "daemon")
    ] = None


class Position(Record, frozen=True, kw_only=True, tag="position"):
    """A position as the terminal reported it. One row per report and position."""

    STREAM = "trading"

    position_id: Annotated[str, doc("Position identifier.", source="terminal")]
    trade_id: Annotated[str | None, doc("Trade; null for positions that are not ours.", source="daemon")]
    magic: Magic
    symbol: Symbol
    side: Annotated[Side, doc("BUY for a long position, SELL for a short one.", source="terminal")]
    volume_lots: Annotated[Decimal, doc("Open volume; 0 once closed.", "lots", "terminal")]
    price_open: Annotated[float, doc("Average entry price.", "price", "terminal")]
    stop_price: Annotated[float, doc("Stop loss; 0 when none.", "price", "terminal")]
    target_price: Annotated[float, doc("Take profit; 0 when none.", "price", "terminal")]
    swap: Annotated[
        Decimal, doc("Interest so far for holding it overnight, negative when paid.", "account currency", "terminal")
    ]
    profit: Annotated[Decimal, doc("Unrealised profit.", "account currency", "terminal")]


class Protection(Record, frozen=True, kw_only=True, tag="protection"):
    """Stop or target of our position that are not those of its decision. One row per observation and step taken."""

    STREAM = "trading"

    trade_id: TradeId
    signal_id: SignalId
    position_id: Annotated[str, doc("Position identifier at the broker.", source="terminal")]
    magic: Magic
    symbol: Symbol
    step: Annotated[
        Literal["reattach", "attached", "refused", "missing", "moved"],
        doc(
            "reattach: the decision's are asked for again; attached, refused: the answer; missing: taken away again or"
            " not to be had; moved: changed by a person, respected.",
            source="live.trading.protection",
        ),
    ]
    stop_price: Annotated[float, doc("Stop loss the terminal holds; 0 when none.", "price", "terminal")]
    target_price: Annotated[float, doc("Take profit the terminal holds; 0 when none.", "price", "terminal")]
    decided_stop_price: Annotated[float, doc("Stop loss of the decision.", "price", "decision")]
    decided_target_price: Annotated[float, doc("Take profit of the decision.", "price", "decision")]
    retcode: Annotated[int | None, doc("Result code of the change.", "code", "terminal")]
    reason: Annotated[str, doc("The step in words.", source="daemon")]


class Mark(Record, frozen=True, kw_only=True, tag="mark"):
    """An open trade valued at a quote. One row per trade and mark."""

    STREAM = "trading"

    trade_id: TradeId
    signal_id: SignalId
    symbol: Symbol
    cause: Annotated[
        Literal["minute", "fill", "r_multiple", "stop_touch", "target_touch"],
        doc("Why it was marked.", source="daemon"),
    ]
    bid: Annotated[float, doc("Bid the trade was valued at.", "price", "quote")]
    ask: Annotated[float, doc("Ask the trade was valued at.", "price", "quote")]
    unrealised_pnl: Annotated[
        Decimal, doc("Unrealised profit before commission and swap.", "account currency", "daemon")
    ]
    unrealised_r: Annotated[float, doc("Unrealised result in multiples of risk.", "R", "daemon")]
    drawdown_r: Annotated[float, doc("Distance from the best result so far.", "R", "daemon")]
    mae_r: Annotated[float, doc("Maximum adverse excursion so far, zero or negative.", "R", "daemon")]
    mfe_r: Annotated[float, doc("Maximum favourable excursion so far, zero or positive.", "R", "daemon")]
    live_risk: Annotated[Decimal, doc("What would be lost from here to the stop.", "account currency", "daemon")]


class Outcome(Record, frozen=True, kw_only=True, tag="outcome"):
    """How a trade ended. One row per telling of an ending; the highest revision counts, of one revision the first."""

    STREAM = "trading"

    revision: Annotated[
        int, doc("0 for what was told first; n for the nth time its deals were changed.", "corrections", "live.books")
    ] = 0

    trade_id: TradeId
    signal_id: SignalId
    idea_id: IdeaId
    position_id: Annotated[str, doc("Position identifier at the broker.", source="terminal")]
    symbol: Symbol
    side: Annotated[Side, doc("BUY for a long trade, SELL for a short one.", source="decision")]
    opened_at: Annotated[datetime, moment("First entry deal.", "deals")]
    closed_at: Annotated[datetime, moment("Last exit deal.", "deals")]
    exit_reason: Annotated[
        ExitReason,
        doc(
            "What ended the trade: its stop, its target, its time, a signal, the weekend, a person, the broker.",
            source="core.trades.outcomes",
        ),
    ]
    volume_lots: Annotated[Decimal, doc("Volume that was opened: sum of the entry deals.", "lots", "deals")]
    entry_price: Annotated[float, doc("Average entry price.", "price", "deals")]
    exit_price: Annotated[float, doc("Average exit price.", "price", "deals")]
    stop_price: Annotated[float, doc("Stop loss at entry.", "price", "decision")]
    target_price: Annotated[float, doc("Take profit at entry.", "price", "decision")]
    risk_unit: Annotated[
        float,
        doc(
            "1 R: distance from the decided entry to its stop; from entry_price it differs by what the fill slipped.",
            "price",
            "decision",
        ),
    ]
    gross_pnl: Annotated[Decimal, doc("Sum of the deals' profit.", "account currency", "deals")]
    commission: Annotated[
        Decimal, doc("Commission of all deals of the trade, negative when paid.", "account currency", "deals")
    ]
    swap: Annotated[Decimal, doc("Swap of all deals of the trade, negative when paid.", "account currency", "deals")]
    fee: Annotated[Decimal, doc("Fees of all deals of the trade, negative when paid.", "account currency", "deals")]
    net_pnl: Annotated[
        Decimal,
        doc(
            "Gross profit with commission, swap and fee added, which are negative when paid.",
            "account currency",
            "deals",
        ),
    ]
    result_r: Annotated[
        float, doc("Price result in multiples of risk, before commission.", "R", "core.trades.outcomes")
    ]
    mae_r: Annotated[float, doc("Maximum adverse excursion, zero or negative.", "R", "quotes")]
    mfe_r: Annotated[float, doc("Maximum favourable excursion, zero or positive.", "R", "quotes")]
    time_to_mfe_s: Annotated[float, doc("From entry to the best quote.", "s", "quotes")]
    time_to_target_s: Annotated[
        float | None, doc("From entry to the target; null when it was not reached.", "s", "deals")
    ]
    holding_s: Annotated[float, doc("From entry to exit.", "s", "deals")]
    realised_volatility: Annotated[
        float, doc("Square root of the sum of squared log returns of the mid at each mark.", "share", "marks")
    ]
    slippage_points: Annotated[float, doc("Entry and exit slippage, positive when worse.", "points", "deals")]
    mark_count: Annotated[int, doc("Marks recorded for the trade.", "marks", "daemon")]


class BreakerEvent(Record, frozen=True, kw_only=True, tag="breaker_event"):
    """A breaker that tripped or was reset. One row per change."""

    STREAM = "trading"

    breaker: Annotated[str, doc("Name of the breaker.", source="core.decisions.breakers")]
    change: Annotated[
        Literal["trip", "reset"], doc("Whether the breaker tripped or was reset.", source="live.books.risk_state")
    ]
    effect: Annotated[str, doc("none, halve or stop.", source="core.decisions.breakers")]
    cause: Annotated[str, doc("What made it trip or reset, in words.", source="live.books.risk_state")]
    symbol: Annotated[
        str, doc("Symbol whose entries it concerns; empty when it is the account's.", source="live.books.risk_state")
    ] = ""


class SymbolBreaker(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker that is tripped on one symbol."""

    symbol: Annotated[str, doc("Symbol whose entries it concerns.", source="live.books.risk_state")]
    breaker: Annotated[str, doc("Name of the breaker.", source="core.decisions.breakers")]
    effect: Annotated[str, doc("none, halve or stop.", source="core.decisions.breakers")]
    cause: Annotated[str, doc("Why it tripped.", source="live.books.risk_state")]

    @property
    def state(self) -> BreakerState:
        """Return it as its symbol's decision sees it."""
        return BreakerState(breaker=self.breaker, is_tripped=True, effect=self.effect, cause=self.cause)


class ReleaseLoad(Record, frozen=True, kw_only=True, tag="release_load"):
    """A release the daemon took into use or refused. One row per attempt."""

    STREAM = "trading"

    release_id: Annotated[str, doc("Release that was taken into use or refused.", source="release manifest")]
    model_version: Annotated[str | None, doc("Meta-model version.", source="release manifest")]
    is_accepted: Annotated[bool, doc("Whether it is in use from now on.", source="live.trading.releases")]
    reason: Annotated[str, doc("Why it was accepted or refused.", source="live.trading.releases")]


class StrategyLoad(Record, frozen=True, kw_only=True, tag="strategy_load"):
    """A strategy the daemon took into use, with all its parameters. One row per start."""

    STREAM = "trading"

    strategy_version: Annotated[str, doc("Name and hash of the parameters.", source="core.decisions.strategy")]
    parameters: Annotated[str, doc("The parameters as canonical JSON.", source="core.decisions.strategy")]
    risk: Annotated[
        RiskState | None,
        doc(
            "Risk state at the start, so that none of it is forgotten however long nothing is decided.", source="daemon"
        ),
    ] = None
    equity: Annotated[
        Decimal | None,
        doc("Equity known last at the start; null when none is.", "account currency", "live.books.risk_state"),
    ] = None
    equity_at: Annotated[datetime | None, moment("When that equity was known.", "live.books.risk_state")] = None
    symbol_breakers: Annotated[
        tuple[SymbolBreaker, ...],
        doc("Breakers tripped on single symbols at the start.", source="live.books.risk_state"),
    ] = ()


class CommandResult(Record, frozen=True, kw_only=True, tag="command_result"):
    """The answer to a command of the inbox. One row per command."""

    STREAM = "trading"

    command_id: Annotated[str, doc("Name of the command's file.", source="command inbox")]
    command: Annotated[
        str, doc("halt, resume, breaker_reset, query, reload, account_accept or drain.", source="command inbox")
    ]
    is_done: Annotated[bool, doc("Whether it was carried out.", source="daemon")]
    answer: Annotated[str, doc("The answer in words.", source="daemon")]
