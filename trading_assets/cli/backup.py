"""`trading backup` and `trading restore`: a home in one file, checked by hash, and back into an empty home."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trading_assets import __version__
from trading_assets.cli.progress import step, steps
from trading_assets.core.errors import InputError
from trading_assets.store import postgres_dump
from trading_assets.store.backup import (
    DUMPS,
    Manifest,
    check_backup,
    check_place,
    staged,
    unpack,
    write_backup,
)
from trading_assets.store.backup_plan import SUFFIX
from trading_assets.store.home import Home
from trading_assets.store.mlflow_addresses import move_addresses
from trading_assets.store.postgres import open_databases


def backup(home: Home, target: Path, *, with_databases: bool) -> dict[str, Any]:
    """Copy the home into the file `target`, or into a file named by the time when it is a folder."""
    made_at = datetime.now(UTC)
    if os.path.isdir(target):  # it does not raise
        target = target / f"trading-{made_at:%Y%m%dT%H%M%SZ}{SUFFIX}"
    if target.resolve().is_relative_to(home.root):
        raise InputError("writing a backup to", target, "that is inside the home itself", "name a place outside of it")
    check_place(target)  # before the databases are dumped for it
    with steps() as progress, tempfile.TemporaryDirectory() as scratch:
        dumps: dict[str, Path] = {}
        if with_databases:
            with step(progress, "Dumping the databases"), open_databases(home.postgres, _server()) as databases:
                for name, url in postgres_dump.by_name(databases).items():
                    dumps[name] = Path(scratch) / name
                    postgres_dump.dump(url, dumps[name])
        with step(progress, "Copying and reading back") as tell:
            manifest = write_backup(home, target, made_at=made_at, code_version=__version__, dumps=dumps, tell=tell)
    return _described(target, manifest)


def check(archive: Path) -> dict[str, Any]:
    """Read a copy from end to end and compare every file with its hash."""
    with steps() as progress, step(progress, "Reading the backup") as tell:
        return _described(archive, check_backup(archive, tell))


def restore(archive: Path, home: Home, *, with_databases: bool) -> dict[str, Any]:
    """Make a home of a copy. Nothing is seen of it until all of it is there."""
    with steps() as progress, staged(home) as stage:
        with step(progress, "Restoring files") as tell:
            manifest = unpack(archive, stage, tell)
        dumps = stage.root / DUMPS
        has_databases = dumps.is_dir()
        if with_databases and has_databases:
            with step(progress, "Restoring the databases"), open_databases(stage.postgres, _server()) as databases:
                for name, url in postgres_dump.by_name(databases).items():
                    postgres_dump.load(url, dumps / name)
                move_addresses(databases.mlflow, manifest.home, home)
        if has_databases:
            for dump in dumps.iterdir():
                dump.unlink()
            dumps.rmdir()
    return _described(archive, manifest) | {"home": str(home.root)}


def backup_report(result: dict[str, Any]) -> None:
    """Say what a copy holds, and where it was put or taken from."""
    import click

    if "problem" in result:
        click.echo(result["problem"])
        return
    where = f" into {result['home']}" if "home" in result else ""
    click.echo(
        f"{result['archive']}{where}: {result['files']} files, {result['bytes'] / 1e6:,.1f} MB, "
        f"made {result['made_at']:%Y-%m-%d %H:%M} UTC by version {result['code_version']}; every file is as it was written."
    )
    if result.get("dropped"):
        click.echo(f"No longer kept: {', '.join(result['dropped'])}.")
    if "home" in result:
        click.echo(
            "Secrets and waiting commands are in no backup: give terminals their tokens again, and a halt that waited. "
            "Logs and dbt's pages are made again."
        )


def _described(archive: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "archive": str(archive),
        "made_at": manifest.made_at,
        "code_version": manifest.code_version,
        "files": len(manifest.files),
        "bytes": manifest.size,
    }


def _server() -> str | None:
    return os.environ.get("TRADING_DATABASE_URL")
