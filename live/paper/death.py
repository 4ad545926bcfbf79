"""The end of the process as by SIGKILL, on purpose: at a step of a command's life (`Faults.dies_at`) or by an event of the script.

The death is counted in the state before, so that a terminal started again with the same faults lives on.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from live.paper.faults import Faults, Step
from live.paper.state import State

_KILLED = 137


class Death:
    """Waits for the step it was ordered for."""

    def __init__(self, faults: Faults, state: State) -> None:
        self._faults = faults
        self._state = state
        self._commands = 0

    def at(self, step: Step) -> None:
        """Die when this is the step; `received` begins a new command."""
        self._commands += step == "received"
        faults = self._faults
        if faults.dies_at == step and self._commands == faults.dies_on and self._state.deaths < faults.deaths:
            self._state.count_death()
            die()


def die() -> NoReturn:
    """End the process without anything being put in order."""
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(_KILLED)  # Windows has no SIGKILL; this too runs no handler and flushes nothing.
