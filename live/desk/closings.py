"""What quotes and heartbeats set going: bars close, and are decided when they close in time.

Bars that come late are told, not decided; one that a restart still owes is. How a bar is decided is `live.trading.trader`'s,
what lockstep owes the terminal `live.desk.desk`'s.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from live.desk.account import Account
from trading_assets.core.market.bars import BarValues
from trading_assets.core.messages import TerminalHeartbeat, Ticks


class Closings:
    """Closed bars of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._recorder = account.recorder
        self._feed = account.feed
        self._trader = account.trader
        self._in_time = timedelta(seconds=account.strategy.order_deadline_s)
        self._late: dict[str, tuple[int, datetime]] = {}
        self.is_lockstep = False
        """Whether the session's time is the stream's: then no bar is old."""

    async def ticks(self, message: Ticks, arrived_ns: int) -> None:
        """Take a batch of quotes."""
        if message.ticks and not message.is_late and not self.is_lockstep:
            self._account.clock_watch.arrived(message.ticks[-1].time_msc)
        for symbol, closing in self._feed.take(message):
            # The market's commit starts now and goes on while the features are computed.
            self._recorder.start_commit()
            chain = message.chain_id or self._recorder.chain(symbol)
            is_decided = await self._take(symbol, closing.bar, chain, arrived_ns, is_late=message.is_late)
            if is_decided and self.is_lockstep:
                # The rest of the batch moves the stream's time, by which orders are too late: they go first.
                await self._recorder.settled()
        self._account.clock_watch.quotes(message)

    async def heartbeat(self, message: TerminalHeartbeat, arrived_ns: int) -> None:
        """Let time pass: what has ended by it closes."""
        account, recorder = self._account, self._recorder
        at = account.rule.to_utc(message.server_time_msc)
        if not self.is_lockstep:
            account.clock_watch.arrived(message.server_time_msc)
        is_ahead = at > self._feed.latest()
        if not is_ahead:
            recorder.clock.observe(at)
        chain = message.chain_id or recorder.chain()
        if message.account is not None:
            account.holdings.account(message.account, chain)
        if self.is_lockstep:
            await account.release.follow()
        if is_ahead:
            why = (
                "far after the last; connect anew"
                if self.is_lockstep
                else "ahead of this machine's clock; set both clocks"
            )
            self._feed.quarantine("", "future", f"heartbeat of server time {message.server_time_msc}, {why}", chain)
            return
        await account.sender.retry()
        closed = self._feed.advance(at, chain)
        # The market's commit starts now and goes on while the features are computed.
        recorder.start_commit()
        for symbol, closing in closed:
            await self._take(symbol, closing.bar, chain, arrived_ns)
        if not closed:
            self._trader.take_timings()
        if len(closed) < len(self._feed.windows):
            await self._decide_owed(at, chain, arrived_ns)
        self._tell_late()

    async def _take(
        self, symbol: str, bar: BarValues, chain_id: str, arrived_ns: int, *, is_late: bool = False
    ) -> bool:
        """Decide a bar that closed now, unless it is late; returns whether it was decided."""
        if self._is_late(bar, is_late):
            self._skip(symbol, bar)
            return False
        await self._trader.decide(symbol, bar, chain_id, arrived_ns)
        return True

    async def _decide_owed(self, at: datetime, chain_id: str, arrived_ns: int) -> None:
        """Decide bars that closed just before a restart, whose decision never became durable (invariant 3)."""
        for symbol, window in self._feed.windows.items():
            bar, decided = window.last_bar, self._trader.decided_until.get(symbol)
            if bar is None or (bar.source == "history" if decided is None else bar.close_at <= decided):
                continue  # None: what quotes made before the first decision is owed one, history is not.
            if at - bar.close_at <= self._in_time:
                await self._trader.decide(symbol, bar, chain_id, arrived_ns)
            else:
                self._skip(symbol, bar)

    def _tell_late(self) -> None:
        """Say which bars came late since this was called."""
        for symbol, (count, until) in self._late.items():
            text = (
                f"{count} bars of {symbol} up to {until:%Y-%m-%d %H:%M} UTC came late; they are recorded, not decided"
            )
            self._recorder.error("live.desk.closings", text)
        self._late.clear()

    def _is_late(self, bar: BarValues, is_late: bool) -> bool:
        """Whether a bar that closed now is too old to be traded: it closed while the connection was down, or long ago."""
        if is_late or self.is_lockstep:
            return is_late
        # By either clock: an exit must not be late because this computer's is ahead, or was until a moment ago.
        ahead = min(self._account.rule.offset, timedelta(0))
        return self._recorder.clock.now() + ahead - bar.close_at > self._in_time

    def _skip(self, symbol: str, bar: BarValues) -> None:
        """Leave a late bar undecided, for good: it is on record, and a gap is absent, it is not decided later."""
        self._trader.decided_until[symbol] = bar.close_at
        self._late[symbol] = self._late.get(symbol, (0, bar.close_at))[0] + 1, bar.close_at
