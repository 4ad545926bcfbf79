"""The command line: arguments, answers as text or JSON, and errors as one sentence. Each command's work is beside it.

Imports of heavy modules stand in the commands, so that `trading --help` answers at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import click

from trading_assets import __version__
from trading_assets.cli.environment import PROJECT, home_of, quiet, running
from trading_assets.core.errors import TradingError
from trading_assets.store.control import CommandName
from trading_assets.store.home import Home

COMMANDS = get_args(CommandName)
HOME = click.option("--home", help="Folder everything lives under. Default: TRADING_HOME, or var/.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def trading() -> None:
    """The memory and the judgement of an algorithmic trading operation on MetaTrader 5."""


@trading.command()
@click.option("--market", type=click.Path(path_type=Path), help="Play this file or folder of real data.")
@click.option("--symbol", help="Symbol of the file, where its name does not say.")
@click.option("--clock", help="Clock of the file: utc, a fixed offset such as -5, eu or us.")
@click.option("--timeframe", type=click.Choice(["M1", "M5"]), default="M5", show_default=True)
@click.option("--spread-points", type=int, help="Spread where the file has none.")
@click.option("--seed", default=7, show_default=True, help="Seed of the synthetic market.")
@click.option("--edge", default=1.0, show_default=True, help="Size of the planted edge; 0 is a random walk.")
@click.option("--days", default=30, show_default=True, help="Trading days to learn from (synthetic).")
@click.option("--release-days", default=5, show_default=True, help="Trading days played after learning (synthetic).")
@HOME
@JSON
def demo(
    market: Path | None, symbol: str | None, clock: str | None, timeframe: str, spread_points: int | None,
    seed: int, edge: float, days: int, release_days: int, home: str | None, as_json: bool,
) -> None:  # fmt: skip
    """The closed loop: play, decide, trade, record, learn, judge, release, play on. In a home of its own."""
    from trading_assets.cli.demo import demo as run
    from trading_assets.cli.demo import market_plan, synthetic_plan
    from trading_assets.cli.report import demo_report

    plan = (
        market_plan(market, symbol, clock, timeframe, spread_points)
        if market
        else synthetic_plan(seed, days, release_days, edge)
    )
    own = home_of(home or str(home_of(None).root / (f"demo-{plan.live.timeframe}-{market.stem}" if market else "demo")))
    answer(run(own, plan), as_json, lambda result: demo_report(own, result))


@trading.command()
@click.option("--daemon-port", default=8765, show_default=True)
@click.option("--dagster-port", default=3000, show_default=True)
@click.option("--mlflow-port", default=5000, show_default=True)
@click.option("--docs-port", default=8080, show_default=True)
@click.option("--seed", default=7, show_default=True, help="Seed of the simulated terminal's market.")
@HOME
def up(daemon_port: int, dagster_port: int, mlflow_port: int, docs_port: int, seed: int, home: str | None) -> None:
    """Everything running: daemon, simulated terminal at real-time pace, Dagster, MLflow, dbt docs. Ctrl-C stops it."""
    from trading_assets.cli.up import Ports
    from trading_assets.cli.up import up as run

    run(home_of(home), Ports(daemon_port, dagster_port, mlflow_port, docs_port), seed)


@trading.command()
@HOME
@JSON
def status(home: str | None, as_json: bool) -> None:
    """What is running, the release in use, the latest decision and trade."""
    from trading_assets.cli.report import status_report
    from trading_assets.cli.status import status as read

    answer(read(home_of(home)), as_json, status_report)


@trading.command()
@click.argument("identifier")
@HOME
@JSON
def trace(identifier: str, home: str | None, as_json: bool) -> None:
    """The whole chain of a signal, candidate or trade: window, forecasts, cohort, orders, deals, outcome, label, model."""
    from trading_assets.cli.report import trace_report
    from trading_assets.cli.trace import trace as follow
    from trading_assets.store.lake import Lake

    answer(follow(Lake(existing(home).lake), identifier), as_json, trace_report)


@trading.command()
@click.argument("signal_id", required=False)
@click.option(
    "--day", type=click.DateTime(["%Y-%m-%d"]), help="Explain every decision of a UTC day; print differences."
)
@HOME
@JSON
def explain(signal_id: str | None, day: datetime | None, home: str | None, as_json: bool) -> None:
    """Make a past decision again and compare it bit for bit, and say in words why it was LONG, SHORT or WAIT."""
    from trading_assets.cli.explain import explain_day, explain_signal, explained
    from trading_assets.cli.report import explain_report

    if (signal_id is None) == (day is None):
        raise click.UsageError("name a signal id, or a day with --day")
    own = existing(home)
    result = explain_day(own, day.date()) if day else explained(explain_signal(own, str(signal_id)))
    answer(result, as_json, explain_report)
    if not result["is_identical"]:
        sys.exit(1)


@trading.command()
@HOME
@JSON
def verify(home: str | None, as_json: bool) -> None:
    """Check the journal's chain, and hold the lake against it."""
    from trading_assets.cli.report import verify_report
    from trading_assets.cli.verify import verify as check

    result = check(existing(home))
    answer(result, as_json, verify_report)
    if not result["is_clean"]:
        sys.exit(1)


@trading.command()
@click.argument("job")
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="First UTC day.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last UTC day.")
@HOME
def materialise(job: str, first: datetime | None, last: datetime | None, home: str | None) -> None:
    """Run a job of the asset graph: ingest, ledger, dataset, retrain, marts, docs or integrity. Days: those that are due."""
    from trading_assets.cli.materialise import materialise as run

    run(home_of(home), job, first.date() if first else None, last.date() if last else None)


@trading.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@HOME
def exec(command: tuple[str, ...], home: str | None) -> None:
    """Run a program, such as `dagster definitions validate`, with the home's databases up and its environment set."""
    import subprocess

    from trading_assets.cli.environment import beside_python
    from trading_assets.core.errors import InputError

    with running(home_of(home)):
        try:
            done = subprocess.run([beside_python(command[0]), *command[1:]], check=False)
        except FileNotFoundError as error:
            raise InputError(
                "running", command[0], "there is no such program", "name one of the virtual environment or of the path"
            ) from error
    sys.exit(done.returncode)


@trading.command()
@click.argument("command", type=click.Choice(COMMANDS))
@click.argument("argument", default="")
@HOME
def send(command: CommandName, argument: str, home: str | None) -> None:
    """Put a command into the daemon's inbox: halt, resume, reset a breaker, ask the terminal, reload, or drain and stop."""
    from trading_assets.cli.processes import send_command

    click.echo(
        f"Sent as {send_command(existing(home), command, argument)}; the answer stands in the journal (raw_command_results)."
    )


@trading.command()
def prepare() -> None:
    """Generate what holds this machine's paths: the dbt manifest. Part of `make setup`."""
    from trading_assets.cli.prepare import prepare as run

    run(PROJECT)


@trading.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when something is out of date.")
def schemas(check: bool) -> None:
    """Write the files that come from the record types: JSON Schemas, dbt sources, the page of tasks."""
    from trading_assets.cli.prepare import generated

    stale = generated(PROJECT, write=not check)
    if check and stale:
        raise click.ClickException(f"out of date: {', '.join(stale)}; run `make schemas`")
    click.echo("\n".join(stale) if stale else "Everything is up to date.")


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


def main() -> None:
    """Run the command line; a TradingError becomes one sentence and exit code 1."""
    quiet()
    try:
        trading(standalone_mode=True)
    except TradingError as error:
        click.echo(f"trading: {error}", err=True)
        sys.exit(1)
