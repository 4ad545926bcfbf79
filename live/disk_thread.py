"""A thread for calls that touch a disk: a folder that hangs, as one of a network may, must not hold up the event loop.

What is called there may use nothing that belongs to the loop; its result comes back to whoever awaits it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")
_Job = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class DiskThread:
    """One thread, started with the first call; calls are carried out one after the other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[[], Result]) -> Result:
        """Return what the function returns, or raise what it raises."""
        if self._thread is None:
            # A daemon thread: one that hangs must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._jobs.put((function, loop, future))
        return await future

    def close(self) -> None:
        """Let the thread end once it has done what was asked. Closing twice is harmless."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread = None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, loop, future = job
            try:
                result, error = function(), None
            except Exception as raised:  # noqa: BLE001 - raised again where the result is awaited
                result, error = None, raised
            # Nobody waits any more once the loop is closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
