"""The command `trading` itself, the options most commands share, and how an answer is printed: as text or as JSON.

Imports of heavy modules stand in the commands, so that `trading --help` answers at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import click

from trading_assets import __version__
from trading_assets.cli.environment import home_of
from trading_assets.store.home import Home

HOME = click.option("--home", help="Folder everything lives under. Default: TRADING_HOME, or var/.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def trading() -> None:
    """The memory and the judgement of an algorithmic trading operation on MetaTrader 5."""


def existing(option: str | None) -> Home:
    """Return a home that holds a journal. Raises InputError for one that does not."""
    from trading_assets.core.errors import InputError

    home = home_of(option)
    if not home.raw.is_dir():
        raise InputError(
            "reading", home.root, "there is no journal", "run `trading demo` first, or name its home with --home"
        )
    return home


def answer(result: dict[str, Any], as_json: bool, report: Callable[[dict[str, Any]], None]) -> None:
    """Print a result as one JSON object or as a person reads it."""
    if as_json:
        click.echo(json.dumps(result, default=_plain))
    else:
        report(result)


def _plain(value: object) -> object:
    match value:
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no place in an answer")
