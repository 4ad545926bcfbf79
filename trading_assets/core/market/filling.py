"""Which filling an order asks for: what becomes of volume that cannot be filled at once.

A symbol's `filling_mode` is a bit mask of two policies; RETURN is no bit of it, is allowed under exchange execution, and
is forbidden under market execution. Under request and instant execution the server fills all or nothing whatever is asked for.
https://www.mql5.com/en/book/automation/symbols/symbols_execution_filling
"""

from __future__ import annotations

from typing import assert_never

from trading_assets.core.records.record import Execution, Filling

_FOK, _IOC = 1, 2


def filling_of(filling_mode: int, execution: Execution) -> Filling | None:
    """Return the filling to ask for, None when the symbol allows none.

    What is filled in part is real volume and nothing of it works on, so IOC goes before FOK, and both before RETURN.
    """
    match execution:
        case "request" | "instant":
            return "FOK"
        case "market" | "exchange":
            if filling_mode & _IOC:
                return "IOC"
            if filling_mode & _FOK:
                return "FOK"
            return "RETURN" if execution == "exchange" else None
    assert_never(execution)
