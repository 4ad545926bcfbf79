"""The command line as it is started: every command known, errors as one sentence."""

from __future__ import annotations

import sys

import click

from trading_assets.cli.commands import asking, governing, keeping, learning, running  # noqa: F401  # they add their commands
from trading_assets.cli.environment import quiet
from trading_assets.cli.root import trading
from trading_assets.core.errors import TradingError


def main() -> None:
    """Run the command line; a TradingError becomes one sentence and exit code 1."""
    quiet()
    try:
        trading(standalone_mode=True)
    except TradingError as error:
        click.echo(f"trading: {error}", err=True)
        sys.exit(1)
