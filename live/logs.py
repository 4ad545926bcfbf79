"""The daemon's log: one JSON object a line on standard error, bounded, without secrets.

The journal is the record of what happened; the log is for the person who looks at the process. Loggers are made here
and used anywhere in `live`; where their lines go is decided once, by `written` in `live.__main__`. Lines of
libraries take the same way.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

LEVELS = ("debug", "info", "warning", "error")
NAME = "live"
MOST_LINES = 20
"""Lines of one event within `WINDOW_S`; what is more is counted and told with the next line that is let through."""
WINDOW_S = 60.0
LONGEST_TEXT = 2000
"""Characters of one value; the rest is cut off."""

_MOST_EVENTS = 1000
_SECRET_NAMES = frozenset({"token", "password", "secret", "authorization"})

Fields = MutableMapping[str, Any]
Log = structlog.stdlib.BoundLogger


def log(**context: Any) -> Log:
    """Return a logger whose lines carry the context: account, session, chain_id."""
    logger: Log = structlog.wrap_logger(
        logging.getLogger(NAME),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
    )
    return logger.bind(**context)


class Flood(logging.Filter):
    """Lets so many lines of one event through in a window of time, and counts all of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}
        self.lines: Counter[str] = Counter()
        """Lines by level, held back ones included."""
        self.suppressed = 0
        self._untold = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line may be written; the one that may after others could not says how many."""
        self.lines[record.levelname.lower()] += 1
        event = record.msg.get("event", "") if isinstance(record.msg, dict) else record.msg
        key, now = (record.name, str(event)), self._clock()
        began, count = self._windows.get(key, (now, 0))
        if now - began >= WINDOW_S:
            began, count = now, 0
        if len(self._windows) > _MOST_EVENTS:
            self._windows.clear()
        self._windows[key] = (began, count + 1)
        if count >= MOST_LINES:
            self.suppressed += 1
            self._untold += 1
            return False
        record.suppressed = self._untold
        self._untold = 0
        return True


FLOOD = Flood()
"""The bound of this process' log; its counts are metrics."""


@contextmanager
def written(level: str, stream: TextIO, flood: Flood = FLOOD) -> Iterator[None]:
    """Write all lines to a stream, as JSON, until the block ends: once, around the life of the process."""
    shared = [_time, _bounded, _without_secrets]
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[
            _untold,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            *shared,
            structlog.processors.JSONRenderer(sort_keys=False, default=str),
        ],
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(flood)
    # On lower levels libraries write whole frames, and the first frame of a session holds the token.
    levels = {"": "WARNING", NAME: level.upper(), "websockets": "WARNING", "asyncio": "WARNING"}
    before = {name: logging.getLogger(name).level for name in levels}
    for name, wanted in levels.items():
        logging.getLogger(name).setLevel(wanted)
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(handler)
        for name, kept in before.items():
            logging.getLogger(name).setLevel(kept)


def _untold(_logger: Any, _name: str, fields: Fields) -> Fields:
    if suppressed := getattr(fields.get("_record"), "suppressed", 0):
        fields["suppressed"] = suppressed
    return fields


def _time(_logger: Any, _name: str, fields: Fields) -> Fields:
    now = time.time()
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return {"at": f"{at}.{int(now * 1000) % 1000:03d}Z", **fields}


def _bounded(_logger: Any, _name: str, fields: Fields) -> Fields:
    return {name: value[:LONGEST_TEXT] if isinstance(value, str) else value for name, value in fields.items()}


def _without_secrets(_logger: Any, _name: str, fields: Mapping[str, Any]) -> Fields:
    return {name: "(secret)" if name.lower() in _SECRET_NAMES else value for name, value in fields.items()}
