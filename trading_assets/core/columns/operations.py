"""Tables of the operation itself: how the daemon and its components did, hour by hour. Stage `operations` of the asset graph."""

from __future__ import annotations

from collections.abc import Callable

from trading_assets.core.columns.column import Column, Table, count, moment, number, share, table, text

_SOURCE = "core.health"


def _or_null(column: Callable[..., Column], name: str, description: str, unit: str) -> Column:
    return column(name, description, unit, _SOURCE, nullable=True)


system_health = table(
    "system_health",
    "operations",
    "One row per account, component and UTC hour in which it was heard of or should have been.",
    "How the daemon and each of its components did. A row is written once its hour has ended; hours in which nothing"
    " was heard have rows too, so that a daemon that was down is a gap with a length. In lockstep, where time stands"
    " still between messages, nothing is due and nothing is silent. Partitioned by the day of the hour.",
    (
        text("component", "Component, or `daemon` for the process as a whole.", "raw_component_states"),
        moment("hour_at", "Start of the hour.", _SOURCE),
        count("heartbeats", "Heartbeats in the hour.", "heartbeats", "raw_component_states"),
        _or_null(share, "uptime_share", "Share of the hour without silence; null where nothing was due.", "share"),
        _or_null(
            share, "healthy_share", "Share of the heartbeats that told of health; null without heartbeats.", "share"
        ),
        count("successes", "Times the component did its work in the hour.", "times", "raw_component_states"),
        count("errors", "Errors in the hour.", "errors", "raw_component_states"),
        number(
            "longest_silence_s",
            "Longest time in the hour in which a heartbeat was overdue; a heartbeat is overdue after three intervals.",
            "seconds",
            _SOURCE,
            lowest=0.0,
        ),
        number(
            "silent_open_s", "Time in the hour in which a heartbeat was overdue while the market was open.", "seconds",
            _SOURCE, lowest=0.0,
        ),
        moment(
            "last_success_at", "When the component last did its work, as told last; null before it did.",
            "raw_component_states", nullable=True,
        ),
        text("trouble", "What was wrong, as told last in the hour; empty when nothing was.", "raw_component_states"),
    ),
    key=("tenant", "account", "component", "hour_at"),
)  # fmt: skip

schema_changes = table(
    "schema_changes",
    "operations",
    "One row per column and change.",
    "Columns that were added to a table of the lake because a later version of this software declares them; rows from before"
    " have nulls there until their day is written again. Other changes are refused. Append-only. Partitioned by the day of"
    " the change.",
    (
        moment("changed_at", "When this software changed the table.", "store.lake"),
        text("table", "Table of the lake that was changed.", "core.tables"),
        text("column", "Column that was added or changed.", "core.tables"),
        text("old_type", "Type before; null for a column that was added.", "store.schema_changes", nullable=True),
        text("new_type", "Type since the change.", "core.tables"),
        text("code_version", "Version of this software that changed it.", "package"),
    ),
    key=("tenant", "account", "table", "column", "changed_at"),
)

OPERATIONS_TABLES: tuple[Table, ...] = (system_health, schema_changes)
