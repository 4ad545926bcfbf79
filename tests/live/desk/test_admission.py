"""Whose account it is: that of the first session, until a person says that another one is meant."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scripted_terminal import PATIENCE_S, START, RunningDaemon, ScriptedTerminal, daemon_at, records, settings_text
from websockets.asyncio.client import connect

from trading_assets.core.market.timeframes import to_ms
from trading_assets.core.messages import AccountFacts, DealFacts, TerminalHeartbeat
from trading_assets.core.records.market import Quarantine
from trading_assets.core.records.trading import AccountChange, CommandResult, Deal, Session
from trading_assets.store.control import Command, put_command


class Terminal(ScriptedTerminal):
    """Logged in to the account it is told to be."""

    who: dict[str, Any]

    def account(self) -> AccountFacts:
        return msgspec.structs.replace(super().account(), **self.who)


def deposit(ticket: str, amount: str) -> DealFacts:
    return DealFacts(
        ticket=ticket, order="0", position_id="0", magic="0", symbol="", kind="BALANCE", entry="IN", reason="CLIENT",
        volume=Decimal(0), price=0.0, profit=Decimal(amount), commission=Decimal(0), swap=Decimal(0), fee=Decimal(0),
        time_msc=to_ms(START - timedelta(days=1)), comment="deposit",
    )  # fmt: skip


async def session(daemon: RunningDaemon, steps: int = 1, **who: Any) -> ScriptedTerminal:
    """Play some bars as an account that its own deposit made."""
    async with connect(f"ws://127.0.0.1:{daemon.port}", compression=None, proxy=None) as connection:
        terminal = Terminal(connection)
        terminal.who = who
        terminal.deals = [deposit("d1000", "10000")]
        await terminal.hello()
        await terminal.settle(START)
        for _ in range(steps):
            await terminal.step()
        await terminal.settle(terminal.now)
    link = daemon.desk().link
    if link is not None:
        await daemon.desk().leave(link)
    return terminal


async def refused(daemon: RunningDaemon, **who: Any) -> str:
    """Say hello as another account; returns the sentence of the refusal."""
    async with connect(f"ws://127.0.0.1:{daemon.port}", compression=None, proxy=None) as connection:
        terminal = Terminal(connection)
        terminal.who = who
        await terminal.send_hello("a-token-of-the-tests")
        await terminal.closed()
    (refusal,) = terminal.refusals()
    assert refusal.code == "wrong_login"
    assert not terminal.orders
    return refusal.text


async def accept(daemon: RunningDaemon) -> tuple[bool, str]:
    return await daemon.desk().accept_account()


@pytest.mark.parametrize(
    "who",
    [{"login": "20002"}, {"server": "Scripted-2"}, {"currency": "EUR"}, {"margin_mode": "netting"}],
    ids=["login", "server", "currency", "mode"],
)
async def test_another_account_is_refused_also_after_a_restart(home: Path, who: dict[str, str]) -> None:
    (home / "settings.toml").write_text(settings_text())
    async with daemon_at(home) as daemon:
        await session(daemon)
        told = await refused(daemon, **who)
        assert "account paper is 10001 on Scripted-1 (USD, hedging)" in told
        assert next(iter(who.values())) in told
    async with daemon_at(home) as daemon:
        assert await refused(daemon, **who) == told
        # Another leverage or broker's name is the same account.
        await session(daemon, 0, leverage=30, company="Tests Ltd")
    assert {one.login for one in records(home, Session)} == {"10001"}
    assert {one.reason for one in records(home, Quarantine)} == {"wrong_login"}


async def test_an_account_that_changes_within_a_session_ends_it(home: Path) -> None:
    (home / "settings.toml").write_text(settings_text())
    async with (
        daemon_at(home) as daemon,
        connect(f"ws://127.0.0.1:{daemon.port}", compression=None, proxy=None) as connection,
    ):
        terminal = Terminal(connection)
        terminal.who = {}
        await terminal.hello()
        await terminal.settle(START)
        other = msgspec.structs.replace(terminal.account(), login="20002", equity=Decimal(5))
        await terminal.send(TerminalHeartbeat, server_time_msc=to_ms(START), account=other)
        await terminal.closed()
        (refusal,) = terminal.refusals()
        assert "it was 10001 on Scripted-1 (USD, hedging), it is 20002 on Scripted-1" in refusal.text
        assert daemon.desk().account.books.risk.equity != Decimal(5)


async def test_an_accepted_account_begins_with_empty_books_and_its_deals_are_its_own(home: Path) -> None:
    (home / "settings.toml").write_text(settings_text())
    other = {"login": "20002", "server": "Scripted-2"}
    async with daemon_at(home) as daemon:
        first = await session(daemon)
        assert first.positions
        assert (await accept(daemon))[0] is False
        await refused(daemon, **other)
        is_done, answer = await accept(daemon)
        assert is_done
        assert "its books begin anew; 1 open trades of the earlier one are no longer followed" in answer
        books = daemon.desk().account.books
        assert (books.trades.open_trades(), books.risk.equity, len(books.trades.known)) == ([], None, 0)
    async with daemon_at(home) as daemon:
        assert "20002 on Scripted-2" in await refused(daemon)  # The earlier one is another account now.
        second = await session(daemon, 2, **other)
        assert {deal.ticket for deal in second.deals} == {deal.ticket for deal in first.deals} == {"d1000", "d1001"}
        books = daemon.desk().account.books
        assert len(books.trades.open_trades()) == 1
        assert not [state for state in books.risk.tripped if state.breaker in ("reconciliation", "drawdown_stop")]
    (change,) = records(home, AccountChange)
    assert (change.login, change.former_login, change.is_renamed, change.cause) == (
        "20002", "10001", False, "by a person's command",
    )  # fmt: skip
    deals = records(home, Deal)
    assert [deal.deal_ticket for deal in deals if "end:" not in deal.deal_ticket] == [
        "d1000", "d1001", "20002@Scripted-2:d1000", "20002@Scripted-2:d1001",
    ]  # fmt: skip
    # The ledger's sum is what the present account holds: the earlier one's money was taken out.
    assert sum(deal.profit + deal.commission for deal in deals) == second.balance


async def test_the_same_login_on_a_renamed_server_goes_on_once_it_is_accepted(home: Path) -> None:
    (home / "settings.toml").write_text(settings_text())
    async with daemon_at(home) as daemon:
        await session(daemon)
        await refused(daemon, server="Scripted-1b")
        put_command(home / "control", Command("one", "account_accept", "paper"))
        async with asyncio.timeout(PATIENCE_S):
            while not (answers := await asyncio.to_thread(records, home, CommandResult)):
                continue
        assert "its books go on" in answers[0].answer
        assert len(daemon.desk().account.books.trades.open_trades()) == 1
        await session(daemon, 0, server="Scripted-1b")
    assert [one.is_renamed for one in records(home, AccountChange)] == [True]
    assert len(records(home, Deal)) == 2
    assert [one.server for one in records(home, Session)] == ["Scripted-1", "Scripted-1b"]


async def test_the_login_of_the_settings_is_a_persons_word_and_another_currency_never_shares_a_ledger(
    home: Path,
) -> None:
    (home / "settings.toml").write_text(settings_text())
    async with daemon_at(home) as daemon:
        await session(daemon, 0)
    named = settings_text().replace('clock = "utc"', 'clock = "utc"\nlogin = "20002"')
    (home / "settings.toml").write_text(named)
    async with daemon_at(home) as daemon:
        assert "account paper is 20002; log in there" in await refused(daemon)
        told = await refused(daemon, login="20002", currency="EUR")
        assert "an account in another currency needs its own [[accounts]] entry" in told
        await session(daemon, 0, login="20002")
    assert [one.cause for one in records(home, AccountChange)] == ["the settings name its login"]
