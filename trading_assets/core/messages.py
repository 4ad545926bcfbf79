"""Every message of the bridge between a MetaTrader 5 terminal and the daemon, as frozen structs.

JSON text frames over a websocket, one message a frame, `type` is the tag. Tickets and magic numbers travel as
strings, volumes and money as decimal strings, times as the terminal's own server time in milliseconds
(`*_msc`): server wall time written as if it were an epoch. Turning that into UTC is the daemon's business.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from trading_assets.core.fields import Magic, doc
from trading_assets.core.records.decisions import TraderLimits
from trading_assets.core.records.record import Action, Execution, Filling, OrderState, Side, Suggestion, TradeMode

PROTOCOL_VERSION = 1

ServerMsc = Annotated[int, doc("Server wall time written as if it were an epoch.", "ms", "terminal")]
RawSymbol = Annotated[str, doc("Symbol as the broker names it, with its suffix.", source="terminal")]
Ticket = Annotated[str, doc("Ticket as text.", source="terminal")]
Lots = Annotated[Decimal, doc("Volume.", "lots", "terminal")]
Amount = Annotated[Decimal, doc("Amount of money.", "account currency", "terminal")]
RequestId = Annotated[str, doc("Names the command an answer belongs to.", source="daemon")]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """The envelope of every message."""

    v: Annotated[int, doc("Protocol version.", source="sender")] = PROTOCOL_VERSION
    session: Annotated[str, doc("Session, given by welcome; empty in hello.", source="daemon")]
    seq: Annotated[int, doc("Sequence number of the sender in this session, from 1 without a gap.", source="sender")]
    sent_msc: Annotated[int, doc("Sender's time: server time from the terminal, UTC from the daemon.", "ms", "sender")]
    chain_id: Annotated[
        str, doc("Chain this message starts or continues; empty when none.", source="collector or daemon")
    ] = ""


# --- facts the terminal reports ---------------------------------------------------------------------------------


class AccountFacts(msgspec.Struct, frozen=True, kw_only=True):
    """AccountInfo of the terminal."""

    login: Annotated[str, doc("Account number.", source="terminal")]
    server: Annotated[str, doc("Broker's server.", source="terminal")]
    company: Annotated[str, doc("Broker.", source="terminal")]
    currency: Annotated[str, doc("Deposit currency.", source="terminal")]
    leverage: Annotated[int, doc("Leverage, 1:n.", "ratio", "terminal")]
    margin_mode: Annotated[Literal["netting", "hedging"], doc("Position accounting.", source="terminal")]
    balance: Amount
    equity: Amount
    credit: Amount
    margin: Amount
    margin_free: Amount
    trade_allowed: Annotated[bool, doc("Whether trading is allowed.", source="terminal")]


class SymbolFacts(msgspec.Struct, frozen=True, kw_only=True):
    """SymbolInfo of the terminal."""

    symbol: RawSymbol
    digits: Annotated[int, doc("Digits of a price.", "digits", "terminal")]
    point: Annotated[float, doc("Smallest step a price is written in.", "price", "terminal")]
    trade_tick_size: Annotated[float, doc("Smallest step a price can move.", "price", "terminal")]
    trade_tick_value: Annotated[Decimal, doc("Value of one tick of one lot.", "account currency", "terminal")]
    contract_size: Annotated[Decimal, doc("Units of one lot.", "units", "terminal")]
    volume_min: Lots
    volume_max: Lots
    volume_step: Lots
    stops_level: Annotated[int, doc("Least distance of stop and target.", "points", "terminal")]
    freeze_level: Annotated[int, doc("Distance within which orders are frozen.", "points", "terminal")]
    filling_mode: Annotated[int, doc("Bit mask: 1 FOK, 2 IOC.", source="terminal")]
    trade_exemode: Annotated[Execution, doc("How orders are executed.", source="terminal")] = "market"
    trade_mode: Annotated[TradeMode, doc("What may be traded.", source="terminal")] = "full"
    volume_limit: Annotated[
        Decimal, doc("Largest volume of all positions and orders one way; 0 when not limited.", "lots", "terminal")
    ] = Decimal(0)
    week_end_minute: Annotated[
        int | None,
        doc(
            "End of the week's last trading session in minutes of the server's week from Monday 00:00; null when not told.",
            "minutes",
            "terminal",
        ),
    ] = None
    margin_per_lot: Annotated[
        Decimal,
        doc(
            "Margin one lot of a new position binds at present prices, the larger of both sides (OrderCalcMargin); 0 when not told.",
            "account currency",
            "terminal",
        ),
    ] = Decimal(0)
    swap_long: Annotated[float, doc("Swap of a long position a night.", "points", "terminal")]
    swap_short: Annotated[float, doc("Swap of a short position a night.", "points", "terminal")]
    commission_per_lot: Annotated[
        Decimal, doc("Commission of one side of one lot, positive.", "account currency", "settings of the account")
    ]


class PositionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One open position."""

    ticket: Ticket
    identifier: Ticket
    magic: Magic
    symbol: RawSymbol
    side: Annotated[Side, doc("Side.", source="terminal")]
    volume: Lots
    price_open: Annotated[float, doc("Average entry price.", "price", "terminal")]
    sl: Annotated[float, doc("Stop loss; 0 when none.", "price", "terminal")]
    tp: Annotated[float, doc("Take profit; 0 when none.", "price", "terminal")]
    swap: Amount
    profit: Amount
    time_msc: ServerMsc
    comment: Annotated[str, doc("Comment, 31 characters at most.", source="terminal")]


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One working or historical order."""

    ticket: Ticket
    position_id: Ticket
    magic: Magic
    symbol: RawSymbol
    side: Annotated[Side, doc("Side.", source="terminal")]
    state: Annotated[OrderState, doc("State.", source="terminal")]
    volume_initial: Lots
    volume_current: Lots
    price_open: Annotated[float, doc("Price of the order.", "price", "terminal")]
    sl: Annotated[float, doc("Stop loss; 0 when none.", "price", "terminal")]
    tp: Annotated[float, doc("Take profit; 0 when none.", "price", "terminal")]
    time_setup_msc: ServerMsc
    time_done_msc: ServerMsc


class DealFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One deal."""

    ticket: Ticket
    order: Ticket
    position_id: Ticket
    magic: Magic
    symbol: RawSymbol
    kind: Annotated[str, doc("Type of the deal: the end of its name in ENUM_DEAL_TYPE.", source="terminal")]
    entry: Annotated[Literal["IN", "OUT", "INOUT", "OUT_BY"], doc("Entry of the deal.", source="terminal")]
    reason: Annotated[str, doc("EXPERT, SL, TP, SO, CLIENT, ...", source="terminal")]
    volume: Lots
    price: Annotated[float, doc("Fill price.", "price", "terminal")]
    profit: Amount
    commission: Amount
    swap: Amount
    fee: Amount
    time_msc: ServerMsc
    comment: Annotated[str, doc("Comment.", source="terminal")]


class BarFacts(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One closed bar of the terminal's history."""

    time_msc: ServerMsc
    open: Annotated[float, doc("First bid.", "price", "terminal")]
    high: Annotated[float, doc("Highest bid.", "price", "terminal")]
    low: Annotated[float, doc("Lowest bid.", "price", "terminal")]
    close: Annotated[float, doc("Last bid.", "price", "terminal")]
    tick_volume: Annotated[int, doc("Ticks.", "ticks", "terminal")]
    spread: Annotated[int, doc("Spread.", "points", "terminal")]


class Tick(msgspec.Struct, frozen=True, array_like=True):
    """One tick, as an array to keep batches small: time, bid, ask."""

    time_msc: ServerMsc
    bid: Annotated[
        float | None, doc("Bid; null where the terminal sent none or a non-finite one.", "price", "terminal")
    ]
    ask: Annotated[float | None, doc("Ask; likewise.", "price", "terminal")]


class BookLevel(msgspec.Struct, frozen=True, array_like=True):
    """One price of the depth of market, as an array: price, volume."""

    price: Annotated[float, doc("Price.", "price", "terminal")]
    volume: Lots


# --- terminal → daemon ------------------------------------------------------------------------------------------


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """First message after connecting, and again after every re-initialisation of the Expert Advisor."""

    token: Annotated[str, doc("Authenticates the terminal; never recorded.", source="settings of the terminal")]
    build: Annotated[str, doc("Build of the sender.", source="terminal")]
    account: Annotated[AccountFacts, doc("Account.", source="terminal")]
    server_time_msc: ServerMsc
    lockstep: Annotated[
        bool, doc("Whether the sender waits for `processed` after each heartbeat (replay).", source="terminal")
    ]
    ends_at_msc: Annotated[int | None, doc("In replay, the end of the data.", "ms", "terminal")] = None
    limits: Annotated[
        TraderLimits | None,
        doc("The trader's own limits; allowed symbols as the broker names them.", source="settings of the terminal"),
    ] = None


class Snapshot(Message, frozen=True, kw_only=True, tag="snapshot"):
    """Everything that is open now. Answers subscribe, resync and query."""

    account: Annotated[AccountFacts, doc("Account.", source="terminal")]
    symbols: Annotated[tuple[SymbolFacts, ...], doc("Contracts of the subscribed symbols.", source="terminal")]
    positions: Annotated[tuple[PositionFacts, ...], doc("Open positions.", source="terminal")]
    orders: Annotated[tuple[OrderFacts, ...], doc("Working orders.", source="terminal")]


class Ticks(Message, frozen=True, kw_only=True, tag="ticks"):
    """A batch of ticks of one symbol, in time order."""

    symbol: RawSymbol
    ticks: Annotated[tuple[Tick, ...], doc("Ticks.", source="terminal")]
    is_late: Annotated[bool, doc("Kept while the connection was down and delivered late.", source="terminal")] = False


class BookUpdate(Message, frozen=True, kw_only=True, tag="book"):
    """Depth of market of one symbol. Optional: sent when the terminal is told to watch it; the latest one counts."""

    symbol: RawSymbol
    time_msc: ServerMsc
    bids: Annotated[tuple[BookLevel, ...], doc("Bids, highest first.", source="terminal")]
    asks: Annotated[tuple[BookLevel, ...], doc("Asks, lowest first.", source="terminal")]


class Bars(Message, frozen=True, kw_only=True, tag="bars"):
    """Answer to a history query: closed bars, oldest first, never the forming one."""

    request_id: RequestId
    symbol: RawSymbol
    timeframe: Annotated[str, doc("Timeframe.", source="query")]
    bars: Annotated[tuple[BarFacts, ...], doc("Bars.", source="terminal")]
    is_last: Annotated[bool, doc("Whether the answer is complete.", source="terminal")]


class OrderUpdate(Message, frozen=True, kw_only=True, tag="order_update"):
    """What became of an order command."""

    request_id: RequestId
    retcode: Annotated[int, doc("Result code of the trade server.", "code", "terminal")]
    order: Annotated[OrderFacts | None, doc("The order, when there is one.", source="terminal")]
    comment: Annotated[str, doc("The result in words.", source="terminal")]


class DealUpdate(Message, frozen=True, kw_only=True, tag="deal"):
    """One deal, ours or not, with the account after it."""

    deal: Annotated[DealFacts, doc("The deal.", source="terminal")]
    account: Annotated[AccountFacts, doc("Account after the deal.", source="terminal")]
    is_late: Annotated[bool, doc("Delivered late.", source="terminal")] = False


class Deals(Message, frozen=True, kw_only=True, tag="deals"):
    """Answer to a query for deals, in several frames when they are many."""

    request_id: RequestId
    deals: Annotated[tuple[DealFacts, ...], doc("Deals.", source="terminal")]
    is_last: Annotated[bool, doc("Whether the answer is complete.", source="terminal")] = True


class PositionUpdate(Message, frozen=True, kw_only=True, tag="position_update"):
    """A position that changed; volume 0 once it is closed."""

    position: Annotated[PositionFacts, doc("The position.", source="terminal")]


class TerminalHeartbeat(Message, frozen=True, kw_only=True, tag="heartbeat"):
    """A sign of life with the server's time: no later message of this session carries an earlier quote.

    A bar is closed by the first quote or heartbeat at or after its end.
    """

    server_time_msc: ServerMsc
    account: Annotated[AccountFacts | None, doc("Account, when it changed.", source="terminal")] = None


class TerminalError(Message, frozen=True, kw_only=True, tag="error"):
    """Something the terminal could not do."""

    request_id: Annotated[str, doc("Command it is about; empty when none.", source="daemon")]
    code: Annotated[str, doc("Short code.", source="terminal")]
    text: Annotated[str, doc("What happened, where, how to fix it.", source="terminal")]


class Goodbye(Message, frozen=True, kw_only=True, tag="goodbye"):
    """The terminal leaves: in replay, the data has ended."""

    reason: Annotated[str, doc("Why.", source="terminal")]


FromTerminal = (
    Hello
    | Snapshot
    | Ticks
    | BookUpdate
    | Bars
    | OrderUpdate
    | DealUpdate
    | Deals
    | PositionUpdate
    | TerminalHeartbeat
    | TerminalError
    | Goodbye
)


# --- daemon → terminal ------------------------------------------------------------------------------------------


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    """The session is accepted."""

    tenant: Annotated[str, doc("Tenant the token is bound to.", source="daemon")]
    account: Annotated[str, doc("Account the token is bound to.", source="daemon")]


class Subscribe(Message, frozen=True, kw_only=True, tag="subscribe"):
    """Which symbols to stream; answered by a snapshot."""

    symbols: Annotated[tuple[str, ...], doc("Broker's symbols.", source="daemon")]
    with_book: Annotated[bool, doc("Whether to send the depth of market too.", source="settings")] = False


class OrderCommand(Message, frozen=True, kw_only=True, tag="order"):
    """Open a position at market."""

    request_id: RequestId
    signal_id: Annotated[str, doc("Intent.", source="decision")]
    magic: Magic
    symbol: RawSymbol
    side: Annotated[Side, doc("Side.", source="decision")]
    volume: Lots
    price: Annotated[float, doc("Price expected.", "price", "decision")]
    sl: Annotated[float, doc("Stop loss.", "price", "decision")]
    tp: Annotated[float, doc("Take profit.", "price", "decision")]
    deviation: Annotated[int, doc("Largest slippage to accept.", "points", "strategy")]
    deadline_msc: Annotated[int, doc("Server time after which it must be refused.", "ms", "daemon")]
    comment: Annotated[str, doc("Label for people, 31 characters at most.", source="daemon")]
    filling: Annotated[Filling, doc("What becomes of volume that cannot be filled.", source="daemon")] = "IOC"
    known_bid: Annotated[float, doc("Bid the decision saw; 0 when not told.", "price", "decision")] = 0.0
    known_ask: Annotated[float, doc("Ask the decision saw; 0 when not told.", "price", "decision")] = 0.0
    quote_msc: Annotated[int, doc("Server time of that quote; 0 when not told.", "ms", "decision")] = 0


class CloseCommand(Message, frozen=True, kw_only=True, tag="close"):
    """Close a position at market, by its ticket."""

    request_id: RequestId
    signal_id: Annotated[str, doc("Decision that opened the trade.", source="decision")]
    magic: Magic
    symbol: RawSymbol
    position: Ticket
    volume: Lots
    price: Annotated[float, doc("Price expected.", "price", "quote")]
    deviation: Annotated[int, doc("Largest slippage to accept.", "points", "strategy")]
    deadline_msc: Annotated[int, doc("Server time after which it must be refused.", "ms", "daemon")]
    comment: Annotated[str, doc("Label for people.", source="daemon")]
    filling: Annotated[Filling, doc("What becomes of volume that cannot be filled.", source="daemon")] = "IOC"


class ModifyCommand(Message, frozen=True, kw_only=True, tag="modify"):
    """Set stop and target of an open position."""

    request_id: RequestId
    signal_id: Annotated[str, doc("Decision that opened the trade.", source="decision")]
    magic: Magic
    symbol: RawSymbol
    position: Ticket
    sl: Annotated[float, doc("Stop loss; 0 for none.", "price", "decision")]
    tp: Annotated[float, doc("Take profit; 0 for none.", "price", "decision")]
    deadline_msc: Annotated[int, doc("Server time after which it must be refused.", "ms", "daemon")]


class CancelCommand(Message, frozen=True, kw_only=True, tag="cancel"):
    """Withdraw an order that is placed and not filled."""

    request_id: RequestId
    signal_id: Annotated[str, doc("Intent.", source="decision")]
    magic: Magic
    symbol: RawSymbol
    order: Ticket
    deadline_msc: Annotated[int, doc("Server time after which it must be refused.", "ms", "daemon")]


class Query(Message, frozen=True, kw_only=True, tag="query"):
    """Ask for history bars, open state or deals."""

    request_id: RequestId
    what: Annotated[Literal["bars", "state", "deals"], doc("What is asked for.", source="daemon")]
    symbol: Annotated[str, doc("Broker's symbol; empty for all.", source="daemon")] = ""
    timeframe: Annotated[str, doc("Timeframe of bars.", source="daemon")] = ""
    from_msc: Annotated[int, doc("First server time, inclusive.", "ms", "daemon")] = 0
    to_msc: Annotated[int, doc("Last server time, exclusive.", "ms", "daemon")] = 0
    count: Annotated[int, doc("At most this many bars, the latest ones.", "bars", "daemon")] = 0


class Resync(Message, frozen=True, kw_only=True, tag="resync"):
    """A gap in the sequence was seen: send a snapshot and the deals since."""

    expected_seq: Annotated[int, doc("Sequence number that was missing.", source="daemon")]


class Processed(Message, frozen=True, kw_only=True, tag="processed"):
    """Lockstep: everything up to `upto_seq` is decided, durable and answered. The sender may go on."""

    upto_seq: Annotated[int, doc("Sequence number of the terminal's heartbeat.", source="daemon")]


class DaemonBeat(Message, frozen=True, kw_only=True, tag="heartbeat"):
    """A sign of life of the daemon."""


class Refusal(Message, frozen=True, kw_only=True, tag="error"):
    """A message the daemon refuses."""

    code: Annotated[str, doc("Short code.", source="daemon")]
    text: Annotated[str, doc("What was wrong, where, how to fix it.", source="daemon")]


class Halt(Message, frozen=True, kw_only=True, tag="halt"):
    """Open no positions until this is lifted or a new session begins; exits go on."""

    reason: Annotated[str, doc("Why.", source="daemon")]
    is_lifted: Annotated[bool, doc("Whether positions may be opened again from now on.", source="daemon")] = False


class SignalNotice(Message, frozen=True, kw_only=True, tag="signal"):
    """What the daemon recommends, for the trader to see; nothing is to be carried out. Sent in mode recommend alone."""

    signal_id: Annotated[str, doc("Decision, durable before this is sent.", source="decision")]
    symbol: RawSymbol
    suggestion: Annotated[Suggestion, doc("LONG, SHORT or WAIT.", source="decision")]
    action: Annotated[Action, doc("OPEN, CLOSE or REVERSE.", source="decision")]
    volume: Lots
    entry: Annotated[float, doc("Expected entry; 0 when nothing is opened.", "price", "decision")]
    sl: Annotated[float, doc("Stop loss; 0 when nothing is opened.", "price", "decision")]
    tp: Annotated[float, doc("Take profit; 0 when nothing is opened.", "price", "decision")]
    confidence: Annotated[float, doc("Confidence in the suggestion, 0 to 1.", "share", "decision")]
    reasons: Annotated[tuple[str, ...], doc("Why, in words.", source="decision")]


FromDaemon = (
    Welcome
    | Subscribe
    | OrderCommand
    | CloseCommand
    | ModifyCommand
    | CancelCommand
    | Query
    | Resync
    | Processed
    | DaemonBeat
    | Refusal
    | Halt
    | SignalNotice
)

_encoder = msgspec.json.Encoder(decimal_format="string")
_terminal_decoder = msgspec.json.Decoder(FromTerminal)
_daemon_decoder = msgspec.json.Decoder(FromDaemon)


def encode_message(message: Message) -> str:
    """Return the message as the text of one frame."""
    return _encoder.encode(message).decode()


def decode_from_terminal(frame: str | bytes) -> FromTerminal:
    """Read a terminal's frame. Raises msgspec.DecodeError or ValidationError (a subclass) when it is not a message."""
    message: FromTerminal = _terminal_decoder.decode(frame)
    return message


def decode_from_daemon(frame: str | bytes) -> FromDaemon:
    """Read a daemon's frame. Raises msgspec.DecodeError or ValidationError (a subclass) when it is not a message."""
    message: FromDaemon = _daemon_decoder.decode(frame)
    return message
