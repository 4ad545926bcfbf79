"""What the daemon looks after by the wall's clock: whatever a session brings about there ends that session alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_terminal import START, daemon_at, records

from live.bridge.link import Link
from live.desk.desk import Desk
from trading_assets.core.errors import InputError
from trading_assets.core.records.market import Quarantine
from trading_assets.core.records.operations import OpsError

_IMPOSSIBLE = InputError("reading a server time", "1 ms", "it cannot be", "correct it")


@pytest.mark.parametrize(("error", "code"), [(_IMPOSSIBLE, 1008), (ZeroDivisionError("nobody expected it"), 1011)])
async def test_what_a_terminal_brings_about_between_two_messages_ends_its_session_and_not_the_daemon(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    async def broken(_desk: Desk, _link: Link) -> None:
        raise error

    async with daemon_at(home) as daemon:
        async with daemon.terminal() as terminal:
            await terminal.hello()
            with monkeypatch.context() as while_broken:
                while_broken.setattr(Desk, "_look", broken)
                assert await terminal.closed() == code
        async with daemon.terminal() as terminal:
            await terminal.hello()
            await terminal.settle(START)
            await terminal.step()
            assert daemon.desk().account.trader.decisions == 1
    if isinstance(error, InputError):
        assert [record.subject for record in records(home, Quarantine)] == [str(error)]
    else:
        assert any("report this with the log" in record.message for record in records(home, OpsError))
