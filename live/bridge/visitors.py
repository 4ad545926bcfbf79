"""What the bridge tells about its visitors, as records: access events, and refused frames in quarantine. Bounded by `live.bridge.access`.

Events of a connection that has an account stand under it and on its clock; all others under the account `unknown` and on
the daemon's. Tokens appear by the beginning of their hash alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import inf
from typing import Protocol

from live.bridge.access import AccessLog, Pauses, Visit
from live.bridge.flood import Flood
from live.bridge.protocol import Refused
from live.clock import Clock
from live.logs import log
from live.recorder import Recorder
from trading_assets.core.records.market import Quarantine
from trading_assets.core.records.operations import AccessEvent
from trading_assets.store.journal import Journal

_UNKNOWN = "unknown"
_LONGEST = 500
_REFUSED_A_MINUTE = 200


class Refusing(Protocol):
    """Where what an account's terminal sent and was refused is counted."""

    def quarantine(self, symbol: str, reason: str, subject: str, chain_id: str, count: int = 1) -> None: ...


class Visited(Protocol):
    """An account, as far as its visitors are concerned."""

    @property
    def recorder(self) -> Recorder: ...

    @property
    def feed(self) -> Refusing: ...


class Visitors:
    """The book of visitors of one daemon."""

    def __init__(
        self,
        journal: Journal,
        tenant: str,
        accounts: Mapping[str, Visited],
        clock: Clock,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._accounts = accounts
        self._now_s = now_s
        self._strange = Recorder(journal, tenant, _UNKNOWN, clock)
        self._refused: Flood[tuple[str | None, str]] = Flood(_REFUSED_A_MINUTE)
        self.log = AccessLog(self._write, now_s)
        self.pauses = Pauses(now_s)
        self.refusals = 0
        """Frames refused since the start."""

    def refuse(self, account: str | None, refused: Refused) -> None:
        """Record a refused frame; one that no account can be named for is recorded all the same."""
        self.refusals += 1
        log(account=account or _UNKNOWN).warning("a frame was refused", reason=refused.reason, problem=refused.text)
        if self._refused.passes((account, refused.reason), self._now_s()):
            self._quarantine(account, refused.reason, f"{refused.text}: {refused.subject}", 1)

    def look(self, *, is_end: bool = False) -> None:
        """Tell what was only counted in the minutes that are over; at the end, also in those that are not."""
        self.log.look(is_end=is_end)
        for surplus in self._refused.over(inf if is_end else self._now_s()):
            account, reason = surplus.key
            self._quarantine(account, reason, f"{surplus.count} more like this within a minute", surplus.count)

    def trouble(self, text: str) -> None:
        """Record what is wrong with the bridge's own files."""
        self._strange.error("live.bridge.keyring", text)

    def _write(self, visit: Visit) -> None:
        recorder = self._recorder(visit.account)
        recorder.buffer(
            [
                recorder.make(
                    AccessEvent,
                    recorder.clock.now(),
                    recorder.chain(),
                    remote=visit.remote,
                    token_id=visit.token_id,
                    session=visit.session,
                    event=visit.event,
                    detail=visit.detail[:_LONGEST],
                    occurrences=visit.count,
                )
            ]
        )

    def _quarantine(self, account: str | None, reason: str, subject: str, count: int) -> None:
        known = self._accounts.get(account or "")
        if known is not None:
            known.feed.quarantine("", reason, subject, "", count)
            return
        recorder = self._strange
        recorder.buffer(
            [
                recorder.make(
                    Quarantine,
                    recorder.clock.now(),
                    recorder.chain(),
                    symbol="",
                    reason=reason,
                    subject=subject[:_LONGEST],
                    occurrences=count,
                )
            ]
        )

    def _recorder(self, account: str | None) -> Recorder:
        known = self._accounts.get(account or "")
        return self._strange if known is None else known.recorder
