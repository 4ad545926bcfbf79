"""The screen answers are printed on, and the one form most of them have: names beside values."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

OUT = Console()
_ANY_WIDTH = 10_000


def show_table(table: Table) -> None:
    """Print a table as wide as it is: an id that is cut or broken cannot be put into the next command."""
    widest = Measurement.get(OUT, OUT.options.update(width=_ANY_WIDTH), table).maximum
    Console(width=max(widest, OUT.width)).print(table)


def pairs(title: str, rows: Iterable[tuple[str, object]]) -> None:
    """Print names and values under a title."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, str(value))
    OUT.print(table)
    OUT.print()
