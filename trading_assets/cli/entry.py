"""The command line as it is started: every command known, errors as one sentence."""

from __future__ import annotations

import errno
import sys
import threading

import click

from trading_assets.cli.commands import asking, governing, keeping, learning, running  # noqa: F401  # they add their commands
from trading_assets.cli.environment import quiet
from trading_assets.cli.root import trading
from trading_assets.core.errors import TradingError
from trading_assets.store.home import create_privately
from trading_assets.store.owned_processes import end_on_signals

REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""What the disk refuses that a person can mend; any other error of the system is a defect and keeps its traceback."""


def main() -> None:
    """Run the command line; a TradingError, or what the disk refuses, becomes one sentence and exit code 1."""
    quiet()
    create_privately()
    if threading.current_thread() is threading.main_thread():
        end_on_signals()
    try:
        trading(standalone_mode=True)
    except TradingError as error:
        click.echo(f"trading: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        where = f" {error.filename}" if error.filename else ""
        click.echo(f"trading: writing{where}: {error.strerror}; free space or mend its permissions.", err=True)
        sys.exit(1)
