"""`trading selfcheck`: one self-check by hand, and what it found and mended. What it does is `defs.selfcheck`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from trading_assets.cli.environment import at_home
from trading_assets.cli.progress import step, steps
from trading_assets.core.errors import InputError
from trading_assets.store.home import Home


def selfcheck(home: Home, *, is_repairing: bool, is_thorough: bool) -> dict[str, Any]:
    """Check the home, mend it unless told not to, and return what was found, done, and still stands."""
    at_home(home)
    from trading_assets.defs.resources import Storage
    from trading_assets.defs.selfcheck import self_check

    with steps() as progress, step(progress, "Holding the record against itself"):
        checked = self_check(
            Storage(root=str(home.root)),
            datetime.now(UTC),
            is_repairing=is_repairing,
            is_thorough=is_thorough,
            is_whole=True,
        )
    return {
        "found": [_plain(one) for one in checked.found],
        "repairs": [
            {"check": one.check, "subject": one.subject, "action": one.action, "attempt": one.attempt, "before": one.before,
             "after": one.after, "is_repaired": one.is_repaired}
            for one in checked.repairs
        ],
        "resolved": [_plain(one) for one in checked.resolved],
        "standing": [_plain(one) for one in checked.standing],
        "waiting_days": checked.waiting,
        "seconds": round(checked.seconds, 2),
        "is_sound": not any(one.severity == "error" for one in checked.standing),
    }  # fmt: skip


def accept(home: Home, table: str) -> dict[str, Any]:
    """Seal a table as it rests. Raises InputError for a table that is no registry, StateError for one with files missing."""
    at_home(home)
    from trading_assets.core.tables import TABLES
    from trading_assets.defs.rehearsal import maker_of
    from trading_assets.defs.resources import Storage

    registries = [name for name in TABLES if maker_of(name) is None]
    if table not in registries:
        what = "it is made from the journal, day by day" if table in TABLES else "there is no such table"
        raise InputError("accepting", f"table {table}", what, f"name one of {', '.join(registries)}")
    lake = Storage(root=str(home.root)).lake
    lake.seal(table, None)
    return {"table": table, "version": lake.version(table), "rows": lake.row_count(table)}


def _plain(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def accept_report(result: dict[str, Any]) -> None:
    """Print what was taken for right."""
    click.echo(f"{result['table']} is taken for right as it rests: version {result['version']}, {result['rows']} rows.")


def selfcheck_report(result: dict[str, Any]) -> None:
    """Print each finding, what was done about it, and what is left."""
    for one in result["found"]:
        click.echo(f"{one['severity']}: {one['subject']}: expected {one['expectation']}, found {one['observed']}")
    for one in result["repairs"]:
        verdict = "mended" if one["is_repaired"] else "NOT mended"
        click.echo(f"{verdict}: {one['subject']}, {one['action']}, attempt {one['attempt']}: {one['after']}")
    for one in result["standing"]:
        click.echo(f"stands: {one['subject']}; {one['repair']}")
    counts = f"{len(result['found'])} found, {sum(one['is_repaired'] for one in result['repairs'])} mended"
    waiting = (
        f", {result['waiting_days']} days of tables wait for the next ingestion or self-check"
        if result["waiting_days"]
        else ""
    )
    verdict = ("sound as far as it was looked at" if waiting else "sound") if result["is_sound"] else "NOT sound"
    click.echo(f"{counts}, {len(result['standing'])} stand{waiting}; the record is {verdict} ({result['seconds']} s).")
