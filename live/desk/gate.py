"""When a session's quotes may be looked at: once its charts' history, its positions and its deals are there.

Filling charts is `live.market.opening`'s, comparing positions and deals `live.trading.reconciliation`'s; here is what waits for
what.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from live.bridge.link import Link
from live.desk.account import Account
from live.trading.reconciliation import BREAKER
from trading_assets.core.messages import Snapshot, TerminalHeartbeat, Ticks
from trading_assets.core.records.record import Record


class Gate:
    """Shut at the beginning of each session."""

    def __init__(
        self,
        account: Account,
        answer_timeout_s: float,
        market: Callable[[Ticks | TerminalHeartbeat, int], Awaitable[None]],
    ) -> None:
        """`market` takes a quote or heartbeat that waited."""
        self._account = account
        self._recorder = account.recorder
        self._opening = account.opening
        self._clock = account.clock_watch
        self._reconciliation = account.reconciliation
        self._answer_timeout_s = answer_timeout_s
        self._market = market
        self._is_opening = False
        self._charted: set[str] = set()
        self.is_open = False
        """Whether quotes are looked at."""

    def shut(self) -> None:
        """A session begins or has ended."""
        self.is_open = self._is_opening = False

    def distrust(self, cause: str) -> None:
        """Stop entries until our view and the terminal's were compared."""
        changes = self._account.books.risk.trip(BREAKER, cause, self._recorder.clock.now())
        self._recorder.commit(self._recorder.breaker_events(changes))

    async def snapshot(self, message: Snapshot, link: Link) -> None:
        """The first one of a session opens it; later ones answer a search."""
        self._reconciliation.snapshot(message)
        account, holdings = self._account, self._account.holdings
        books = account.books
        records: list[Record] = [
            holdings.position_record(facts, message.chain_id, books.trades.by_position(facts.identifier))
            for facts in message.positions
        ]
        if self._opening.is_begun:
            # All of it counts, as in the first one: the terminal may tell nothing else of what has changed.
            records += account.contracts.take(message.symbols, message.chain_id, is_first=False)
            records += holdings.snapshot_account(message.account, message.chain_id)
            made = self._opening.make_windows(books.chart_points, {}, [])
            self._recorder.commit([*records, *made])
            if any(symbol not in self._charted for symbol in account.feed.windows):
                # A contract was mended: its charts are filled before anything more is looked at.
                self._charted = set(account.feed.windows)
                self.is_open = False
                await self._opening.ask(link)
            return
        records += account.contracts.take(message.symbols, message.chain_id, is_first=True)
        records += holdings.snapshot_account(message.account, message.chain_id)
        records += self._opening.make_windows(books.chart_points, account.past_bars, account.past_quotes)
        account.past_bars, account.past_quotes = {}, []
        records += books.trades.follow_on()
        self._recorder.commit(records)
        self._charted = set(account.feed.windows)
        await self._opening.ask(link)
        await self._clock.ask(link)
        await self._reconciliation.ask()
        await self.try_to_open()

    async def try_to_open(self) -> None:
        """Look at quotes once history, positions and deals are there."""
        opening = self._opening
        is_asking = self._reconciliation.is_asking or self._clock.is_asking
        is_waiting = not opening.is_begun or not opening.is_answered or is_asking
        if self.is_open or self._is_opening or is_waiting:
            return
        self._is_opening = True
        await self._recorder.append(opening.finish())
        if not self._reconciliation.is_done_once:
            self.distrust("positions and deals could not be asked for")
        self._account.tell_missed()
        # What arrives meanwhile waits behind what waits already.
        while opening.waiting:
            await self._market(*opening.waiting.popleft())
        self.is_open, self._is_opening = True, False

    async def query(self, what: str, link: Link) -> bool:
        """Ask the terminal for deals in full, or for the bars since the last one; returns whether it is asked."""
        if self._reconciliation.is_asking or not self.is_open:
            return False
        if what == "deals":
            await self._reconciliation.ask(in_full=True)
        else:
            self.is_open = False
            await self._opening.ask(link)
            await self.try_to_open()
        return True

    async def resume(self, cause: str, link: Link) -> None:
        """Time has passed of which nothing is known: positions, deals and bars are asked for before more is looked at."""
        self.distrust(cause)
        self.is_open = False
        self._reconciliation.give_up()
        await self._reconciliation.ask()
        await self._opening.ask(link)

    async def look(self, link: Link) -> None:
        """By the clock on the wall: what the terminal does not answer is asked again, or gone without."""
        if not self._opening.is_begun or self.is_open or self._is_opening:
            return
        if self._opening.look() > self._answer_timeout_s:
            await self._opening.ask_again(link)
            self._clock.give_up()
            self._reconciliation.give_up()
            await self.try_to_open()
