"""What a command of `trading` said, as the tests of the command line see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence of an error: nothing else may stand beside it."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert len(lines) == 1, self.err
        assert self.out == ""
        assert lines[0].startswith("trading: ")
        assert lines[0].endswith(".")
        return lines[0].removeprefix("trading: ")


Say = Callable[..., Said]
