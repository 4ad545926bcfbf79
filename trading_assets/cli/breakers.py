"""`trading breaker`, `trading halt`, `trading resume`: what is tripped and was, by the journal; commands, by the daemon.

What stands in the journal is read also while no daemon runs. A command needs one: it is put into the inbox and its answer
waited for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from typing import Any

import click

from trading_assets.cli.processes import send_command
from trading_assets.core.decisions import breakers
from trading_assets.core.decisions.breakers import KeptBreaker
from trading_assets.core.errors import UnavailableError
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import BreakerEvent, StrategyLoad
from trading_assets.store.control import CommandName, answer_of, withdraw_command
from trading_assets.store.home import Home
from trading_assets.store.journal import journal_dates, read_records

# The daemon looks into its inbox several times a second; an answer waits for one commit.
_PATIENCE_S = 5.0
_POLL_S = 0.05
# As far back as the daemon itself reads: what tripped before is named by every start and decision since.
_DAYS = 10
_WORDS = {
    "cause": "by itself, once its cause is gone",
    "day": "by itself, on the next UTC day",
    "week": "by itself, in the next week",
    "daemon": "by the daemon, once it is mended",
    "person": "by a person: trading breaker reset",
}


def give(home: Home, command: CommandName, argument: str = "") -> dict[str, Any]:
    """Give the daemon a command and wait for its answer. Raises UnavailableError when no daemon takes it.

    A halt that nobody takes stays in the inbox, so that the next daemon begins with it; anything else is taken back.
    """
    command_id = send_command(home, command, argument)
    until = time.monotonic() + _PATIENCE_S
    while (answer := answer_of(home.control, command_id)) is None:
        if time.monotonic() > until:
            raise _unanswered(home, command, command_id)
        time.sleep(_POLL_S)
    return {"command": command, "is_done": answer.is_done, "answer": answer.answer}


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
    return {"accounts": accounts}


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


def _unanswered(home: Home, command: CommandName, command_id: str) -> UnavailableError:
    where, hint = f"the daemon of {home.root}", "start it, or name another home with --home"
    if command == "halt" and (home.control / f"{command_id}.json").exists():
        problem = "no daemon runs here; the halt stays in the inbox, so that the next daemon begins with it"
        return UnavailableError("giving halt to", where, problem, hint)
    if withdraw_command(home.control, command_id):
        return UnavailableError(f"giving {command} to", where, "no daemon runs here; the command was taken back", hint)
    problem = f"it took the command {command_id} and has not answered in {_PATIENCE_S:.0f} s"
    return UnavailableError(f"giving {command} to", where, problem, "look at `trading status` and at its log")


def _accounts(home: Home) -> list[tuple[str, str]]:
    """Return tenant and account of every trading stream in the journal."""
    found = sorted(home.raw.glob("tenant=*/account=*/stream=trading"))
    return [(path.parts[-3].partition("=")[2], path.parts[-2].partition("=")[2]) for path in found]


def _read(
    home: Home, tenant: str, account: str, dates: list[date], types: tuple[type[Record], ...]
) -> Iterator[Record]:
    yield from read_records(home.raw, stream="trading", tenant=tenant, account=account, dates=dates, types=types)
