"""Quotes and depths of market as they come twice, out of order or impossible."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from scripted_terminal import BAR, START, RunningDaemon, ScriptedTerminal, daemon_at, records

from live.bridge.soundness import fault_of
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import BookLevel, BookUpdate, DealUpdate, Subscribe, TerminalHeartbeat
from trading_assets.core.records.market import Bar, BookSnapshot, Quarantine, Quote
from trading_assets.core.records.trading import Deal

LOT = Decimal(1)


async def test_ticks_read_by_time_again_are_duplicates_and_others_of_that_millisecond_are_new(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.settle(START)
    at = START + timedelta(seconds=1)
    await terminal.ticks([(at, 1.1, 1.2), (at, 1.1, 1.3), (at, 1.1, 1.2)])
    await terminal.ticks([(at, 1.1, 1.2), (at, 1.1, 1.3), (at, 1.1, 1.2), (at, 1.1, 1.4)])
    await terminal.settle(START + BAR / 5)
    assert [quote.ask for quote in records(daemon.home, Quote)] == [1.2, 1.3, 1.2, 1.4]
    assert [record.reason for record in records(daemon.home, Quarantine)] == ["duplicate"] * 3


async def test_after_a_reconnection_the_past_is_known_and_the_last_millisecond_may_go_on(home: Path) -> None:
    at = START + timedelta(seconds=1)
    async with daemon_at(home) as daemon:
        async with daemon.terminal() as terminal:
            await terminal.hello()
            await terminal.settle(START)
            await terminal.ticks([(START, 1.1, 1.15), (at, 1.1, 1.2)])
            await terminal.settle(at)
        async with daemon.terminal() as terminal:
            terminal.now = at
            await terminal.hello()
            await terminal.ticks([(START, 1.1, 1.15), (at, 1.1, 1.2), (at, 1.1, 1.25)])
            await terminal.settle(at)
    assert [quote.ask for quote in records(home, Quote)] == [1.15, 1.2, 1.25]
    assert [record.reason for record in records(home, Quarantine)] == ["duplicate"] * 2


async def test_a_price_that_is_none_is_refused_and_the_next_one_counts(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.settle(START)
    await terminal.ticks([(START, 1e308, 1e308), (START + timedelta(seconds=1), 1.1, 1.2)])
    await terminal.settle(START + BAR / 5)
    assert [quote.ask for quote in records(daemon.home, Quote)] == [1.2]
    assert [record.reason for record in records(daemon.home, Quarantine)] == ["out_of_range"]


async def test_in_lockstep_a_time_months_ahead_is_refused_and_the_stream_goes_on_where_it_was(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.settle(START)
    far = START + timedelta(days=27_000)
    await terminal.ticks([(far, 1.1, 1.2)])
    await terminal.settle(far)
    terminal.now = START
    await terminal.step()
    assert daemon.desk().account.trader.decisions == 1
    refused = [record for record in records(daemon.home, Quarantine) if record.reason == "future"]
    assert [record.event_at for record in refused] == [START, START]
    assert "connect anew" in refused[1].subject


async def test_depth_of_market_is_asked_for_recorded_and_refused_when_it_is_none(home: Path) -> None:
    path = home / "settings.toml"
    path.write_text(path.read_text().replace('name = "paper"', 'name = "paper"\nwith_book = true'))
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.send_hello("a-token-of-the-tests")
        assert (await terminal.until(Subscribe)).with_book
        await terminal.settle(START)
        deep = tuple(BookLevel(1.1 - index * 1e-5, LOT) for index in range(300))
        for bids, asks in [
            ((BookLevel(1.1, LOT), BookLevel(1.09, LOT)), (BookLevel(1.2, LOT), BookLevel(1.21, LOT))),
            ((BookLevel(1.3, LOT),), (BookLevel(1.2, LOT),)),
            ((BookLevel(1.0, LOT), BookLevel(1.1, LOT)), ()),
            ((), (BookLevel(1.3, LOT), BookLevel(1.2, LOT))),
            (deep, ()),
            ((BookLevel(-1.0, LOT),), ()),
            ((BookLevel(1.0, Decimal("NaN")),), ()),
        ]:
            await terminal.send(BookUpdate, symbol="EURUSD", time_msc=to_ms(START), bids=bids, asks=asks)
        await terminal.send(BookUpdate, symbol="XAUUSD", time_msc=to_ms(START), bids=(), asks=())
        await terminal.settle(START)
        assert daemon.port
    (book,) = records(home, BookSnapshot)
    assert (book.bid_prices, book.ask_prices, book.bid_lots) == ((1.1, 1.09), (1.2, 1.21), (LOT, LOT))
    assert [record.reason for record in records(home, Quarantine)] == [
        "crossed", "unsorted", "unsorted", "too_many_levels", "non_positive", "invalid", "unknown_symbol",
    ]  # fmt: skip


async def test_a_deal_told_late_says_so_in_its_record(home: Path) -> None:
    async with daemon_at(home) as daemon, daemon.terminal() as terminal:
        await terminal.hello()
        await terminal.settle(START)
        terminal.fills_orders = False
        await terminal.step()
        await terminal.fill(terminal.orders[0], tell=False)
        await terminal.send(DealUpdate, deal=terminal.deals[0], account=terminal.account(), is_late=True)
        await terminal.settle(terminal.now)
        assert daemon.port
    assert [deal.is_late for deal in records(home, Deal)][:1] == [True]


@given(st.one_of(st.integers(), st.integers(0, 4_102_444_799_999)))
def test_a_time_is_sound_exactly_when_the_clocks_tables_hold_it(msc: int) -> None:
    beat = TerminalHeartbeat(session="s", seq=1, sent_msc=0, server_time_msc=msc)
    assert bool(fault_of(beat)) == (not 0 <= msc < 4_102_444_800_000)


async def test_a_quote_of_a_bar_that_closed_by_the_clock_is_late_and_changes_no_bar(
    daemon: RunningDaemon, terminal: ScriptedTerminal
) -> None:
    await terminal.settle(START)
    await terminal.step()
    await terminal.ticks([(START + BAR - timedelta(seconds=1), 1.5, 1.6)])
    await terminal.step()
    assert [record.reason for record in records(daemon.home, Quarantine)] == ["late"]
    bars = [bar for bar in records(daemon.home, Bar) if bar.timeframe == "M5" and bar.source == "quotes"]
    assert [bar.close_at for bar in bars] == [START + BAR, START + 2 * BAR]
    assert max(bar.high for bar in bars) < 1.5
