"""A second terminal with the same token that says hello while the first one is connected (`Faults.twin_connection`).

It says what became of it: the code of the daemon's refusal, `welcome`, or `closed`. It does nothing else.
"""

from __future__ import annotations

from pathlib import Path

from live.paper.link import LinkLost, open_link
from live.paper.session import BUILD
from trading_assets.core.errors import InputError
from trading_assets.core.messages import AccountFacts, Hello, Refusal, Welcome

_PATIENCE_S = 10.0


async def meet_twin(url: str, ca: Path | None, token: str, account: AccountFacts, now_msc: int) -> str:
    """Connect as the twin of a connected terminal and return how the daemon received it."""
    try:
        link = await open_link(url, lambda: now_msc, ca=ca)
    except (LinkLost, InputError):
        return "closed"
    try:
        await link.send(Hello, token=token, build=BUILD, account=account, server_time_msc=now_msc, lockstep=False)
        match await link.receive(_PATIENCE_S):
            case Refusal(code=code):
                return code
            case Welcome():
                return "welcome"
            case _:
                return "closed"
    except LinkLost:
        return "closed"
    finally:
        await link.close()
