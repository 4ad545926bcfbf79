"""JSON Schemas of every record and message, for machines that read or write them in another language.

Generated from the types, so that a description, unit or source is written once. Where they are kept is
`trading_assets.documents`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trading_assets.core import messages
from trading_assets.core.records.codec import AnyRecord

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

UNIONS: dict[str, tuple[Any, str]] = {
    "records": (AnyRecord, "One line of the journal."),
    "from_terminal": (messages.FromTerminal, "One frame from the terminal to the daemon."),
    "from_daemon": (messages.FromDaemon, "One frame from the daemon to the terminal."),
}


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return a schema for each union by name: a value of it is one of `$defs`, told apart by `type`."""
    return {name: _schema(union, description) for name, (union, description) in UNIONS.items()}


def _schema(union: Any, description: str) -> dict[str, Any]:
    # Through JSON and back: a default that is an empty tuple is an empty array there.
    schema = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(union)))
    definitions = schema.pop("$defs")
    return {"$schema": _DIALECT, "description": description, **schema, "$defs": definitions}
