"""The queue between socket and desk: in order, bounded, and only replaceable quotes make room."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.bridge.inlet import Inlet, Item
from live.bridge.protocol import Received
from trading_assets.core.messages import BookLevel, BookUpdate, Goodbye, TerminalHeartbeat, Tick, Ticks


def ticks(seq: int, symbol: str = "EURUSD", count: int = 1) -> Ticks:
    batch = tuple(Tick(seq * 10 + index, 1.1, 1.2) for index in range(count))
    return Ticks(session="s", seq=seq, sent_msc=0, symbol=symbol, ticks=batch)


def beat(seq: int) -> TerminalHeartbeat:
    return TerminalHeartbeat(session="s", seq=seq, sent_msc=0, server_time_msc=seq)


def book(seq: int, symbol: str = "EURUSD") -> BookUpdate:
    side = (BookLevel(1.1, Decimal(1)),)
    return BookUpdate(session="s", seq=seq, sent_msc=0, symbol=symbol, time_msc=seq, bids=side, asks=())


def put(inlet: Inlet, message: Received, size: int = 10) -> None:
    inlet.put(Item(message, size, 0))


async def drained(inlet: Inlet) -> list[Received]:
    inlet.end()
    taken: list[Received] = []
    while (item := await inlet.get()) is not None:
        taken.append(item.received)
    return taken


async def test_what_came_before_the_end_can_still_be_taken_and_then_the_cause_is_raised() -> None:
    inlet = Inlet()
    put(inlet, beat(1))
    inlet.end(OSError("gone"))
    item = await inlet.get()
    assert item is not None
    assert item.received == beat(1)
    with pytest.raises(OSError, match="gone"):
        await inlet.get()


async def test_the_reader_of_a_full_queue_waits_until_there_is_room() -> None:
    inlet = Inlet(most_messages=2)
    for seq in range(3):
        put(inlet, beat(seq))
    assert inlet.is_full
    waiting = asyncio.create_task(inlet.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    await inlet.get()
    await waiting


async def test_in_lockstep_nothing_is_ever_dropped() -> None:
    inlet = Inlet(most_messages=4)
    for seq in range(20):
        put(inlet, ticks(seq))
    assert inlet.is_full
    assert len(await drained(inlet)) == 20
    assert inlet.take_dropped() == []


async def test_by_the_clock_older_quotes_make_room_and_are_counted_with_their_times() -> None:
    inlet = Inlet(most_messages=10)
    inlet.may_drop = True
    for seq in range(11):
        put(inlet, ticks(seq, count=3))
    assert not inlet.is_full
    (dropped,) = inlet.take_dropped()
    assert (dropped.symbol, dropped.first_msc) == ("EURUSD", 0)
    kept = await drained(inlet)
    assert dropped.count == 3 * (11 - len(kept))
    assert kept[-1] == ticks(10, count=3)


@given(
    st.lists(st.tuples(st.sampled_from("tbhg"), st.sampled_from(["EURUSD", "GBPUSD"]), st.integers(1, 60)), max_size=80)
)
def test_results_and_heartbeats_stay_in_order_and_the_latest_quote_of_each_symbol_stays(
    arrivals: list[tuple[str, str, int]],
) -> None:
    inlet = Inlet(most_bytes=400, most_messages=12)
    inlet.may_drop = True
    sent: list[Received] = []
    for seq, (kind, symbol, size) in enumerate(arrivals):
        message: Received = {
            "t": ticks(seq, symbol),
            "b": book(seq, symbol),
            "h": beat(seq),
            "g": Goodbye(session="s", seq=seq, sent_msc=0, reason="r"),
        }[kind]
        sent.append(message)
        put(inlet, message, size)
    kept = asyncio.run(drained(inlet))
    assert [one for one in kept if isinstance(one, TerminalHeartbeat | Goodbye)] == [
        one for one in sent if isinstance(one, TerminalHeartbeat | Goodbye)
    ]
    assert kept == [one for one in sent if one in kept]
    for symbol in ("EURUSD", "GBPUSD"):
        quotes = [one for one in sent if isinstance(one, Ticks) and one.symbol == symbol]
        assert not quotes or quotes[-1] in kept
    assert sum(dropped.count for dropped in inlet.take_dropped()) == len(sent) - len(kept)


async def test_names_without_end_are_not_remembered_without_end() -> None:
    inlet = Inlet(most_messages=2)
    inlet.may_drop = True
    for number in range(1500):
        for seq in range(3):
            put(inlet, ticks(seq, f"NAME{number}"))
        while len(inlet):
            await inlet.get()
    assert len(inlet.take_dropped()) == 1000


async def test_what_waits_for_everything_to_be_taken_goes_on_with_the_last_one_and_at_the_end() -> None:
    inlet = Inlet()
    for number in range(3):
        inlet.put(Item(Goodbye(session="s", seq=number, sent_msc=0, reason=""), 10, 0))
    waiting = asyncio.create_task(inlet.emptied())
    for _ in range(2):
        await inlet.get()
        await asyncio.sleep(0)
        assert not waiting.done()
    await inlet.get()
    await waiting
    inlet.put(Item(Goodbye(session="s", seq=4, sent_msc=0, reason=""), 10, 0))
    again = asyncio.create_task(inlet.emptied())
    await asyncio.sleep(0)
    inlet.end()
    await again
