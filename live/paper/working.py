"""Orders that are at the trade server and not done: how they will end, and when.

A command answered 10008 becomes one, so does the rest of a partial fill that may go on working, and a pending order of
a person. Values only: `broker` carries them out, `book` keeps them over restarts.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from trading_assets.core.messages import CloseCommand, OrderCommand, OrderFacts

Ending = Literal["whole", "halves", "part", "cancelled", "expired", "rests"]
"""Filled at once, half by half, half and the rest cancelled; not filled; or, of a person's, left until it is withdrawn."""


class Working(msgspec.Struct, frozen=True, kw_only=True):
    """One working order."""

    order: OrderFacts
    command: OrderCommand | CloseCommand | None
    """What it carries out; None for a person's."""
    ending: Ending
    due_msc: int
    """Server time from which the next thing happens to it."""
    wait_ms: int
    """Time between the first half and the second."""
