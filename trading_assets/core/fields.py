"""The one way a field of a record, message or table states what it means: description, unit and source.

`doc` belongs inside `Annotated`. JSON Schemas, pandera schemas and the column documentation of dbt are
generated from it, so a field without it is a test failure. Types used by many records live here too;
the records themselves do not.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec


def doc(description: str, unit: str = "", source: str = "") -> msgspec.Meta:
    """Describe a field: what it says, its unit (empty when it has none) and where the value comes from."""
    extra = {"x-unit": unit} if unit else {}
    if source:
        extra["x-source"] = source
    return msgspec.Meta(description=description, extra_json_schema=extra, extra={"unit": unit, "source": source})


def moment(description: str, source: str = "") -> msgspec.Meta:
    """Describe an instant: always an aware datetime in UTC."""
    return msgspec.Meta(
        description=description,
        extra_json_schema={"format": "date-time", "x-unit": "UTC"} | ({"x-source": source} if source else {}),
        extra={"unit": "UTC", "source": source},
    )


Tenant = Annotated[str, doc("Tenant the record belongs to.", source="settings of the daemon")]
Account = Annotated[
    str, doc("Trading account within the tenant, as named in the settings.", source="settings of the daemon")
]
EventAt = Annotated[datetime, moment("When it happened, by the clock of its origin.", "terminal or daemon")]
KnownAt = Annotated[datetime, moment("When this process learned it; in replay, simulated time.", "daemon")]
ChainId = Annotated[
    str,
    doc("Chain from the collector on that ties quote, decision, order, deal and outcome together.", source="collector"),
]
Symbol = Annotated[str, doc("Canonical symbol, without the broker's suffix.", source="symbol map of the account")]
Timeframe = Annotated[str, doc("Bar length: M1, M5, M15, M30, H1, H4 or D1.", source="strategy")]
SignalId = Annotated[
    str,
    doc(
        "Decision: ULID of the bar's close and a hash of tenant, account, symbol, timeframe and strategy version.",
        source="core.ids.signal_id",
    ),
]
IdeaId = Annotated[str, doc("Candidate within its cohort: signal, side and exit profile.", source="core.ids.idea_id")]
TradeId = Annotated[str, doc("Trade: the life of the position that one decision opened.", source="core.ids.trade_id")]
Magic = Annotated[
    str, doc("63-bit magic number that marks our orders at the broker, as decimal text.", source="core.ids.magic")
]
