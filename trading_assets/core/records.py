"""Every record of the journal, as frozen structs of one tagged union.

A record is one NDJSON line; `type` is its tag. `STREAM` says which stream of the journal it rests in.
Prices are float64 as the terminal sends them; money and volumes are decimals; times are UTC. Messages of
the bridge live in `messages`, the way bytes rest on disk in `store.journal`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

import msgspec

from trading_assets.core.fields import (
    Account,
    ChainId,
    EventAt,
    IdeaId,
    KnownAt,
    Magic,
    SignalId,
    Symbol,
    Tenant,
    Timeframe,
    TradeId,
    doc,
    moment,
)

SCHEMA_VERSION = 1

Stream = Literal["market", "trading", "ops"]
Side = Literal["BUY", "SELL"]
CandidateKind = Literal["LONG", "SHORT", "HOLD", "CLOSE"]
Suggestion = Literal["LONG", "SHORT", "WAIT"]
Action = Literal["OPEN", "CLOSE", "REVERSE", "HOLD", "NONE"]
Mode = Literal["observe", "recommend", "execute"]
Verdict = Literal["pass", "block", "not_available"]
OrderState = Literal["PLANNED", "SENT", "PLACED", "PARTIAL", "FILLED", "REFUSED", "EXPIRED", "CANCELLED", "UNKNOWN"]
ExitReason = Literal["stop", "target", "timeout", "signal", "weekend", "stop_out", "manual", "end_of_test"]

Money = Annotated[Decimal, doc("Amount of money.", "account currency", "terminal")]
Lots = Annotated[Decimal, doc("Volume.", "lots", "terminal")]
Price = Annotated[float, doc("Price.", "price", "terminal")]


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every record carries. Subclasses set the tag and the stream."""

    STREAM: ClassVar[Stream]

    schema_version: Annotated[int, doc("Version of the record's schema.", source="core.records")] = SCHEMA_VERSION
    tenant: Tenant
    account: Account
    event_at: EventAt
    known_at: KnownAt
    chain_id: ChainId


# --- market ----------------------------------------------------------------------------------------------------


class Quote(Record, frozen=True, kw_only=True, tag="quote"):
    """One accepted bid/ask quote. One row per quote."""

    STREAM = "market"

    symbol: Symbol
    bid: Annotated[float, doc("Best bid.", "price", "terminal tick")]
    ask: Annotated[float, doc("Best ask.", "price", "terminal tick")]
    server_msc: Annotated[
        int,
        doc(
            "The terminal's own time of the quote, server wall time written as if it were an epoch.",
            "ms",
            "terminal tick",
        ),
    ]
    clock_rule: Annotated[
        str,
        doc(
            "Rule that turned server time into UTC: utc, a fixed offset in hours, eu or us.",
            source="settings of the daemon",
        ),
    ]


class Bar(Record, frozen=True, kw_only=True, tag="bar"):
    """One closed bar, bid-based with the ask and the spread beside it. One row per symbol, timeframe and open."""

    STREAM = "market"

    symbol: Symbol
    timeframe: Timeframe
    open_at: Annotated[datetime, moment("Start of the bar, inclusive.", "core.market.bars")]
    close_at: Annotated[datetime, moment("End of the bar, exclusive.", "core.market.bars")]
    open: Annotated[float, doc("First bid.", "price", "quotes")]
    high: Annotated[float, doc("Highest bid.", "price", "quotes")]
    low: Annotated[float, doc("Lowest bid.", "price", "quotes")]
    close: Annotated[float, doc("Last bid.", "price", "quotes")]
    ask_open: Annotated[float, doc("First ask.", "price", "quotes")]
    ask_high: Annotated[float, doc("Highest ask.", "price", "quotes")]
    ask_low: Annotated[float, doc("Lowest ask.", "price", "quotes")]
    ask_close: Annotated[float, doc("Last ask.", "price", "quotes")]
    tick_count: Annotated[int, doc("Accepted quotes in the bar.", "quotes", "quotes")]
    spread_min_points: Annotated[int, doc("Smallest spread, rounded to points.", "points", "quotes")]
    spread_max_points: Annotated[int, doc("Largest spread, rounded to points.", "points", "quotes")]
    spread_sum_points: Annotated[
        int, doc("Sum of the spreads, so that the mean of a longer bar is exact.", "points", "quotes")
    ]
    source: Annotated[
        Literal["quotes", "history"], doc("Built here from quotes, or answered by the terminal.", source="daemon")
    ]


class Quarantine(Record, frozen=True, kw_only=True, tag="quarantine"):
    """One quote or message that was refused, with the reason. One row per refusal."""

    STREAM = "market"

    symbol: Annotated[str, doc("Symbol as sent; empty when the message names none.", source="terminal")]
    reason: Annotated[
        str,
        doc(
            "Why it was refused: crossed, non_finite, non_positive, time_backwards, unknown_symbol, duplicate, malformed, ...",
            source="core.market.quotes",
        ),
    ]
    subject: Annotated[str, doc("What was refused, as text, shortened to 500 characters.", source="terminal")]


# --- decisions -------------------------------------------------------------------------------------------------


class WindowReference(msgspec.Struct, frozen=True, kw_only=True):
    """Which bars of one timeframe a decision saw."""

    timeframe: Timeframe
    first_open_at: Annotated[datetime | None, moment("Open of the first bar; null when there is none.", "live.window")]
    last_open_at: Annotated[datetime | None, moment("Open of the last bar; null when there is none.", "live.window")]
    bar_count: Annotated[int, doc("Bars in the window.", "bars", "live.window")]
    sha256: Annotated[str, doc("Hash of the bars, core.features.window.", source="live.window")]


class FeatureWindowReference(msgspec.Struct, frozen=True, kw_only=True):
    """The last rows of features a sequence model would see."""

    row_count: Annotated[int, doc("Rows, at most 64.", "rows", "live.window")]
    first_close_at: Annotated[datetime | None, moment("Close of the first row's bar.", "live.window")]
    sha256_raw: Annotated[str, doc("Hash of the raw rows, little-endian float64, row by row.", source="live.window")]
    sha256_normalised: Annotated[str, doc("Hash of the normalised rows.", source="live.window")]
    normaliser_version: Annotated[str, doc("Normaliser used; identity before the first release.", source="release")]


class Regime(msgspec.Struct, frozen=True, kw_only=True):
    """State of the market at the bar's close."""

    label: Annotated[
        str, doc("trending_up, trending_down, ranging, volatile or unknown.", source="core.features.regimes")
    ]
    confidence: Annotated[float, doc("Confidence, 0 to 1.", "share", "core.features.regimes")]
    classifier_version: Annotated[str, doc("Version of the classifier.", source="core.features.regimes")]


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """One forecaster's view."""

    forecaster: Annotated[str, doc("Name of the forecaster.", source="core.decisions.forecasts")]
    version: Annotated[str, doc("Its version.", source="core.decisions.forecasts")]
    value: Annotated[float, doc("Direction and strength, -1 (down) to 1 (up).", "score", "core.decisions.forecasts")]
    confidence: Annotated[float, doc("Confidence, 0 to 1.", "share", "core.decisions.forecasts")]
    reason: Annotated[str, doc("What it saw, in words.", source="core.decisions.forecasts")]


class FilterVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one filter said, and on which values."""

    filter: Annotated[str, doc("Name of the filter.", source="core.decisions.filters")]
    verdict: Annotated[
        Verdict, doc("pass, block, or not_available when the filter has no source.", source="core.decisions.filters")
    ]
    observed: Annotated[str, doc("Value it saw.", source="core.decisions.filters")]
    limit: Annotated[str, doc("Value it held it against.", source="core.decisions.filters")]
    reason: Annotated[str, doc("The verdict in words.", source="core.decisions.filters")]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One idea of a decision's cohort, judged beside the others at the same time."""

    idea_id: IdeaId
    kind: Annotated[
        CandidateKind,
        doc("LONG or SHORT; with a position open also HOLD and CLOSE.", source="core.decisions.candidates"),
    ]
    exit_profile: Annotated[
        str, doc("Name of the exit profile; empty for HOLD and CLOSE.", source="core.decisions.candidates")
    ]
    entry_price: Annotated[
        float | None, doc("Price at which it would be filled now: ask for LONG, bid for SHORT.", "price", "quote")
    ]
    stop_price: Annotated[float | None, doc("Stop loss.", "price", "core.decisions.candidates")]
    target_price: Annotated[float | None, doc("Take profit.", "price", "core.decisions.candidates")]
    timeout_bars: Annotated[
        int | None, doc("Bars of the decision's timeframe after which it is closed.", "bars", "exit profile")
    ]
    risk_unit: Annotated[float | None, doc("1 R: distance from entry to stop.", "price", "core.decisions.candidates")]
    reward_r: Annotated[
        float | None, doc("Distance from entry to target in multiples of risk.", "R", "core.decisions.candidates")
    ]
    cost_r: Annotated[
        float | None,
        doc("Spread and commission of a round trip in multiples of risk.", "R", "core.decisions.candidates"),
    ]
    rule_score: Annotated[float, doc("Score of the rules, 0 to 1.", "score", "core.decisions.scoring")]
    win_probability: Annotated[
        float | None,
        doc("Meta-model's calibrated probability of a win; null without a model.", "probability", "meta-model"),
    ]
    blended_score: Annotated[
        float, doc("(1 - blend) * rule score + blend * win probability.", "score", "core.decisions.scoring")
    ]
    filters: Annotated[
        tuple[FilterVerdict, ...], doc("Verdicts that depend on the candidate.", source="core.decisions.filters")
    ]


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    """The account as the decision saw it."""

    currency: Annotated[str, doc("Deposit currency.", source="terminal")]
    balance: Annotated[Decimal, doc("Balance.", "account currency", "terminal")]
    equity: Annotated[Decimal, doc("Equity.", "account currency", "terminal")]
    margin_free: Annotated[Decimal, doc("Free margin.", "account currency", "terminal")]
    leverage: Annotated[int, doc("Leverage, 1:n.", "ratio", "terminal")]
    trade_allowed: Annotated[bool, doc("Whether the terminal allows trading.", source="terminal")]


class SymbolState(msgspec.Struct, frozen=True, kw_only=True):
    """The contract of the symbol as the decision saw it."""

    symbol: Symbol
    digits: Annotated[int, doc("Digits after the point of a price.", "digits", "terminal")]
    point: Annotated[float, doc("Smallest step a price is written in.", "price", "terminal")]
    tick_size: Annotated[float, doc("Smallest step a price can move (trade_tick_size).", "price", "terminal")]
    tick_value: Annotated[Decimal, doc("Value of one tick of one lot.", "account currency", "terminal")]
    contract_size: Annotated[Decimal, doc("Units of one lot.", "units", "terminal")]
    volume_min: Annotated[Decimal, doc("Smallest volume.", "lots", "terminal")]
    volume_max: Annotated[Decimal, doc("Largest volume.", "lots", "terminal")]
    volume_step: Annotated[Decimal, doc("Step of the volume.", "lots", "terminal")]
    stops_level: Annotated[int, doc("Least distance of stop and target from the price.", "points", "terminal")]
    commission_per_lot: Annotated[
        Decimal, doc("Commission of one side of one lot.", "account currency", "settings of the account")
    ]


class OpenPosition(msgspec.Struct, frozen=True, kw_only=True):
    """The position open on the symbol when the decision was made."""

    trade_id: TradeId
    signal_id: SignalId
    position_id: Annotated[str, doc("Position identifier at the broker.", source="terminal")]
    side: Annotated[Side, doc("Side of the position.", source="terminal")]
    volume_lots: Annotated[Decimal, doc("Open volume.", "lots", "terminal")]
    entry_price: Annotated[float, doc("Average entry price.", "price", "terminal")]
    stop_price: Annotated[float, doc("Stop loss; 0 when none.", "price", "terminal")]
    target_price: Annotated[float, doc("Take profit; 0 when none.", "price", "terminal")]
    opened_at: Annotated[datetime, moment("When it was opened.", "terminal")]
    bars_held: Annotated[int, doc("Closed bars since the entry.", "bars", "daemon")]
    timeout_bars: Annotated[int, doc("Bars after which it is closed.", "bars", "exit profile")]
    unrealised_r: Annotated[
        float, doc("Unrealised result in multiples of risk at the decision's quote.", "R", "daemon")
    ]


class BreakerState(msgspec.Struct, frozen=True, kw_only=True):
    """One breaker as the decision saw it."""

    breaker: Annotated[str, doc("Name of the breaker.", source="core.decisions.breakers")]
    is_tripped: Annotated[bool, doc("Whether it blocks or reduces entries.", source="live.risk_state")]
    effect: Annotated[str, doc("none, halve or stop.", source="core.decisions.breakers")]
    cause: Annotated[str, doc("Why it tripped; empty when it did not.", source="live.risk_state")]


class RiskState(msgspec.Struct, frozen=True, kw_only=True):
    """What the risk rules need to know at a decision."""

    open_positions: Annotated[int, doc("Open positions on the account.", "positions", "daemon")]
    pending_orders: Annotated[
        int, doc("Orders whose result is not known yet on this symbol, UNKNOWN included.", "orders", "daemon")
    ]
    equity_high_water_mark: Annotated[
        Decimal, doc("Highest equity so far, deposits taken out.", "account currency", "live.risk_state")
    ]
    day_start_equity: Annotated[
        Decimal, doc("Equity at the start of the UTC day.", "account currency", "live.risk_state")
    ]
    week_start_equity: Annotated[
        Decimal, doc("Equity at the start of the week (Sunday 00:00 UTC).", "account currency", "live.risk_state")
    ]
    orders_last_hour: Annotated[int, doc("Entry orders in the last hour.", "orders", "live.risk_state")]
    breakers: Annotated[
        tuple[BreakerState, ...], doc("Breakers whose state is kept outside the decision.", source="live.risk_state")
    ]


class DecisionInputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a decision is a function of, besides the features, the release and the strategy it names."""

    bid: Annotated[float, doc("Last bid at the bar's close.", "price", "quote")]
    ask: Annotated[float, doc("Last ask at the bar's close.", "price", "quote")]
    quote_at: Annotated[datetime, moment("Time of that quote.", "quote")]
    base_bar_count: Annotated[int, doc("Bars of the decision's timeframe in the window.", "bars", "live.window")]
    account_state: Annotated[AccountState, doc("Account.", source="terminal")]
    symbol_state: Annotated[SymbolState, doc("Contract.", source="terminal")]
    position: Annotated[OpenPosition | None, doc("Open position on the symbol; null when flat.", source="daemon")]
    risk: Annotated[RiskState, doc("Risk state.", source="live.risk_state")]


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """Versions of everything that took part in a decision."""

    code: Annotated[str, doc("Version of this software.", source="package")]
    strategy: Annotated[
        str, doc("Version of the strategy: name and hash of its parameters.", source="core.decisions.strategy")
    ]
    feature_set: Annotated[str, doc("Name and hash of the feature set.", source="core.features.feature_set")]
    extractor: Annotated[
        str, doc("Version of the feature extractor: TA-Lib and numpy.", source="core.features.feature_set")
    ]
    release: Annotated[str, doc("Release in use; rules-only when there is none.", source="live.releases")]
    model: Annotated[str | None, doc("Meta-model version; null without a model.", source="release")]


class Decision(Record, frozen=True, kw_only=True, tag="decision"):
    """One decision at one closed bar, also the decision not to trade. One row per signal."""

    STREAM = "trading"

    signal_id: SignalId
    mode: Annotated[Mode, doc("observe, recommend or execute.", source="settings of the daemon")]
    symbol: Symbol
    timeframe: Timeframe
    bar_open_at: Annotated[datetime, moment("Open of the bar that closed.", "core.market.bars")]
    bar_close_at: Annotated[datetime, moment("Close of the bar that closed.", "core.market.bars")]
    decided_at: Annotated[datetime, moment("When it was decided; in replay, simulated time.", "daemon")]
    versions: Annotated[Versions, doc("Versions of everything that took part.", source="daemon")]
    inputs: Annotated[DecisionInputs, doc("What it was decided on.", source="daemon")]
    windows: Annotated[
        tuple[WindowReference, ...], doc("Bars it saw, one entry for each timeframe.", source="live.window")
    ]
    window_sha256: Annotated[str, doc("Hash over the windows of all timeframes.", source="live.window")]
    feature_window: Annotated[FeatureWindowReference, doc("Rolling window of feature rows.", source="live.window")]
    features: Annotated[
        str,
        doc("Raw feature vector: base64 of little-endian float64, in the feature set's order.", source="core.features"),
    ]
    features_normalised: Annotated[str, doc("Normalised feature vector, the same encoding.", source="release")]
    regime: Annotated[Regime, doc("Regime.", source="core.features.regimes")]
    forecasts: Annotated[
        tuple[Forecast, ...], doc("The ensemble, one entry for each forecaster.", source="core.decisions.forecasts")
    ]
    consensus: Annotated[
        float, doc("Confidence-weighted mean of the forecasts, -1 to 1.", "score", "core.decisions.forecasts")
    ]
    dispersion: Annotated[
        float, doc("Confidence-weighted standard deviation of the forecasts.", "score", "core.decisions.forecasts")
    ]
    filters: Annotated[
        tuple[FilterVerdict, ...], doc("Verdicts that hold for the whole cohort.", source="core.decisions.filters")
    ]
    candidates: Annotated[tuple[Candidate, ...], doc("The cohort.", source="core.decisions.candidates")]
    blend: Annotated[float, doc("Weight of the model in the blended score; 0 is shadow.", "share", "release")]
    breakers: Annotated[tuple[BreakerState, ...], doc("All breakers.", source="core.decisions.breakers")]
    suggestion: Annotated[Suggestion, doc("LONG, SHORT or WAIT.", source="core.decisions.decide")]
    action: Annotated[
        Action,
        doc("What to do given the position: OPEN, CLOSE, REVERSE, HOLD or NONE.", source="core.decisions.decide"),
    ]
    idea_id: Annotated[str | None, doc("Chosen candidate; null for WAIT.", source="core.decisions.decide")]
    entry_price: Annotated[float | None, doc("Expected entry.", "price", "chosen candidate")]
    stop_price: Annotated[float | None, doc("Stop loss.", "price", "chosen candidate")]
    target_price: Annotated[float | None, doc("Take profit.", "price", "chosen candidate")]
    volume_lots: Annotated[Decimal, doc("Volume to open; 0 when nothing is opened.", "lots", "core.decisions.sizing")]
    risk_amount: Annotated[Decimal, doc("Money at risk to the stop.", "account currency", "core.decisions.sizing")]
    confidence: Annotated[float, doc("Confidence in the suggestion, 0 to 1.", "share", "core.decisions.decide")]
    quality_score: Annotated[
        float, doc("Blended score less dispersion and cost, 0 to 1.", "score", "core.decisions.decide")
    ]
    warnings: Annotated[
        tuple[str, ...], doc("What a trader should know although it did not block.", source="core.decisions.decide")
    ]
    reasons: Annotated[tuple[str, ...], doc("Why it was decided so, in words.", source="core.decisions.decide")]


class DecisionTiming(Record, frozen=True, kw_only=True, tag="decision_timing"):
    """Stage times of one decision, beside it so that the decision compares bit for bit. One row per signal."""

    STREAM = "trading"

    signal_id: SignalId
    features_us: Annotated[int, doc("Window and features.", "µs", "daemon")]
    decide_us: Annotated[int, doc("decide().", "µs", "daemon")]
    commit_us: Annotated[int, doc("Journal commit, durable.", "µs", "daemon")]
    total_us: Annotated[
        int,
        doc(
            "Arrival of the last message before the decision to the order frame written, or to the commit when no order follows.",
            "µs",
            "daemon",
        ),
    ]
    has_order: Annotated[bool, doc("Whether an order frame was written.", source="daemon")]


# --- trades ----------------------------------------------------------------------------------------------------


class Session(Record, frozen=True, kw_only=True, tag="session"):
    """A terminal that said hello. One row per session."""

    STREAM = "trading"

    session: Annotated[str, doc("Session of the connection.", source="daemon")]
    login: Annotated[str, doc("Account number at the broker.", source="terminal")]
    server: Annotated[str, doc("Broker's server.", source="terminal")]
    company: Annotated[str, doc("Broker.", source="terminal")]
    margin_mode: Annotated[str, doc("netting or hedging.", source="terminal")]
    build: Annotated[str, doc("Build of the Expert Advisor or simulated terminal.", source="terminal")]
    clock_rule: Annotated[str, doc("Rule that turns server time into UTC.", source="settings of the daemon")]


class AccountSnapshot(Record, frozen=True, kw_only=True, tag="account"):
    """The account as the terminal reported it. One row per report."""

    STREAM = "trading"

    currency: Annotated[str, doc("Deposit currency.", source="terminal")]
    balance: Annotated[Decimal, doc("Balance.", "account currency", "terminal")]
    equity: Annotated[Decimal, doc("Equity.", "account currency", "terminal")]
    credit: Annotated[Decimal, doc("Credit.", "account currency", "terminal")]
    margin: Annotated[Decimal, doc("Margin in use.", "account currency", "terminal")]
    margin_free: Annotated[Decimal, doc("Free margin.", "account currency", "terminal")]
    leverage: Annotated[int, doc("Leverage, 1:n.", "ratio", "terminal")]


class SymbolSpec(Record, frozen=True, kw_only=True, tag="symbol_spec"):
    """The contract of a symbol as the terminal reported it. One row per report and symbol."""

    STREAM = "trading"

    symbol: Symbol
    raw_symbol: Annotated[str, doc("Symbol at the broker, with its suffix.", source="terminal")]
    spec: Annotated[SymbolState, doc("The contract.", source="terminal")]


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
    """One deal of the broker: a fill, or a balance operation. One row per account and deal ticket."""

    STREAM = "trading"

    deal_ticket: Annotated[str, doc("Deal ticket.", source="terminal")]
    order_ticket: Annotated[str, doc("Order ticket; 0 for a balance operation.", source="terminal")]
    position_id: Annotated[str, doc("Position identifier; joins the life of a trade.", source="terminal")]
    trade_id: Annotated[str | None, doc("Trade; null for deals that are not ours.", source="daemon")]
    signal_id: Annotated[
        str | None, doc("Decision that opened the trade; null for deals that are not ours.", source="daemon")
    ]
    magic: Magic
    symbol: Symbol
    kind: Annotated[Literal["BUY", "SELL", "BALANCE", "CREDIT"], doc("Type of the deal.", source="terminal")]
    entry: Annotated[
        Literal["IN", "OUT", "INOUT", "OUT_BY"], doc("Whether it enters or leaves a position.", source="terminal")
    ]
    reason: Annotated[str, doc("EXPERT, SL, TP, SO, CLIENT, MOBILE, WEB, ...", source="terminal")]
    volume_lots: Annotated[Decimal, doc("Volume.", "lots", "terminal")]
    price: Annotated[float, doc("Fill price.", "price", "terminal")]
    profit: Annotated[Decimal, doc("Profit of the deal.", "account currency", "terminal")]
    commission: Annotated[Decimal, doc("Commission, negative when paid.", "account currency", "terminal")]
    swap: Annotated[Decimal, doc("Swap.", "account currency", "terminal")]
    fee: Annotated[Decimal, doc("Fee.", "account currency", "terminal")]
    slippage_points: Annotated[
        float | None, doc("Fill price against the expected price, positive when worse.", "points", "daemon")
    ]
    comment: Annotated[str, doc("Broker's comment.", source="terminal")]
    server_msc: Annotated[int, doc("The terminal's own time of the deal.", "ms", "terminal")]


class Position(Record, frozen=True, kw_only=True, tag="position"):
    """A position as the terminal reported it. One row per report and position."""

    STREAM = "trading"

    position_id: Annotated[str, doc("Position identifier.", source="terminal")]
    trade_id: Annotated[str | None, doc("Trade; null for positions that are not ours.", source="daemon")]
    magic: Magic
    symbol: Symbol
    side: Annotated[Side, doc("Side.", source="terminal")]
    volume_lots: Annotated[Decimal, doc("Open volume; 0 once closed.", "lots", "terminal")]
    price_open: Annotated[float, doc("Average entry price.", "price", "terminal")]
    stop_price: Annotated[float, doc("Stop loss; 0 when none.", "price", "terminal")]
    target_price: Annotated[float, doc("Take profit; 0 when none.", "price", "terminal")]
    swap: Annotated[Decimal, doc("Swap so far.", "account currency", "terminal")]
    profit: Annotated[Decimal, doc("Unrealised profit.", "account currency", "terminal")]


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
    bid: Annotated[float, doc("Bid.", "price", "quote")]
    ask: Annotated[float, doc("Ask.", "price", "quote")]
    unrealised_pnl: Annotated[
        Decimal, doc("Unrealised profit before commission and swap.", "account currency", "daemon")
    ]
    unrealised_r: Annotated[float, doc("Unrealised result in multiples of risk.", "R", "daemon")]
    drawdown_r: Annotated[float, doc("Distance from the best result so far.", "R", "daemon")]
    mae_r: Annotated[float, doc("Maximum adverse excursion so far, zero or negative.", "R", "daemon")]
    mfe_r: Annotated[float, doc("Maximum favourable excursion so far, zero or positive.", "R", "daemon")]
    live_risk: Annotated[Decimal, doc("What would be lost from here to the stop.", "account currency", "daemon")]


class Outcome(Record, frozen=True, kw_only=True, tag="outcome"):
    """How a trade ended. One row per trade."""

    STREAM = "trading"

    trade_id: TradeId
    signal_id: SignalId
    idea_id: IdeaId
    position_id: Annotated[str, doc("Position identifier at the broker.", source="terminal")]
    symbol: Symbol
    side: Annotated[Side, doc("Side.", source="decision")]
    opened_at: Annotated[datetime, moment("First entry deal.", "deals")]
    closed_at: Annotated[datetime, moment("Last exit deal.", "deals")]
    exit_reason: Annotated[ExitReason, doc("Why it ended.", source="core.trades.outcomes")]
    volume_lots: Annotated[Decimal, doc("Volume.", "lots", "deals")]
    entry_price: Annotated[float, doc("Average entry price.", "price", "deals")]
    exit_price: Annotated[float, doc("Average exit price.", "price", "deals")]
    stop_price: Annotated[float, doc("Stop loss at entry.", "price", "decision")]
    target_price: Annotated[float, doc("Take profit at entry.", "price", "decision")]
    risk_unit: Annotated[float, doc("1 R: distance from entry to stop, stored at entry.", "price", "decision")]
    gross_pnl: Annotated[Decimal, doc("Sum of the deals' profit.", "account currency", "deals")]
    commission: Annotated[Decimal, doc("Sum of commissions.", "account currency", "deals")]
    swap: Annotated[Decimal, doc("Sum of swaps.", "account currency", "deals")]
    fee: Annotated[Decimal, doc("Sum of fees.", "account currency", "deals")]
    net_pnl: Annotated[Decimal, doc("Gross less commission, swap and fee.", "account currency", "deals")]
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
    change: Annotated[Literal["trip", "reset"], doc("What happened.", source="live.risk_state")]
    effect: Annotated[str, doc("none, halve or stop.", source="core.decisions.breakers")]
    cause: Annotated[str, doc("Why.", source="live.risk_state")]


class ReleaseLoad(Record, frozen=True, kw_only=True, tag="release_load"):
    """A release the daemon took into use or refused. One row per attempt."""

    STREAM = "trading"

    release_id: Annotated[str, doc("Release.", source="release manifest")]
    model_version: Annotated[str | None, doc("Meta-model version.", source="release manifest")]
    is_accepted: Annotated[bool, doc("Whether it is in use from now on.", source="live.releases")]
    reason: Annotated[str, doc("Why it was accepted or refused.", source="live.releases")]


class StrategyLoad(Record, frozen=True, kw_only=True, tag="strategy_load"):
    """A strategy the daemon took into use, with all its parameters. One row per start."""

    STREAM = "trading"

    strategy_version: Annotated[str, doc("Name and hash of the parameters.", source="core.decisions.strategy")]
    parameters: Annotated[str, doc("The parameters as canonical JSON.", source="core.decisions.strategy")]


class CommandResult(Record, frozen=True, kw_only=True, tag="command_result"):
    """The answer to a command of the inbox. One row per command."""

    STREAM = "trading"

    command_id: Annotated[str, doc("Name of the command's file.", source="command inbox")]
    command: Annotated[str, doc("halt, resume, breaker_reset, query or drain.", source="command inbox")]
    is_done: Annotated[bool, doc("Whether it was carried out.", source="daemon")]
    answer: Annotated[str, doc("The answer in words.", source="daemon")]


# --- ops -------------------------------------------------------------------------------------------------------


class DaemonHeartbeat(Record, frozen=True, kw_only=True, tag="daemon_heartbeat"):
    """A sign of life with counts. One row per interval."""

    STREAM = "ops"

    quotes: Annotated[int, doc("Quotes accepted since the start.", "quotes", "daemon")]
    quarantined: Annotated[int, doc("Quotes and messages refused since the start.", "quotes", "daemon")]
    decisions: Annotated[int, doc("Decisions since the start.", "decisions", "daemon")]
    open_positions: Annotated[int, doc("Open positions.", "positions", "daemon")]
    release_id: Annotated[str, doc("Release in use.", source="live.releases")]
    is_connected: Annotated[bool, doc("Whether a terminal is connected.", source="live.bridge")]


class OpsError(Record, frozen=True, kw_only=True, tag="ops_error"):
    """An error with what it was about and how to mend it. One row per error."""

    STREAM = "ops"

    component: Annotated[str, doc("Where it happened.", source="daemon or asset")]
    message: Annotated[str, doc("What happened and how to fix it, in one sentence.", source="daemon or asset")]


class Finding(Record, frozen=True, kw_only=True, tag="finding"):
    """A difference between what must be true and what is. One row per finding."""

    STREAM = "ops"

    check: Annotated[str, doc("Check that found it.", source="core.integrity")]
    severity: Annotated[Literal["info", "warning", "error"], doc("How bad it is.", source="core.integrity")]
    subject: Annotated[str, doc("Record, file or table it is about.", source="core.integrity")]
    expectation: Annotated[str, doc("What should be.", source="core.integrity")]
    observed: Annotated[str, doc("What is.", source="core.integrity")]
    repair: Annotated[str, doc("How to mend it.", source="core.integrity")]


class Promotion(Record, frozen=True, kw_only=True, tag="promotion"):
    """A judgement on a model: promoted or refused, with the reasons. One row per judgement."""

    STREAM = "ops"

    model_version: Annotated[str, doc("Model that was judged.", source="MLflow registry")]
    dataset_version: Annotated[int, doc("Delta version of the learning dataset it was trained on.", source="lake")]
    verdict: Annotated[Literal["promoted", "refused"], doc("Verdict.", source="core.learning.promotion")]
    release_id: Annotated[str | None, doc("Release made; null when refused.", source="store.release")]
    blend: Annotated[float, doc("Blend of the release; 0 is shadow.", "share", "core.learning.promotion")]
    reasons: Annotated[tuple[str, ...], doc("Why.", source="core.learning.promotion")]


class Transform(Record, frozen=True, kw_only=True, tag="transform"):
    """A materialisation that wrote a table. One row per write."""

    STREAM = "ops"

    table: Annotated[str, doc("Table.", source="asset")]
    run_id: Annotated[str, doc("Dagster run.", source="Dagster")]
    partitions: Annotated[str, doc("Partitions written.", source="Dagster")]
    rows_in: Annotated[int, doc("Rows read.", "rows", "asset")]
    rows_out: Annotated[int, doc("Rows written.", "rows", "asset")]
    code_version: Annotated[str, doc("Version of this software.", source="package")]


AnyRecord = (
    Quote
    | Bar
    | Quarantine
    | Decision
    | DecisionTiming
    | Session
    | AccountSnapshot
    | SymbolSpec
    | Order
    | Deal
    | Position
    | Mark
    | Outcome
    | BreakerEvent
    | ReleaseLoad
    | StrategyLoad
    | CommandResult
    | DaemonHeartbeat
    | OpsError
    | Finding
    | Promotion
    | Transform
)

RECORD_TYPES: tuple[type[Record], ...] = AnyRecord.__args__
RECORD_BY_TAG: dict[str, type[Record]] = {str(kind.__struct_config__.tag): kind for kind in RECORD_TYPES}

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(AnyRecord)


def encode_record(record: Record) -> bytes:
    """Return the record as one line of JSON, without the newline. Floats read back bit-identical, NaN is null."""
    return _encoder.encode(record)


def encode_records(records: Sequence[Record]) -> bytes:
    """Return the records as lines of JSON, each with its newline: the bytes of `encode_record`, many at once."""
    return _encoder.encode_lines(records)


def decode_record(line: bytes) -> AnyRecord:
    """Read one line back. Raises msgspec.ValidationError when it is not a record of this schema."""
    record: AnyRecord = _decoder.decode(line)
    return record
