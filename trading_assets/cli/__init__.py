"""`trading`: the commands a person gives. The only place that sees the live half and the asset graph alike.

A module for each command; `commands` holds their words and prints their answers.
"""

from trading_assets.cli.commands import main

__all__ = ["main"]
