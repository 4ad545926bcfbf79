"""What an account holds and may trade: a contract nobody can count with is refused alone, and taken once it is mended."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from scripted_terminal import BAR, START, ScriptedTerminal, daemon_at, records, settings_text
from websockets.asyncio.client import connect

from trading_assets.core.messages import Snapshot
from trading_assets.core.records.decisions import Decision
from trading_assets.core.records.market import Quarantine
from trading_assets.core.records.trading import SymbolSpec

BOTH = ("EURUSD", "GBPUSD")


class HalfSound(ScriptedTerminal):
    """Tells one contract with values that are none."""

    broken: dict[str, Any]

    async def send(self, kind: type[Any], **fields: Any) -> int:
        if kind is Snapshot:
            first, second = fields["symbols"]
            fields = fields | {"symbols": (first, msgspec.structs.replace(second, **self.broken))}
        return await super().send(kind, **fields)


async def test_of_two_contracts_the_unsound_one_is_refused_the_other_traded_and_both_once_it_is_mended(
    home: Path,
) -> None:
    (home / "settings.toml").write_text(settings_text(symbols=BOTH))
    async with (
        daemon_at(home) as daemon,
        connect(f"ws://127.0.0.1:{daemon.port}", compression=None, max_size=None, proxy=None) as connection,
    ):
        terminal = HalfSound(connection)
        terminal.broken = {"volume_step": Decimal("NaN")}
        await terminal.hello()
        await terminal.settle(START)
        await terminal.step(BOTH)
        assert {order.symbol for order in terminal.orders} == {"EURUSD"}
        # Told again with another fault, then with the same, then mended; each time in answer to a search.
        for broken in ({"point": 0.0}, {"point": 0.0}, {}):
            terminal.broken, terminal.history_ends = broken, START
            await daemon.desk().account.reconciliation.ask()
            await terminal.settle(terminal.now)
        await terminal.settle(terminal.now)
        assert daemon.desk().is_open
        await terminal.step(BOTH)
        await terminal.settle(terminal.now)
    refused = [one for one in records(home, Quarantine) if one.reason == "unsound_contract"]
    assert [one.symbol for one in refused] == ["GBPUSD", "GBPUSD"]
    assert "volume_step is NaN, which is no amount" in refused[0].subject
    assert "point is 0, which is no step of a price" in refused[1].subject
    assert [spec.symbol for spec in records(home, SymbolSpec)] == ["EURUSD", "GBPUSD"]
    decisions = [(one.symbol, one.bar_close_at) for one in records(home, Decision)]
    assert decisions == [("EURUSD", START + BAR), ("EURUSD", START + 2 * BAR), ("GBPUSD", START + 2 * BAR)]


async def test_a_week_that_ends_in_no_week_is_refused_and_what_an_earlier_session_told_holds_no_more(
    home: Path,
) -> None:
    (home / "settings.toml").write_text(settings_text(symbols=BOTH))
    async with daemon_at(home) as daemon:
        ends = daemon.desk().account.books.week_ends
        for told, held in (({"week_end_minute": 7000}, 7000), ({"week_end_minute": 2**63 - 1}, 7000), ({}, None)):
            async with connect(f"ws://127.0.0.1:{daemon.port}", compression=None, proxy=None) as connection:
                terminal = HalfSound(connection)
                terminal.broken = told
                await terminal.hello()
                await terminal.settle(START)
                assert ends.get("GBPUSD") == held
    (refused,) = [one for one in records(home, Quarantine) if one.reason == "unsound_contract"]
    assert "week_end_minute is 9223372036854775807, which is in no week" in refused.subject
