"""Commands that ask: what is, what was, why, and whether it all holds together."""

from __future__ import annotations

import sys
from datetime import datetime

import click

from trading_assets.cli.environment import home_of
from trading_assets.cli.root import HOME, JSON, answer, existing, trading


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
    """The whole chain that IDENTIFIER belongs to, from chart window to model.

    A signal, candidate, trade or chain, an order's magic number or ticket, a position or deal, a model or a release.
    """
    from trading_assets.cli.trace import trace as follow
    from trading_assets.cli.trace_report import trace_report

    answer(follow(existing(home).lake, identifier), as_json, trace_report)


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
    # What another version recorded may differ without anything being wrong.
    if any(not one["is_identical"] and not one["other_version"] for one in result.get("different", [result])):
        sys.exit(1)


@trading.command()
@click.option("--thorough", is_flag=True, help="Compute every day again instead of a sample.")
@HOME
@JSON
def verify(thorough: bool, home: str | None, as_json: bool) -> None:
    """Check the journal's chain, and compute the lake again from it."""
    from trading_assets.cli.report import verify_report
    from trading_assets.cli.verify import verify as check

    result = check(existing(home), is_thorough=thorough)
    answer(result, as_json, verify_report)
    if not result["is_clean"]:
        sys.exit(1)
