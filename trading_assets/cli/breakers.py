"""`trading breaker list` and `history`: what is tripped and was, by the journal, also while no daemon runs.

Commands to the daemon are `cli.command_inbox`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import click

from trading_assets.core.decisions import breakers
from trading_assets.core.decisions.breakers import KeptBreaker
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import BreakerEvent, StrategyLoad
from trading_assets.store.control import waiting_halts
from trading_assets.store.home import Home
from trading_assets.store.journal import journal_dates, read_records

# As far back as the daemon itself reads: what tripped before is named by every start and decision since.
_DAYS = 10
_WORDS = {
    "cause": "by itself, once its cause is gone",
    "day": "by itself, on the next UTC day",
    "week": "by itself, in the next week",
    "daemon": "by the daemon, once it is mended",
    "person": "by a person: trading breaker reset",
}


def standing(home: Home) -> dict[str, Any]:
    """Return the breakers tripped now, by account, as the journal says."""
    accounts = {}
    for tenant, account in _accounts(home):
        kept: tuple[KeptBreaker, ...] = ()
        dates = journal_dates(home.raw, stream="trading", tenant=tenant, account=account)[-_DAYS:]
        for record in _read(home, tenant, account, dates, (BreakerEvent, Decision, StrategyLoad)):
            match record:
                case BreakerEvent():
                    kept = breakers.remembered(kept, breakers.change_of(record), record.event_at)
                case Decision():
                    kept = breakers.inherited(kept, record.inputs.risk.breakers, record.known_at, record.symbol)
                case StrategyLoad():
                    if record.risk is not None and not kept:
                        kept = breakers.inherited(kept, record.risk.breakers, record.known_at)
                    for held in record.symbol_breakers:
                        kept = breakers.inherited(kept, [held.state], record.known_at, held.symbol)
        accounts[account] = [
            {
                "breaker": one.state.breaker,
                "symbol": one.symbol,
                "effect": one.state.effect,
                "since": one.tripped_at,
                "cause": one.state.cause,
                "label": one.label,
                "reset": _WORDS[breakers.rule_of(one.state.breaker).reset_by],
            }
            for one in kept
        ]
    return {"accounts": accounts, "waiting_halts": standing_halts(home)}


def standing_halts(home: Home) -> list[dict[str, Any]]:
    """Return the halts no daemon has taken yet."""
    return [
        {"reason": one.command.argument or "by command", "given_at": one.given_at}
        for one in waiting_halts(home.control)
    ]


def halt_sentence(halt: dict[str, Any]) -> str:
    """Say that a halt waits."""
    return (
        f"A halt waits in the inbox since {halt['given_at']:%Y-%m-%d %H:%M} UTC: {halt['reason']}; no daemon has taken it, "
        "the next one begins with it, `trading resume` takes it back"
    )


def history(home: Home) -> dict[str, Any]:
    """Return every trip and reset on record, oldest first."""
    changes = [
        {
            "at": record.event_at,
            "account": account,
            "breaker": record.breaker,
            "symbol": record.symbol,
            "change": record.change,
            "effect": record.effect,
            "cause": record.cause,
        }
        for tenant, account in _accounts(home)
        for record in _read(
            home,
            tenant,
            account,
            journal_dates(home.raw, stream="trading", tenant=tenant, account=account),
            (BreakerEvent,),
        )
        if isinstance(record, BreakerEvent)
    ]
    return {"changes": sorted(changes, key=lambda one: one["at"])}


def standing_report(result: dict[str, Any]) -> None:
    """Print the breakers tripped now."""
    for account, tripped in result["accounts"].items():
        if not tripped:
            click.echo(f"{account}: no breaker is tripped")
        for one in tripped:
            click.echo(
                f"{account}: {one['label']} ({one['effect']}) since {one['since']:%Y-%m-%d %H:%M} UTC: {one['cause']}; "
                f"reset {one['reset']}"
            )
    if not result["accounts"]:
        click.echo("The journal knows no account yet.")
    for one in result["waiting_halts"]:
        click.echo(halt_sentence(one))


def history_report(result: dict[str, Any]) -> None:
    """Print the history."""
    for one in result["changes"]:
        click.echo(
            f"{one['at']:%Y-%m-%d %H:%M:%S} UTC {one['account']} {one['breaker']}{_on(one['symbol'])} {one['change']}: {one['cause']}"
        )
    if not result["changes"]:
        click.echo("No breaker has ever tripped here.")


def _on(symbol: str) -> str:
    return f":{symbol}" if symbol else ""


def _accounts(home: Home) -> list[tuple[str, str]]:
    """Return tenant and account of every trading stream in the journal."""
    found = sorted(home.raw.glob("tenant=*/account=*/stream=trading"))
    return [(path.parts[-3].partition("=")[2], path.parts[-2].partition("=")[2]) for path in found]


def _read(
    home: Home, tenant: str, account: str, dates: list[date], types: tuple[type[Record], ...]
) -> Iterator[Record]:
    yield from read_records(home.raw, stream="trading", tenant=tenant, account=account, dates=dates, types=types)
