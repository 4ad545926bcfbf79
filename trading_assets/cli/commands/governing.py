"""Commands to the daemon: halt, resume, breakers, its inbox, and who may come in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import click

from trading_assets.cli.environment import home_of
from trading_assets.cli.root import HOME, JSON, answer, existing, trading
from trading_assets.store.control import CommandName

COMMANDS = get_args(CommandName)


@trading.command()
@click.argument("command", type=click.Choice(COMMANDS))
@click.argument("argument", default="")
@HOME
def send(command: CommandName, argument: str, home: str | None) -> None:
    """Give the daemon a command without waiting for its answer: ask the terminal, reload, or drain and stop, for example."""
    from trading_assets.cli.command_inbox import send as send_to_daemon

    click.echo(send_to_daemon(existing(home), command, argument))


@trading.command()
@click.argument("reason", default="by command")
@HOME
@JSON
def halt(reason: str, home: str | None, as_json: bool) -> None:
    """Open no positions until `trading resume`, here and in the terminal. Exits go on."""
    _given(home, as_json, "halt", reason)


@trading.command()
@HOME
@JSON
def resume(home: str | None, as_json: bool) -> None:
    """Lift a halt. While no daemon runs: take back one that waits for the next start."""
    _given(home, as_json, "resume", "")


@trading.group()
def breaker() -> None:
    """Breakers: what is tripped, what was, and resetting one that waits for a person."""


@breaker.command("list")
@HOME
@JSON
def breaker_list(home: str | None, as_json: bool) -> None:
    """The breakers tripped now, since when and why, and halts that wait for a daemon."""
    from trading_assets.cli.breakers import standing, standing_report

    answer(standing(existing(home)), as_json, standing_report)


@breaker.command("history")
@HOME
@JSON
def breaker_history(home: str | None, as_json: bool) -> None:
    """Every trip and reset on record."""
    from trading_assets.cli.breakers import history, history_report

    answer(history(existing(home)), as_json, history_report)


@breaker.command("reset")
@click.argument("name")
@HOME
@JSON
def breaker_reset(name: str, home: str | None, as_json: bool) -> None:
    """Reset a breaker by a person's word: NAME, or NAME:SYMBOL for one of a symbol (NAME alone: on every symbol)."""
    _given(home, as_json, "breaker_reset", name)


@trading.group()
def account() -> None:
    """Whose account it is: which login on which server an account of the settings stands for."""


@account.command("accept")
@click.argument("name")
@HOME
@JSON
def account_accept(name: str, home: str | None, as_json: bool) -> None:
    """Let account NAME be the one at the broker that the daemon refused last. The same login on a renamed server goes on as it was."""
    _given(home, as_json, "account_accept", name)


def _given(home: str | None, as_json: bool, command: CommandName, argument: str) -> None:
    """Give the daemon a command, print its answer, and fail when it was not done."""
    from trading_assets.cli.command_inbox import give

    result = give(existing(home), command, argument)
    answer(result, as_json, lambda told: click.echo(told["answer"]))
    if not result["is_done"]:
        sys.exit(1)


@trading.group()
def token() -> None:
    """The tokens terminals connect with: make them, list them, revoke them. A running daemon follows within a second."""


SETTINGS = click.option(
    "--settings", type=click.Path(path_type=Path), help="The daemon's settings. Default: settings.toml of the home."
)


@token.command("new")
@click.argument("account")
@click.option("--name", help="What to call it, to revoke it by. Default: made from the account.")
@SETTINGS
@HOME
@JSON
def token_new(account: str, name: str | None, settings: Path | None, home: str | None, as_json: bool) -> None:
    """Make a token for an account and print it, once: it is kept nowhere."""
    from trading_assets.cli.tokens import new_token

    made = new_token(home_of(home), account, name, settings)
    answer(
        made, as_json, lambda _: click.echo(f"{made['token']}\n\nToken {made['name']} of {account}: shown this once.")
    )


@token.command("list")
@SETTINGS
@HOME
@JSON
def token_list(settings: Path | None, home: str | None, as_json: bool) -> None:
    """Every token with its account, and whether it is revoked."""
    from trading_assets.cli.tokens import list_tokens, tokens_report

    answer(list_tokens(home_of(home), settings), as_json, tokens_report)


@token.command("revoke")
@click.argument("name")
@SETTINGS
@HOME
@JSON
def token_revoke(name: str, settings: Path | None, home: str | None, as_json: bool) -> None:
    """Revoke a token for good; whoever is connected with it is hung up on."""
    from trading_assets.cli.tokens import revoke

    done = revoke(home_of(home), name, settings)
    answer(done, as_json, lambda _: click.echo(f"{name} of {done['account']} opens nothing any more."))
