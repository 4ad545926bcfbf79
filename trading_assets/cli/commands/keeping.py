"""Commands that keep things: the self-check, retention, backups, and the files that are generated."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from trading_assets.cli.environment import PROJECT, home_of
from trading_assets.cli.root import HOME, JSON, answer, existing, trading

CHECKOUT = 0o022
"""The mask for files of the checkout: unlike those of a home, others may read them."""


@trading.command()
@click.option(
    "--market-days",
    type=click.IntRange(min=1),
    default=400,
    show_default=True,
    help="Remove market segments older than this, once the lake has them. Trading and ops segments are kept for ever.",
)
@click.option("--every", type=click.FloatRange(min=1.0), help="Do it again every so many seconds, until Ctrl-C.")
@click.option("--rules", is_flag=True, help="Do nothing; show how long each stream and table is kept.")
@HOME
@JSON
def retain(market_days: int, every: float | None, rules: bool, home: str | None, as_json: bool) -> None:
    """Compress closed segments and remove old market segments and old days of tables; the chain stays verifiable."""
    from trading_assets.cli.report import retain_report, rules_report
    from trading_assets.cli.retain import retain as once
    from trading_assets.cli.retain import retain_every, retention_rules

    if rules:
        answer(retention_rules(market_days), as_json, rules_report)
    elif every is None:
        result = once(existing(home), market_days)
        answer(result, as_json, retain_report)
        if result["problems"]:
            sys.exit(1)
    else:
        retain_every(home_of(home), market_days, every, lambda result: answer(result, as_json, retain_report))


@trading.command()
@click.option("--no-repair", is_flag=True, help="Tell only: mend nothing.")
@click.option(
    "--thorough",
    is_flag=True,
    help="Read every byte and make every day of every table again. Takes as long as a backfill.",
)
@click.option(
    "--accept", metavar="TABLE", help="Take a table as it rests for right from now on, by your word; check nothing."
)
@HOME
@JSON
def selfcheck(no_repair: bool, thorough: bool, accept: str | None, home: str | None, as_json: bool) -> None:
    """Hold the record against itself and mend what is safe to mend, as every ten minutes; fail while an error stands."""
    from trading_assets.cli import selfcheck as checks

    own = existing(home)
    if accept is not None:
        answer(checks.accept(own, accept), as_json, checks.accept_report)
        return
    result = checks.selfcheck(own, is_repairing=not no_repair, is_thorough=thorough)
    answer(result, as_json, checks.selfcheck_report)
    if not result["is_sound"]:
        sys.exit(1)


@trading.command()
@click.argument("target", type=click.Path(path_type=Path), required=False)
@click.option("--scheduled", is_flag=True, help="Copy whenever one is due by [backups] of settings.toml, until Ctrl-C.")
@click.option("--check", is_flag=True, help="TARGET is a backup: read it and compare every file with its hash.")
@click.option("--without-databases", is_flag=True, help="Leave out Dagster's and MLflow's databases.")
@HOME
@JSON
def backup(
    target: Path | None, scheduled: bool, check: bool, without_databases: bool, home: str | None, as_json: bool
) -> None:
    """Copy a home into one file, TARGET: journals, tables, releases, databases. The daemon may go on."""
    from trading_assets.cli import backup as copies

    if scheduled:
        from trading_assets.cli.scheduled_backups import backup_as_planned

        backup_as_planned(home_of(home), lambda result: answer(result, as_json, copies.backup_report))
        return
    if target is None:
        raise click.UsageError("name the file or folder of the backup, or pass --scheduled.")
    result = (
        copies.check(target) if check else copies.backup(existing(home), target, with_databases=not without_databases)
    )
    answer(result, as_json, copies.backup_report)


@trading.command()
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--without-databases", is_flag=True, help="Leave Dagster's and MLflow's databases as they are.")
@HOME
@JSON
def restore(archive: Path, without_databases: bool, home: str | None, as_json: bool) -> None:
    """Make a home of a backup, in an empty place. All of it, or nothing."""
    from trading_assets.cli import backup as copies

    answer(copies.restore(archive, home_of(home), with_databases=not without_databases), as_json, copies.backup_report)


@trading.command()
def prepare() -> None:
    """Generate what holds this machine's paths: the dbt manifest. Part of `make setup`."""
    from trading_assets.cli.prepare import prepare as run

    os.umask(CHECKOUT)
    run(PROJECT)


@trading.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when something is out of date.")
def schemas(check: bool) -> None:
    """Write the files that come from the record types: JSON Schemas, dbt sources, the page of tasks."""
    from trading_assets.cli.prepare import generated

    os.umask(CHECKOUT)
    stale = generated(PROJECT, write=not check)
    if check and stale:
        raise click.ClickException(f"out of date: {', '.join(stale)}; run `make schemas`")
    click.echo("\n".join(stale) if stale else "Everything is up to date.")
