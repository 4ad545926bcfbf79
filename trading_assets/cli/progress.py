"""Progress of long steps on the terminal: one bar a step, drawn on stderr so that `--json` prints one object alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

SCREEN = Console(stderr=True)


@contextmanager
def steps() -> Iterator[Progress]:
    """Draw bars while the block runs; each step stays on the screen with its time once it is done."""
    columns = (
        SpinnerColumn(finished_text="✓"), TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("{task.description}", table_column=Column(no_wrap=True)), BarColumn(bar_width=16),
        TextColumn("[dim]{task.fields[note]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
    )  # fmt: skip
    with Progress(*columns, console=SCREEN) as progress:
        yield progress


@contextmanager
def step(progress: Progress, description: str) -> Iterator[Callable[[float, str], None]]:
    """Run one step; the block gets a function that takes the share done and a note."""
    task = progress.add_task(description, total=1.0, note="")

    def tell(share: float, note: str) -> None:
        progress.update(task, completed=min(share, 1.0), note=note)

    yield tell
    progress.update(task, completed=1.0, note="")


def run_with_progress(progress: Progress, job: str, description: str, days: tuple[date, date] | None = None) -> str:
    """Run a job of the asset graph under a bar; return its run id."""
    # The partitions begin at the first day of the environment when the assets are imported; a command sets it first.
    from trading_assets.defs.run import run_job

    with step(progress, description) as tell:
        return run_job(job, days, lambda done, total, name: tell(done / total, name))
