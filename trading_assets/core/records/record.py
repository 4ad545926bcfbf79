"""What every record of the journal has, and the words and units records share.

A record is one NDJSON line; `type` is its tag. `STREAM` says which stream of the journal it rests in.
Prices are float64 as the terminal sends them; money and volumes are decimals; times are UTC. Messages of
the bridge live in `messages`, the way bytes rest on disk in `store.journal`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

import msgspec

from trading_assets.core.fields import (
    Account,
    ChainId,
    EventAt,
    KnownAt,
    Tenant,
    doc,
)

SCHEMA_VERSION = 1

Stream = Literal["market", "trading", "ops"]
Side = Literal["BUY", "SELL"]
CandidateKind = Literal["LONG", "SHORT", "HOLD", "CLOSE"]
Suggestion = Literal["LONG", "SHORT", "WAIT"]
Action = Literal["OPEN", "CLOSE", "REVERSE", "HOLD", "NONE"]
Mode = Literal["observe", "recommend", "execute"]
Verdict = Literal["pass", "block", "not_available"]
OrderState = Literal["PLANNED", "SENT", "PLACED", "PARTIAL", "FILLED", "REFUSED", "EXPIRED", "CANCELLED", "UNKNOWN"]
ExitReason = Literal["stop", "target", "timeout", "signal", "weekend", "stop_out", "manual", "end_of_test"]
Execution = Literal["request", "instant", "market", "exchange"]
"""How a symbol's orders are executed."""
TradeMode = Literal["full", "long_only", "short_only", "close_only", "disabled"]
"""What of a symbol may be traded."""
Filling = Literal["FOK", "IOC", "RETURN"]
"""What becomes of volume that cannot be filled at once."""

Money = Annotated[Decimal, doc("Amount of money.", "account currency", "terminal")]
Lots = Annotated[Decimal, doc("Volume.", "lots", "terminal")]
Price = Annotated[float, doc("Price.", "price", "terminal")]


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every record carries. Subclasses set the tag and the stream."""

    STREAM: ClassVar[Stream]

    schema_version: Annotated[int, doc("Version of the record's schema.", "version", "core.records")] = SCHEMA_VERSION
    tenant: Tenant
    account: Account
    event_at: EventAt
    known_at: KnownAt
    chain_id: ChainId
