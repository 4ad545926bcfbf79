"""`trading`: the commands a person gives. The only place that sees the live half and the asset graph alike.

`commands` holds their words; the work of each is in a module beside it.
"""

from trading_assets.cli.entry import main

__all__ = ["main"]
