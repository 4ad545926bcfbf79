"""`trading` in this process, as a person gives it: arguments in, exit code, answer and sentence out."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from said import Said, Say

with warnings.catch_warnings():
    # What dagster-dbt and Dagster say at import; a person's screen never shows it either.
    warnings.simplefilter("ignore")
    import trading_assets.definitions  # noqa: F401

from trading_assets.cli import main


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Say]:
    """Gives a command and returns what it said. The environment it sets is put back."""
    before = dict(os.environ)

    def run(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["trading", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended, warnings.catch_warnings():
            main()
        said = capsys.readouterr()
        code = ended.value.code
        return Said(0 if code is None else int(code), said.out, said.err)

    yield run
    os.environ.clear()
    os.environ.update(before)
