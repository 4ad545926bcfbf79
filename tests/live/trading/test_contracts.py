"""What every snapshot tells counts: contracts and account as the broker changes them while the session lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from odd_terminal import OddTerminal, odd_terminal_at
from scripted_terminal import BAR, START, RunningDaemon, daemon_at, records, settings_text

from live.market.history import bar_of
from live.trading.frames import contract_refusal
from trading_assets.core.market.clock import ClockRule
from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import AccountFacts, BarFacts, OrderUpdate
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.market import Bar, Quarantine
from trading_assets.core.records.trading import AccountSnapshot, Mark, Order, SymbolSpec


class Terminal(OddTerminal):
    """Tells the account it is told to."""

    allowed = True
    floating = Decimal(0)

    def account(self) -> AccountFacts:
        facts = super().account()
        return msgspec.structs.replace(facts, trade_allowed=self.allowed, equity=facts.balance + self.floating)


@pytest.fixture
async def daemon(home: Path) -> AsyncIterator[RunningDaemon]:
    (home / "settings.toml").write_text(settings_text())
    async with daemon_at(home) as running:
        yield running


@pytest.fixture
async def terminal(daemon: RunningDaemon) -> AsyncIterator[Terminal]:
    async with odd_terminal_at(daemon.port) as odd:
        made = Terminal(odd.connection)
        await made.hello()
        await made.settle(START)
        yield made


async def search(daemon: RunningDaemon, terminal: Terminal) -> None:
    """Let the daemon ask for a snapshot and deals, twice: what happens between two answers can look like a difference."""
    for _ in range(2):
        await daemon.desk().account.reconciliation.ask()
        await terminal.settle(terminal.now)


async def flat_after(daemon: RunningDaemon, terminal: Terminal, **contract: object) -> Decision:
    """Open and lose the first position, tell another contract in a search, and return the next decision."""
    await terminal.step()
    await terminal.stop_out(next(iter(terminal.positions)), "TP")
    terminal.orders.clear()
    terminal.contract = dict(contract)
    await search(daemon, terminal)
    await terminal.step()
    await terminal.settle(terminal.now)
    return records(daemon.home, Decision)[-1]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("contract", "reason"),
    [
        ({"trade_mode": "close_only"}, "the broker lets positions on this symbol be closed only"),
        ({"trade_mode": "disabled"}, "the broker has switched trading on this symbol off"),
        ({"filling_mode": 0}, "the symbol allows no filling"),
        ({"volume_min": Decimal(40), "volume_step": Decimal(1)}, "no volume"),
        ({"volume_max": Decimal("NaN")}, "what the broker allows is not known: contract of EURUSD.volume_max is NaN"),
    ],
)
async def test_what_the_contract_told_last_forbids_is_not_sent_and_the_decision_says_why(
    daemon: RunningDaemon, terminal: Terminal, contract: dict[str, object], reason: str
) -> None:
    decision = await flat_after(daemon, terminal, **contract)
    assert decision.action == "NONE"
    assert reason in " ".join(decision.reasons) or any(
        reason in verdict.reason for verdict in decision.filters if verdict.verdict == "block"
    )
    assert not terminal.orders
    told = [spec.spec for spec in records(daemon.home, SymbolSpec) if spec.symbol == "EURUSD"]
    if "NaN" in reason:
        # What nobody can count with is not taken, and told once.
        assert len(told) == 1
        assert len([one for one in records(daemon.home, Quarantine) if one.reason == "unsound_contract"]) == 1
        return
    assert len(told) == 2
    assert {name: getattr(told[-1], name) for name in contract} == contract
    assert decision.inputs.symbol_state == told[-1]


async def test_a_wider_stops_level_and_another_tick_value_hold_at_the_next_decision(
    daemon: RunningDaemon, terminal: Terminal
) -> None:
    decision = await flat_after(daemon, terminal, stops_level=500, trade_tick_value=Decimal(2))
    (order,) = terminal.orders
    assert abs(order.price - order.sl) >= 0.005
    first = records(daemon.home, Order)[0]
    risk = abs(Decimal(str(order.price)) - Decimal(str(order.sl))) / Decimal("0.00001") * 2 * order.volume
    assert risk <= decision.inputs.account_state.equity / 100
    assert order.volume < first.volume_lots


async def test_a_tick_value_that_moves_with_the_rate_counts_at_once_and_is_recorded_when_it_moved_far(
    daemon: RunningDaemon, terminal: Terminal
) -> None:
    specs = daemon.desk().account.books.specs
    for told, recorded in (("1.005", 1), ("1.009", 1), ("1.011", 2), ("1.005", 2)):
        terminal.contract = {"trade_tick_value": Decimal(told)}
        await search(daemon, terminal)
        assert specs["EURUSD"].tick_value == Decimal(told)
        assert len([one for one in records(daemon.home, SymbolSpec) if one.symbol == "EURUSD"]) == recorded


async def test_a_day_has_its_contracts_on_record_though_nothing_changed(
    daemon: RunningDaemon, terminal: Terminal
) -> None:
    await terminal.settle(START + timedelta(days=1))
    await search(daemon, terminal)
    assert [one.event_at.date().day for one in records(daemon.home, SymbolSpec) if one.symbol == "EURUSD"] == [9, 10]


async def test_an_open_trade_is_valued_by_the_contract_told_last(daemon: RunningDaemon, terminal: Terminal) -> None:
    await terminal.step()
    assert terminal.positions
    terminal.contract = {"trade_tick_value": Decimal(2)}
    await search(daemon, terminal)
    await terminal.step()
    marks = records(daemon.home, Mark)
    (held,) = terminal.positions.values()
    for mark, value in ((marks[0], 1), (marks[-1], 2)):
        points = (Decimal(str(mark.bid)) - Decimal(str(held.price_open))) / Decimal("0.00001")
        assert abs(mark.unrealised_pnl - points * value * held.volume) <= Decimal("0.01")


async def test_the_account_of_a_snapshot_counts_like_that_of_a_heartbeat(
    daemon: RunningDaemon, terminal: Terminal
) -> None:
    await terminal.step()
    await terminal.stop_out(next(iter(terminal.positions)), "TP")
    terminal.orders.clear()
    terminal.allowed, terminal.floating = False, Decimal(-4000)
    await search(daemon, terminal)
    await terminal.step()
    decision = records(daemon.home, Decision)[-1]
    assert not terminal.orders
    state = decision.inputs.account_state
    assert (state.trade_allowed, state.equity) == (False, terminal.balance - 4000)
    assert {"drawdown_stop", "drawdown_halve"} <= {one.breaker for one in decision.breakers if one.is_tripped}
    told = records(daemon.home, AccountSnapshot)
    assert (told[-1].is_trade_allowed, told[-1].equity) == (False, terminal.balance - 4000)
    # Told again and unchanged it is no news.
    await search(daemon, terminal)
    assert len(records(daemon.home, AccountSnapshot)) == len(told)


async def test_a_changed_point_leaves_the_charts_unit_as_it_was_also_after_a_restart(home: Path) -> None:
    (home / "settings.toml").write_text(settings_text(mode="observe"))
    finer = {"digits": 6, "point": 0.000001, "trade_tick_size": 0.000001}
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step()
        terminal.contract = finer
        await daemon.desk().account.reconciliation.ask()
        await terminal.settle(terminal.now)
        await terminal.step()
        assert daemon.desk().account.books.specs["EURUSD"].point == 0.000001
        now = terminal.now
    async with daemon_at(home) as daemon, odd_terminal_at(daemon.port) as terminal:
        terminal.contract, terminal.now = finer, now
        await terminal.hello()
        await terminal.settle(now)
        await terminal.step()
    made = [bar for bar in records(home, Bar) if bar.source == "quotes" and bar.timeframe == "M5"]
    assert [bar.open_at for bar in made] == [START, START + BAR, START + 2 * BAR]
    assert {(bar.spread_min_points, bar.spread_max_points) for bar in made} == {(10, 10)}
    assert {(one.spec.point, one.chart_point) for one in records(home, SymbolSpec) if one.symbol == "EURUSD"} == {
        (0.00001, 0.00001),
        (0.000001, 0.00001),
    }


def test_spreads_of_a_terminals_history_are_converted_to_the_charts_unit() -> None:
    facts = BarFacts(time_msc=to_ms(START), open=1.1, high=1.2, low=1.0, close=1.1, tick_volume=7, spread=120)
    bar = bar_of(facts, "EURUSD", "M5", 0.000001, ClockRule.parse("utc"), 0.00001)
    assert bar is not None
    assert (bar.spread_min_points, bar.spread_max_points, bar.spread_sum_points) == (12, 12, 84)
    assert bar.ask_close == pytest.approx(1.10012)
    wide = msgspec.structs.replace(facts, spread=2**31 - 1)
    assert bar_of(wide, "EURUSD", "M5", 0.1, ClockRule.parse("utc"), 0.00001) is None


async def test_an_order_that_the_contract_forbids_by_now_is_not_sent(daemon: RunningDaemon, terminal: Terminal) -> None:
    await terminal.step()
    order, spec = records(daemon.home, Order)[0], daemon.desk().account.books.specs["EURUSD"]
    assert contract_refusal(order, spec) == ""
    for change, words in (
        ({"trade_mode": "short_only"}, "trade mode of EURUSD is short_only"),
        ({"trade_mode": "close_only"}, "trade mode of EURUSD is close_only"),
        ({"volume_max": Decimal("0.10")}, "from 0.01 to 0.10 lots in steps of 0.01"),
        ({"volume_min": Decimal(1), "volume_step": Decimal(1)}, "from 1 to 50 lots in steps of 1"),
        ({"filling_mode": 0}, "allows no filling"),
    ):
        assert words in contract_refusal(order, msgspec.structs.replace(spec, **change))


async def test_a_refusal_by_the_contracts_terms_asks_for_the_contract_at_once(
    daemon: RunningDaemon, terminal: Terminal
) -> None:
    terminal.fills_orders = False
    await terminal.step()
    terminal.contract = {"trade_mode": "close_only"}
    (order,) = terminal.orders
    await terminal.send(OrderUpdate, request_id=order.request_id, retcode=10044, order=None, comment="only closing")
    await terminal.settle(terminal.now)
    assert daemon.desk().account.books.specs["EURUSD"].trade_mode == "close_only"
