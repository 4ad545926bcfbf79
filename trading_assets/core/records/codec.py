"""The union of all records, and how one becomes a line and is read back."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trading_assets.core.records.decisions import (
    Decision,
    DecisionTiming,
)
from trading_assets.core.records.market import Bar, BookSnapshot, Quarantine, Quote
from trading_assets.core.records.operations import (
    AccessEvent,
    ComponentState,
    DaemonHeartbeat,
    Finding,
    OpsError,
    Promotion,
    Repair,
    Transform,
)
from trading_assets.core.records.record import Record
from trading_assets.core.records.trading import (
    AccountChange,
    AccountSnapshot,
    BreakerEvent,
    ClockVerdict,
    CommandResult,
    Deal,
    Mark,
    Order,
    Outcome,
    Position,
    Protection,
    ReleaseLoad,
    Session,
    StrategyLoad,
    SymbolSpec,
)

AnyRecord = (
    Quote
    | Bar
    | Quarantine
    | BookSnapshot
    | Decision
    | DecisionTiming
    | Session
    | AccountChange
    | ClockVerdict
    | AccountSnapshot
    | SymbolSpec
    | Order
    | Deal
    | Position
    | Protection
    | Mark
    | Outcome
    | BreakerEvent
    | ReleaseLoad
    | StrategyLoad
    | CommandResult
    | DaemonHeartbeat
    | ComponentState
    | AccessEvent
    | OpsError
    | Finding
    | Repair
    | Promotion
    | Transform
)

RECORD_TYPES: tuple[type[Record], ...] = AnyRecord.__args__
RECORD_BY_TAG: dict[str, type[Record]] = {str(kind.__struct_config__.tag): kind for kind in RECORD_TYPES}

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(AnyRecord)


def encode_record(record: Record) -> bytes:
    """Return the record as one line of JSON, without the newline. Floats read back bit-identical, NaN is null."""
    return _encoder.encode(record)


def encode_records(records: Sequence[Record]) -> bytes:
    """Return the records as lines of JSON, each with its newline: the bytes of `encode_record`, many at once."""
    return _encoder.encode_lines(records)


def decode_record(line: bytes) -> AnyRecord:
    """Read one line back. Raises msgspec.ValidationError when it is not a record of this schema."""
    record: AnyRecord = _decoder.decode(line)
    return record
