"""What a hostile or broken terminal may send: every message of the protocol as it should be, and ways to spoil it.

All of it follows from a seeded `random.Random`. What is done with it is the harness's (`torture_protocol`, `fuzz_protocol`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from trading_assets.core.messages import (
    AccountFacts,
    BarFacts,
    Bars,
    BookLevel,
    BookUpdate,
    DealFacts,
    Deals,
    DealUpdate,
    Goodbye,
    Hello,
    Message,
    OrderFacts,
    OrderUpdate,
    PositionFacts,
    PositionUpdate,
    Snapshot,
    SymbolFacts,
    TerminalError,
    TerminalHeartbeat,
    Tick,
    Ticks,
    encode_message,
)
from trading_assets.core.records.decisions import TraderLimits

TOKEN = "a-token-of-the-tests"
START_MSC = 1_704_787_200_000
BAR_MSC = 300_000

_NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, -(10**30), 0.0, -0.0, 1e-320,
    1e308, -1e308, 1.5, "", " ", "NaN", "sNaN", "Infinity", "-Infinity", "1e999999", "-1e999999", "1e-999999", "0e999999",
    "1" * 300, "0." + "0" * 300 + "1", "\x00", "\ud83d\ude00", "﻿", "EURUSD" * 500, "../../etc", "'; --", "01.10", "+1",
    [], {}, [[]], [None], ["EURUSD"], {"type": "hello"}, [1, 2, 3], 253402300800000, 4102444800000, -62135596800000,
)  # fmt: skip
RAW: tuple[bytes, ...] = (
    b"", b" ", b"null", b"[]", b"{}", b'""', b"NaN", b"-", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{" * 50_000, b"[" * 200_000,
    b'{"a":' * 50_000, b'{"type":"ticks","v":1', b'{"type":"hello","v":2}', b'{"type":"hello","v":1e400}', b'{"v":"1"}',
    b'{"type":"heartbeat","v":1,"session":"\\ud800","seq":1,"sent_msc":0,"server_time_msc":0}',
    b'{"type":"heartbeat","v":1,"session":"\\u0000","seq":1,"sent_msc":0,"server_time_msc":0}',
    b'{"type":"heartbeat","v":1,"session":"","seq":' + b"9" * 5000 + b',"sent_msc":0,"server_time_msc":0}',
    b'{"type":"ticks","type":"hello","v":1}', b'{"\\u0074oken":"secret"', b"\x00" * 100, b'{"type":"' + b"x" * 60_000 + b'"}',
)  # fmt: skip


def account() -> AccountFacts:
    """An account in order."""
    amount = Decimal("10000.00")
    return AccountFacts(
        login="10001", server="Scripted-1", company="Tests", currency="USD", leverage=100, margin_mode="hedging",
        balance=amount, equity=amount, credit=Decimal(0), margin=Decimal(0), margin_free=amount, trade_allowed=True,
    )  # fmt: skip


def messages(session: str, seq: int, now_msc: int = START_MSC) -> list[Message]:
    """One of each message a terminal sends, as it should be; the first is hello."""
    head: dict[str, Any] = {"session": session, "seq": seq, "sent_msc": now_msc}
    lots = Decimal("0.10")
    symbol = SymbolFacts(
        symbol="EURUSD", digits=5, point=0.00001, trade_tick_size=0.00001, trade_tick_value=Decimal(1),
        contract_size=Decimal(100_000), volume_min=Decimal("0.01"), volume_max=Decimal(50), volume_step=Decimal("0.01"),
        stops_level=10, freeze_level=0, filling_mode=3, swap_long=-0.5, swap_short=0.1, commission_per_lot=Decimal("2.5"),
    )  # fmt: skip
    position = PositionFacts(
        ticket="7", identifier="7", magic="99", symbol="EURUSD", side="BUY", volume=lots, price_open=1.1, sl=1.0, tp=1.2,
        swap=Decimal(0), profit=Decimal("1.5"), time_msc=now_msc, comment="by hand",
    )  # fmt: skip
    order = OrderFacts(
        ticket="8", position_id="7", magic="99", symbol="EURUSD", side="BUY", state="PLACED", volume_initial=lots,
        volume_current=lots, price_open=1.1, sl=1.0, tp=1.2, time_setup_msc=now_msc, time_done_msc=0,
    )  # fmt: skip
    deal = DealFacts(
        ticket=str(now_msc), order="8", position_id="7", magic="99", symbol="EURUSD", kind="BUY", entry="IN",
        reason="CLIENT", volume=lots, price=1.1, profit=Decimal(0), commission=Decimal("-0.25"), swap=Decimal(0),
        fee=Decimal(0), time_msc=now_msc, comment="",
    )  # fmt: skip
    ticks = tuple(Tick(now_msc + 1000 * index, 1.1 + index * 1e-5, 1.1001 + index * 1e-5) for index in range(5))
    bars = tuple(
        BarFacts(time_msc=now_msc - BAR_MSC * index, open=1.1, high=1.2, low=1.0, close=1.15, tick_volume=50, spread=10)
        for index in range(40, 0, -1)
    )
    depth = (BookLevel(1.1, lots), BookLevel(1.09, lots))
    limits = TraderLimits(risk_per_trade=0.01, max_drawdown=0.2, max_positions=3, allowed_symbols=("EURUSD",))
    return [
        Hello(
            session="", seq=1, sent_msc=now_msc, token=TOKEN, build="b", account=account(), server_time_msc=now_msc,
            lockstep=True, ends_at_msc=now_msc + 100 * BAR_MSC, limits=limits,
        ),
        Snapshot(**head, account=account(), symbols=(symbol,), positions=(position,), orders=(order,)),
        Ticks(**head, symbol="EURUSD", ticks=ticks),
        BookUpdate(**head, symbol="EURUSD", time_msc=now_msc, bids=depth, asks=(BookLevel(1.2, lots),)),
        Bars(**head, request_id="bars-EURUSD-M5", symbol="EURUSD", timeframe="M5", bars=bars, is_last=True),
        OrderUpdate(**head, request_id="99", retcode=10009, order=order, comment="done"),
        DealUpdate(**head, deal=deal, account=account()),
        Deals(**head, request_id="deals-1", deals=(deal,)),
        PositionUpdate(**head, position=position),
        TerminalHeartbeat(**head, server_time_msc=now_msc + BAR_MSC, account=account()),
        TerminalError(**head, request_id="", code="c", text="t"),
        Goodbye(**head, reason="r"),
    ]  # fmt: skip


def spoil(chance: random.Random, frame: str) -> str | bytes:
    """Return a frame that was in order with something wrong about it."""
    return chance.choice(_WAYS)(chance, frame)


def spoil_value(chance: random.Random, frame: str, *, spares: frozenset[str] = frozenset()) -> str:
    """Put a nasty value somewhere into a JSON object; fields named in `spares` keep theirs."""
    try:
        content = json.loads(frame)
    except ValueError:
        return frame
    places = [place for place in _places(content) if place[1] not in spares]
    if places:
        holder, key = chance.choice(places)
        if chance.random() < 0.15 and isinstance(holder, dict):
            del holder[key]
        elif chance.random() < 0.15 and isinstance(holder, list):
            holder *= 2 ** chance.randrange(1, 5)
        else:
            holder[key] = chance.choice(_NASTY)
    return json.dumps(content)


def _places(content: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in entries:
        found.append((content, key))
        found += _places(value)
    return found


def _cut(chance: random.Random, frame: str) -> str:
    return frame[: chance.randrange(len(frame) + 1)]


def _flip(chance: random.Random, frame: str) -> bytes:
    content = bytearray(frame.encode())
    for _ in range(chance.randrange(1, 4)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


def _twice(_: random.Random, frame: str) -> str:
    return frame + frame


def _padded(chance: random.Random, frame: str) -> str:
    return frame[:-1] + "," + json.dumps("p") + ":" + json.dumps("x" * chance.randrange(10, 60_000)) + "}"


def _deep(chance: random.Random, frame: str) -> str:
    depth = chance.randrange(100, 5000)
    return frame[:-1] + ',"p":' + "[" * depth + "]" * depth + "}"


def _raw(chance: random.Random, _: str) -> bytes:
    return chance.choice(RAW)


_WAYS: tuple[Callable[[random.Random, str], str | bytes], ...] = (
    spoil_value, spoil_value, spoil_value, spoil_value, _cut, _flip, _flip, _twice, _padded, _deep, _raw,
)  # fmt: skip


def corpus() -> list[bytes]:
    """Every message in order, as text."""
    return [encode_message(message).encode() for message in messages("s", 2)]
