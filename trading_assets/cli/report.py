"""How answers look to a person: tables and sentences. Figures come from the modules of the commands."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from typing import Any

import click

from trading_assets.cli.breakers import halt_sentence
from trading_assets.cli.screen import OUT, pairs
from trading_assets.cli.trace import trace
from trading_assets.cli.trace_report import trace_report
from trading_assets.core.decisions.breakers import rule_of
from trading_assets.store.home import Home
from trading_assets.store.lake import Lake

SHOWN = 20
"""Differences a person is shown; JSON holds them all."""


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items()) or "none"


def demo_report(home: Home, result: dict[str, Any]) -> None:
    """Print what happened, the trace of one trade, and where to look next."""
    journal, features, windows = result["journal"], result["features"], result["windows"]
    ledger, model, latency, learning = result["ledger"], result["model"], result["latency_ms"], result["learning"]
    rows: list[tuple[str, object]] = [
        ("Decisions", f"{sum(result['decisions'].values())}: {_counts(result['decisions'])}"),
        ("Actions", _counts(result["actions"])),
        ("Trades", f"{result['trades']}, with {result['outcomes']} outcomes: {_counts(result['exits'])}; {result['untraced_trades']} not traced"),
        ("Quotes refused", _counts(result["quarantined"])),
        ("Journal", f"{journal['records']} records under {journal['seals']} seals in {journal['segments']} segments, chain intact"),
        ("Features", f"{features['compared']} decisions compared with the batch side, {features['mismatched']} mismatched"),
        ("Chart windows", f"{windows['compared']} compared by hash, {windows['mismatched']} mismatched"),
        ("Ledger", f"{ledger['deals']} deals, {ledger['pnl_events']} events, net {ledger['net_pnl']}, difference {ledger['difference']}"),
        ("Learning", f"{learning['labels']} labels, {learning['dataset_rows']} rows in dataset version {learning['dataset_version']}"),
        ("Model", f"{model['version']}: {model['verdict']}; release {model['release']}; {model['scored_decisions']} decisions carry its score"),
        ("Order latency", f"p50 {latency['p50']} ms, p99 {latency['p99']} ms; floor p50 {latency['floor_p50']} ms, p99 {latency['floor_p99']} ms"),
    ]  # fmt: skip
    OUT.print()
    pairs(f"[bold]{result['market']}[/bold]", rows)
    pairs(
        "[bold]Why the model was " + str(model["verdict"]) + "[/bold]", (("·", reason) for reason in model["reasons"])
    )
    if (identifier := latest_closed_trade(Lake(home.lake))) is not None:
        trace_report(trace(home.lake, identifier))
    OUT.print("\n[bold]Where to look next[/bold]")
    for command, what in (
        ("trace ID", "any decision or trade, from chart window to model"),
        ("explain SIGNAL_ID", "make a decision again, bit for bit, and read why"),
        ("verify", "the journal's chain, and the lake against it"),
        ("up", "this home in Dagster's lineage, MLflow and the data docs"),
    ):
        OUT.print(f"  {what}")
        # In one piece, however long the path: it is copied from here.
        click.echo(f"    trading {command} --home {_as_argument(str(home.root))}")


def _as_argument(text: str) -> str:
    """Return text as it is typed after a command on this system."""
    return subprocess.list2cmdline([text]) if os.name == "nt" else shlex.quote(text)


def latest_closed_trade(lake: Lake) -> str | None:
    """Return the id of the trade that was closed last."""
    outcomes = lake.read("outcomes", columns=["trade_id", "closed_at"]).sort("closed_at")
    return str(outcomes["trade_id"][-1]) if outcomes.height else None


def explain_report(result: dict[str, Any]) -> None:
    """Print an explanation, or what a whole day gave."""
    if "day" in result:
        OUT.print(f"{result['day']}: {result['identical']} of {result['decisions']} decisions made again bit for bit.")
        for one in result["different"]:
            recorded = f"recorded by another version ({one['other_version']}): " if one["other_version"] else ""
            OUT.print(f"  {one['signal_id']}: {recorded}{'; '.join(one['differences'])}")
        return
    OUT.print(
        f"[bold]{result['symbol']} {result['bar_close_at']:%Y-%m-%d %H:%M}: {result['suggestion']} / {result['action']}[/bold]"
    )
    for sentence in result["words"]:
        OUT.print(f"  {sentence}")
    different = f"recorded by another version ({result['other_version']})" if result["other_version"] else "DIFFERENT"
    verdict = "the same, bit for bit" if result["is_identical"] else f"{different}: {'; '.join(result['differences'])}"
    OUT.print(f"Made again from the record, the window and the release: {verdict}.")


def verify_report(result: dict[str, Any]) -> None:
    """Print what was verified."""
    journal = result["journal"]
    rows: list[tuple[str, object]] = [
        ("Journal", f"{journal['records']} records, {journal['seals']} seals, {journal['segments']} segments"),
        *([("Removed", f"{journal['removed_segments']} segments, {journal['removed_records']} records, removed by retention and proved by their receipts")] if journal["removed_segments"] else []),
        *(("Fault", f"{one['segment']} line {one['line']}: expected {one['expectation']}, found {one['observed']}; {one['repair']}") for one in result["faults"]),
        *((name.replace("_", " ").capitalize(), _plain(result[name])) for name in ("features", "windows", "ledger", "untraced_trades") if name in result),
        *([("Computed again", _computed_again(result["recomputed"]))] if result.get("recomputed") else []),
        *(("Different", sentence) for sentence in result.get("differences", ())[:SHOWN]),
        ("Not ingested", ", ".join(result["pending_days"]) or "nothing"),
        ("Verdict", "clean" if result["is_clean"] else "NOT clean"),
    ]  # fmt: skip
    pairs("[bold]Verification[/bold]", rows)


def _computed_again(done: dict[str, Any]) -> str:
    whole = len(done["days"]) == done["of_days"]
    which = (
        "every day"
        if whole
        else f"{len(done['days'])} of {done['of_days']} days ({', '.join(done['days'])}); --thorough: all"
    )
    return f"{which}: {len(done['different']) or 'no'} differences"


def retain_report(result: dict[str, Any]) -> None:
    """Print what one pass over old segments did."""
    OUT.print(
        f"{result['compressed']} segments compressed, {result['removed']} removed, {result['freed_bytes'] / 1e6:.1f} MB freed."
    )
    for table, days in result.get("dropped_days", {}).items():
        OUT.print(f"{days} days of {table} dropped.")
    if result.get("vacuumed_files"):
        OUT.print(f"{result['vacuumed_files']} files vacuumed.")
    for problem in result["problems"]:
        OUT.print(f"Left alone: {problem}")


def rules_report(result: dict[str, Any]) -> None:
    """Print how long everything is kept."""
    for kept in ("streams", "tables"):
        limited = {name: days for name, days in result[kept].items() if days is not None}
        rows = [(name, f"{days} days") for name, days in limited.items()]
        pairs(f"[bold]{kept.capitalize()}[/bold]", [*rows, (f"{len(result[kept]) - len(rows)} others", "for ever")])
    OUT.print(f"Every version for ever: {', '.join(result['all_versions_of'])}.")


def status_report(result: dict[str, Any]) -> None:
    """Print the status; of a running daemon its health, readiness and components."""
    rows: list[tuple[str, object]] = []
    for name, value in result.items():
        if name == "daemon":
            rows += _daemon_rows(value)
        elif name == "jobs":
            rows += _job_rows(value)
        elif name == "backups":
            rows.append(("Backups", _backup_words(value)))
        elif name == "waiting_halts" and isinstance(value, list):
            rows += [("Halt", halt_sentence(one)) for one in value]
        else:
            rows.append((name.replace("_", " ").capitalize(), _plain(value)))
    pairs("[bold]Status[/bold]", rows)


def _backup_words(backups: dict[str, Any] | None) -> str:
    if backups is None:
        return "none scheduled; the table backups of settings.toml plans them"
    if "problem" in backups:
        return f"not known: {backups['problem']}"
    said = f"{backups['count']} in {backups['folder']}, the newest of {_plain(backups['newest_at'])}"
    return (
        f"OVERDUE: {said}; `trading up` or `trading backup --scheduled` makes them" if backups["is_overdue"] else said
    )


def _job_rows(jobs: dict[str, Any]) -> list[tuple[str, object]]:
    """Say how the jobs do; what was said too long ago is not how they do now."""
    rows: list[tuple[str, object]] = []
    if "problem" in jobs:
        return [("Jobs", f"not known: {jobs['problem']}")]
    if jobs["asked_at"] is None:
        return [("Jobs", "not known: no Dagster has watched over them here; `trading up` starts it")]
    if not jobs["is_known"]:
        said = f"not known since {_plain(jobs['asked_at'])}: Dagster does not run, or its database does not answer"
        rows.append(("Jobs", f"{said}; what follows was true then"))
    for name, one in jobs["jobs"].items():
        state = f"NOT healthy: {one['detail']}" if one["detail"] else "it does its work"
        running = f"; running since {_plain(one['running_since'])}" if one["running_since"] else ""
        rows.append((f"  job {name}", f"{state}; last success {_plain(one['last_success_at'])}{running}"))
    return rows


def _daemon_rows(daemon: dict[str, Any]) -> list[tuple[str, object]]:
    if daemon.get("is_running") is False:
        return [("Daemon", "not running")]
    if "problem" in daemon:
        known = "running, but" if daemon.get("is_running") else "whether it runs is not known:"
        return [("Daemon", f"{known} {daemon['problem']}")]
    rows: list[tuple[str, object]] = [
        ("Daemon", f"running on port {daemon['port']} since {daemon['started_at']}; numbers at {daemon['metrics']}"),
        ("Health", "; ".join(daemon["health"]["reasons"]) or "it does its work"),
        ("Ready", _ready_words(daemon)),
        ("Journal", _plain(daemon["journal"])),
    ]
    for name, account in daemon["accounts"].items():
        rows.append(
            (
                f"Account {name}",
                f"{account['decisions']} decisions, {account['orders_sent']} orders, {len(account['open_trades'])} open trades, equity {_plain(account['equity'])}, release {account['release_id']}",
            )
        )
        rows += [(f"  {breaker}", f"tripped: {cause}") for breaker, cause in account["tripped_breakers"].items()]
        rows += [
            (f"  {component}", f"{'' if one['is_healthy'] else 'NOT healthy: '}{one['detail']}; {one['errors']} errors, last success {_plain(one['last_success_at'])}")
            for component, one in account["components"].items()
        ]  # fmt: skip
    return rows


def _ready_words(daemon: dict[str, Any]) -> str:
    """Say which accounts cannot be traded, and which open no positions although they could."""
    lacking = [f"{account}: {', '.join(lacks)}" for account, lacks in daemon["ready"]["missing"].items()]
    stopped = [
        f"{account}: no entries ({label}: {cause})"
        for account, one in daemon["accounts"].items()
        for label, cause in one["tripped_breakers"].items()
        if rule_of(label.partition(":")[0]).effect == "stop"
    ]
    if lacking:
        return f"not yet: {'; '.join(lacking + stopped)}"
    return f"connected, but {'; '.join(stopped)}" if stopped else "every account can be traded"


def _plain(value: object) -> object:
    match value:
        case dict():
            return ", ".join(f"{name} {inner}" for name, inner in value.items()) or "-"
        case list():
            return "; ".join(str(_plain(inner)) for inner in value) or "none"
        case None:
            return "-"
        case _:
            return value
