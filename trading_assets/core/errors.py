"""The one hierarchy of errors that reach a person.

    TradingError            what happened, where, and how to fix it, in one sentence
    ├── InputError          a file, setting or argument that cannot be used
    ├── StateError          something at rest is not as it must be (journal, lake, release)
    └── UnavailableError    something outside does not answer (port, PostgreSQL, terminal)

Raised `from` their cause and printed once, at the edge, without a traceback. Defects are ordinary exceptions.
"""

from __future__ import annotations


class TradingError(Exception):
    """`operation` on `subject` failed with `problem`; `hint` says how to fix it."""

    def __init__(self, operation: str, subject: object, problem: str, hint: str) -> None:
        super().__init__(f"{operation} {subject}: {problem}; {hint}.")
        self.operation = operation
        self.subject = str(subject)
        self.problem = problem
        self.hint = hint


class InputError(TradingError):
    """A file, setting or argument cannot be used."""


class StateError(TradingError):
    """Something at rest is not as it must be."""


class UnavailableError(TradingError):
    """Something outside does not answer."""
