"""`trading retain`: old segments compressed and removed, once or again and again until it is told to stop."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from trading_assets.core.errors import TradingError
from trading_assets.store.home import Home
from trading_assets.store.journal_retention import Retained
from trading_assets.store.journal_retention import retain as retain_once


def retain(home: Home, market_days: int) -> dict[str, Any]:
    """Do one pass and return what it did."""
    return asdict(retain_once(home, datetime.now(UTC).date(), market_days))


def retain_every(home: Home, market_days: int, seconds: float, tell: Callable[[dict[str, Any]], None]) -> None:
    """Do a pass now and every so many seconds, until Ctrl-C or a request to end; a pass under way is finished."""
    stop = threading.Event()
    wanted = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        wanted.append(signal.SIGBREAK)
    for one in wanted:
        signal.signal(one, lambda *_: stop.set())
    while not stop.is_set():
        if home.raw.is_dir():
            try:
                tell(retain(home, market_days))
            except TradingError as error:
                tell(asdict(Retained(problems=(str(error),))))
        stop.wait(seconds)
