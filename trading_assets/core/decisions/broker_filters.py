"""Filters about what broker and trader allow: the account, the symbol, its session, and whose positions are on it."""

from __future__ import annotations

from collections.abc import Callable

from trading_assets.core.decisions.verdicts import Scene, verdict_on
from trading_assets.core.market.filling import filling_of
from trading_assets.core.records.decisions import FilterVerdict


def trade_allowed(scene: Scene) -> FilterVerdict:
    """The terminal must allow trading on the account."""
    is_allowed = scene.inputs.account_state.trade_allowed
    return verdict_on(
        "trade_allowed",
        not is_allowed,
        "allowed" if is_allowed else "forbidden",
        "allowed",
        "the terminal allows trading",
        "the terminal forbids trading on this account",
    )


def allowed_symbol(scene: Scene) -> FilterVerdict:
    """The strategy or the trader may name the only symbols to trade."""
    symbol, allowed, limits = scene.inputs.symbol_state.symbol, scene.strategy.allowed_symbols, scene.inputs.limits
    if limits is not None and limits.allowed_symbols is not None and symbol not in limits.allowed_symbols:
        named = ",".join(limits.allowed_symbols) or "none"
        return verdict_on("allowed_symbol", True, symbol, named, "", f"the trader does not allow {symbol}")
    return verdict_on(
        "allowed_symbol",
        bool(allowed) and symbol not in allowed,
        symbol,
        ",".join(allowed) or "any",
        "the symbol may be traded",
        f"{symbol} is not among the symbols allowed",
    )


def trade_mode(scene: Scene) -> FilterVerdict:
    """The broker must let positions on the symbol be opened. One side alone is the candidates' filter `side`."""
    mode, problem = scene.inputs.symbol_state.trade_mode, scene.inputs.contract_problem
    if problem:
        return verdict_on("trade_mode", True, "unknown", "told", "", f"what the broker allows is not known: {problem}")
    return verdict_on(
        "trade_mode",
        mode in ("close_only", "disabled"),
        mode,
        "not close_only,disabled",
        "the broker lets positions be opened",
        "the broker lets positions on this symbol be closed only"
        if mode == "close_only"
        else "the broker has switched trading on this symbol off",
    )


def filling(scene: Scene) -> FilterVerdict:
    """There must be a filling the symbol's execution accepts."""
    symbol = scene.inputs.symbol_state
    chosen = filling_of(symbol.filling_mode, symbol.trade_exemode)
    return verdict_on(
        "filling",
        chosen is None,
        f"mask {symbol.filling_mode}, {symbol.trade_exemode} execution",
        "FOK or IOC",
        f"orders are filled {chosen}",
        f"the symbol allows no filling that {symbol.trade_exemode} execution accepts",
    )


def market_closed(scene: Scene) -> FilterVerdict:
    """After the server said that the market is closed (10018), it must quote the symbol again."""
    closed_at, quote_at = scene.inputs.market_closed_at, scene.inputs.quote_at
    if closed_at is None:
        return _OPEN
    return verdict_on(
        "market_closed",
        quote_at <= closed_at,
        f"quoted {quote_at:%H:%M:%S} UTC",
        f"after {closed_at:%H:%M:%S} UTC",
        "the symbol is quoted again",
        f"the server said at {closed_at:%H:%M} UTC that the market is closed, and has not quoted since",
    )


def foreign_position(scene: Scene) -> FilterVerdict:
    """On a netting account an order would merge with a position that is not ours (mt5: one position a symbol)."""
    mode, foreign = scene.inputs.account_state.margin_mode, scene.inputs.risk.foreign_positions
    return verdict_on(
        "foreign_position",
        mode == "netting" and foreign > 0,
        f"{mode}, {foreign}",
        "none when netting",
        "no position of somebody else is in the way",
        "a position or order on this symbol is not ours, and the account nets: an order of ours would merge with it",
    )


BROKER_FILTERS: tuple[Callable[[Scene], FilterVerdict], ...] = (
    trade_allowed,
    allowed_symbol,
    trade_mode,
    filling,
    market_closed,
    foreign_position,
)

_OPEN = verdict_on("market_closed", False, "never", "none", "the server has not said that the market is closed", "")
