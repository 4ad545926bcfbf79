"""Records of decisions: what was seen, what was weighed, what was decided, and how long it took."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from trading_assets.core.fields import (
    IdeaId,
    SignalId,
    Symbol,
    Timeframe,
    TradeId,
    doc,
    moment,
)
from trading_assets.core.records.record import (
    Action,
    CandidateKind,
    Execution,
    Mode,
    Record,
    Side,
    Suggestion,
    TradeMode,
    Verdict,
)


class WindowReference(msgspec.Struct, frozen=True, kw_only=True):
    """Which bars of one timeframe a decision saw."""

    timeframe: Timeframe
    first_open_at: Annotated[
        datetime | None, moment("Open of the first bar; null when there is none.", "live.market.window")
    ]
    last_open_at: Annotated[
        datetime | None, moment("Open of the last bar; null when there is none.", "live.market.window")
    ]
    bar_count: Annotated[int, doc("Bars in the window.", "bars", "live.market.window")]
    sha256: Annotated[str, doc("Hash of the bars, core.features.window.", source="live.market.window")]


class FeatureWindowReference(msgspec.Struct, frozen=True, kw_only=True):
    """The last rows of features a sequence model would see."""

    row_count: Annotated[int, doc("Rows, at most 64.", "rows", "live.market.window")]
    first_close_at: Annotated[datetime | None, moment("Close of the first row's bar.", "live.market.window")]
    sha256_raw: Annotated[
        str, doc("Hash of the raw rows, little-endian float64, row by row.", source="live.market.window")
    ]
    sha256_normalised: Annotated[str, doc("Hash of the normalised rows.", source="live.market.window")]
    normaliser_version: Annotated[str, doc("Normaliser used; identity before the first release.", source="release")]


class Regime(msgspec.Struct, frozen=True, kw_only=True):
    """State of the market at the bar's close."""

    label: Annotated[
        str, doc("trending_up, trending_down, ranging, volatile or unknown.", source="core.features.regimes")
    ]
    confidence: Annotated[
        float, doc("How clearly the bar is in this regime and no other, 0 to 1.", "share", "core.features.regimes")
    ]
    classifier_version: Annotated[
        str, doc("Version of the rules that name the regime.", source="core.features.regimes")
    ]


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """One forecaster's view."""

    forecaster: Annotated[str, doc("Name of the forecaster.", source="core.decisions.forecasts")]
    version: Annotated[str, doc("Version of the forecaster's rules.", source="core.decisions.forecasts")]
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
    stop_price: Annotated[
        float | None, doc("Price at which the position is closed with a loss.", "price", "core.decisions.candidates")
    ]
    target_price: Annotated[
        float | None, doc("Price at which the position is closed with a gain.", "price", "core.decisions.candidates")
    ]
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

    currency: Annotated[str, doc("Currency the account is kept in: ISO 4217 code.", source="terminal")]
    balance: Annotated[Decimal, doc("Money on the account, without open positions.", "account currency", "terminal")]
    equity: Annotated[
        Decimal, doc("Balance with the unrealised profit of open positions and credit.", "account currency", "terminal")
    ]
    margin_free: Annotated[
        Decimal, doc("Equity that no position binds: what is left for new ones.", "account currency", "terminal")
    ]
    leverage: Annotated[int, doc("Leverage, 1:n.", "ratio", "terminal")]
    trade_allowed: Annotated[bool, doc("Whether the terminal allows trading.", source="terminal")]
    margin_mode: Annotated[
        Literal["netting", "hedging"],
        doc("Position accounting: one position of a symbol at most, or several.", source="terminal"),
    ] = "hedging"


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
    volume_step: Annotated[Decimal, doc("Volumes are multiples of this.", "lots", "terminal")]
    stops_level: Annotated[int, doc("Least distance of stop and target from the price.", "points", "terminal")]
    freeze_level: Annotated[
        int, doc("Distance from the price within which stop and target cannot be changed.", "points", "terminal")
    ] = 0
    filling_mode: Annotated[int, doc("Bit mask of fillings allowed: 1 FOK, 2 IOC.", "bits", "terminal")] = 3
    trade_exemode: Annotated[Execution, doc("How orders are executed.", source="terminal")] = "market"
    trade_mode: Annotated[TradeMode, doc("What may be traded.", source="terminal")] = "full"
    volume_limit: Annotated[
        Decimal, doc("Largest volume of all positions and orders one way; 0 when not limited.", "lots", "terminal")
    ] = Decimal(0)
    commission_per_lot: Annotated[
        Decimal, doc("Commission of one side of one lot.", "account currency", "settings of the account")
    ]
    swap_long: Annotated[float, doc("Swap of a long position a night; negative costs.", "points", "terminal")] = 0.0
    swap_short: Annotated[float, doc("Swap of a short position a night; negative costs.", "points", "terminal")] = 0.0
    margin_per_lot: Annotated[
        Decimal,
        doc(
            "Margin one lot of a new position binds, by the broker; 0 when not told, then by the account's leverage.",
            "account currency",
            "terminal",
        ),
    ] = Decimal(0)


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
    opened_at: Annotated[datetime, moment("Time of the entry deal, by the broker.", "terminal")]
    bars_held: Annotated[int, doc("Closed bars since the entry.", "bars", "daemon")]
    timeout_bars: Annotated[int, doc("Bars after which it is closed.", "bars", "exit profile")]
    unrealised_r: Annotated[
        float, doc("Unrealised result in multiples of risk at the decision's quote.", "R", "daemon")
    ]


class BreakerState(msgspec.Struct, frozen=True, kw_only=True):
    """One breaker as the decision saw it."""

    breaker: Annotated[str, doc("Name of the breaker.", source="core.decisions.breakers")]
    is_tripped: Annotated[bool, doc("Whether it blocks or reduces entries.", source="live.books.risk_state")]
    effect: Annotated[str, doc("none, halve or stop.", source="core.decisions.breakers")]
    cause: Annotated[str, doc("Why it tripped; empty when it did not.", source="live.books.risk_state")]


class RiskState(msgspec.Struct, frozen=True, kw_only=True):
    """What the risk rules need to know at a decision."""

    open_positions: Annotated[int, doc("Open positions on the account.", "positions", "daemon")]
    pending_orders: Annotated[
        int, doc("Orders whose result is not known yet on this symbol, UNKNOWN included.", "orders", "daemon")
    ]
    equity_high_water_mark: Annotated[
        Decimal, doc("Highest equity so far, deposits taken out.", "account currency", "live.books.risk_state")
    ]
    day_start_equity: Annotated[
        Decimal, doc("Equity at the start of the UTC day.", "account currency", "live.books.risk_state")
    ]
    week_start_equity: Annotated[
        Decimal, doc("Equity at the start of the week (Sunday 00:00 UTC).", "account currency", "live.books.risk_state")
    ]
    orders_last_hour: Annotated[int, doc("Entry orders in the last hour.", "orders", "live.books.risk_state")]
    pending_entries: Annotated[
        int,
        doc("Entry orders of the account that may still become positions, other symbols included.", "orders", "daemon"),
    ] = 0
    reserved_margin: Annotated[
        Decimal, doc("Margin those entries will bind, by their volume and price.", "account currency", "daemon")
    ] = Decimal(0)
    long_lots: Annotated[
        Decimal, doc("Volume held or ordered long on the symbol, foreign positions included.", "lots", "daemon")
    ] = Decimal(0)
    short_lots: Annotated[Decimal, doc("Volume held or ordered short on the symbol, likewise.", "lots", "daemon")] = (
        Decimal(0)
    )
    foreign_positions: Annotated[
        int, doc("Positions and working orders on the symbol that are not ours.", "positions", "daemon")
    ] = 0
    unexplained_balance: Annotated[
        Decimal,
        doc(
            "What the balance had moved by without a deal that was known; the marks leave it out.",
            "account currency",
            "live.books.account_money",
        ),
    ] = Decimal(0)
    breakers: Annotated[
        tuple[BreakerState, ...],
        doc("Breakers whose state is kept outside the decision.", source="live.books.risk_state"),
    ]


class TraderLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The trader's own limits, set in the terminal. Where they and the strategy differ, the stricter one binds."""

    risk_per_trade: Annotated[
        float | None, doc("Largest share of equity at risk in one trade; null when not limited.", "share", "terminal")
    ] = None
    max_drawdown: Annotated[
        float | None, doc("Drawdown at which entries stop; null when not limited.", "share", "terminal")
    ] = None
    max_positions: Annotated[
        int | None, doc("Most positions open at once; null when not limited.", "positions", "terminal")
    ] = None
    allowed_symbols: Annotated[
        tuple[str, ...] | None, doc("Canonical symbols that may be traded; null when all may.", source="terminal")
    ] = None


class DecisionInputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a decision is a function of, besides the features, the release and the strategy it names."""

    bid: Annotated[float, doc("Last bid at the bar's close.", "price", "quote")]
    ask: Annotated[float, doc("Last ask at the bar's close.", "price", "quote")]
    quote_at: Annotated[datetime, moment("Time of that quote.", "quote")]
    base_bar_count: Annotated[int, doc("Bars of the decision's timeframe in the window.", "bars", "live.market.window")]
    account_state: Annotated[AccountState, doc("What the account held when it was decided.", source="terminal")]
    symbol_state: Annotated[SymbolState, doc("Contract of the symbol as it was then.", source="terminal")]
    position: Annotated[OpenPosition | None, doc("Open position on the symbol; null when flat.", source="daemon")]
    risk: Annotated[RiskState, doc("Risk state.", source="live.books.risk_state")]
    limits: Annotated[
        TraderLimits | None, doc("The trader's own limits; null when none are set.", source="terminal")
    ] = None
    is_late: Annotated[
        bool,
        doc("Whether the quote decided on was delivered late, after the connection had been down.", source="terminal"),
    ] = False
    week_ends_at: Annotated[
        datetime | None,
        moment("When the symbol's last trading session of this week ends; null when not told.", "terminal"),
    ] = None
    market_closed_at: Annotated[
        datetime | None,
        moment("When the server last said that the market is closed (10018); null when it never did.", "terminal"),
    ] = None
    contract_problem: Annotated[
        str,
        doc(
            "Why the contract told last was not taken, so that the one above may hold no more; empty when it was.",
            source="live.trading.contracts",
        ),
    ] = ""
    bar_problem: Annotated[
        str,
        doc(
            "What is wrong with the quotes of the bar, missing or late; empty when nothing is.",
            source="live.market.gaps",
        ),
    ] = ""


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
    release: Annotated[str, doc("Release in use; rules-only when there is none.", source="live.trading.releases")]
    model: Annotated[str | None, doc("Meta-model version; null without a model.", source="release")]
    decisions: Annotated[
        str,
        doc(
            "Hash of the code of filters, breakers and the rest of a decision; empty before it was recorded.",
            source="core.decisions.source",
        ),
    ] = ""


class Decision(Record, frozen=True, kw_only=True, tag="decision"):
    """One decision at one closed bar, also the decision not to trade. One row per telling of a decision; the first counts."""

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
        tuple[WindowReference, ...], doc("Bars it saw, one entry for each timeframe.", source="live.market.window")
    ]
    window_sha256: Annotated[str, doc("Hash over the windows of all timeframes.", source="live.market.window")]
    feature_window: Annotated[
        FeatureWindowReference, doc("Rolling window of feature rows.", source="live.market.window")
    ]
    features: Annotated[
        str,
        doc("Raw feature vector: base64 of little-endian float64, in the feature set's order.", source="core.features"),
    ]
    features_normalised: Annotated[str, doc("Normalised feature vector, the same encoding.", source="release")]
    regime: Annotated[Regime, doc("State of the market at the bar's close.", source="core.features.regimes")]
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
    candidates: Annotated[
        tuple[Candidate, ...],
        doc("All candidates of the decision, judged at the same time.", source="core.decisions.candidates"),
    ]
    blend: Annotated[float, doc("Weight of the model in the blended score; 0 is shadow.", "share", "release")]
    breakers: Annotated[
        tuple[BreakerState, ...],
        doc("Every breaker, tripped or not, as it stood at the decision.", source="core.decisions.breakers"),
    ]
    suggestion: Annotated[Suggestion, doc("LONG, SHORT or WAIT.", source="core.decisions.decide")]
    action: Annotated[
        Action,
        doc("What to do given the position: OPEN, CLOSE, REVERSE, HOLD or NONE.", source="core.decisions.decide"),
    ]
    idea_id: Annotated[str | None, doc("Chosen candidate; null for WAIT.", source="core.decisions.decide")]
    entry_price: Annotated[
        float | None,
        doc("Price the entry was expected at: the ask to buy, the bid to sell.", "price", "chosen candidate"),
    ]
    stop_price: Annotated[
        float | None, doc("Price at which the position is closed with a loss.", "price", "chosen candidate")
    ]
    target_price: Annotated[
        float | None, doc("Price at which the position is closed with a gain.", "price", "chosen candidate")
    ]
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
    """Stage times of one decision, beside it so that the decision compares bit for bit. One row per telling of a decision."""

    STREAM = "trading"

    signal_id: SignalId
    features_us: Annotated[int, doc("Window and features.", "µs", "daemon")]
    decide_us: Annotated[
        int, doc("Forecasts, candidates, filters and the choice: the function decide().", "µs", "daemon")
    ]
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
