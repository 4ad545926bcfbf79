"""Commands that run something: the demo, everything, a job, another program."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from trading_assets.cli.environment import home_of
from trading_assets.cli.root import HOME, JSON, answer, existing, trading


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
@click.option("--seed", type=int, help="Seed of the simulated terminal's market. Default: the home's, or 7.")
@click.option("--look", is_flag=True, help="Only look: no daemon, no terminal, no schedules.")
@HOME
def up(
    daemon_port: int,
    dagster_port: int,
    mlflow_port: int,
    docs_port: int,
    seed: int | None,
    look: bool,
    home: str | None,
) -> None:
    """Everything running: daemon, simulated terminal at real-time pace, Dagster, MLflow, dbt docs. Ctrl-C stops it.

    A demo's home, and one whose daemon or settings are your own, is shown without daemon and terminal.
    """
    from trading_assets.cli.up import Ports
    from trading_assets.cli.up import up as run

    run(home_of(home), Ports(daemon_port, dagster_port, mlflow_port, docs_port), seed, is_looking=look)


@trading.command()
@click.argument("job")
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="First UTC day.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last UTC day.")
@HOME
def materialise(job: str, first: datetime | None, last: datetime | None, home: str | None) -> None:
    """Run a job of the asset graph: ingest, ledger, dataset, operations, retrain, rollout, marts, docs or integrity. Days: those that are due."""
    from trading_assets.cli.materialise import materialise as run

    run(home_of(home), job, first.date() if first else None, last.date() if last else None)


@trading.command()
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="First UTC day. Default: the journals' first.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last UTC day. Default: the journals' last.")
@click.option(
    "--piece-days", type=click.IntRange(min=1), default=30, show_default=True, help="Days of one run of a job."
)
@HOME
@JSON
def backfill(first: datetime | None, last: datetime | None, piece_days: int, home: str | None, as_json: bool) -> None:
    """A long range of days from the journals to the learning dataset. Cut off, it goes on where it was when given again."""
    from trading_assets.cli.backfill import backfill as run
    from trading_assets.cli.backfill import backfill_report

    result = run(existing(home), first.date() if first else None, last.date() if last else None, piece_days)
    answer(result, as_json, backfill_report)


@trading.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@HOME
def exec(command: tuple[str, ...], home: str | None) -> None:
    """Run a program, such as `dagster definitions validate`, with the home's databases up and its environment set."""
    from trading_assets.cli.execution import execute

    sys.exit(execute(home_of(home), command))
