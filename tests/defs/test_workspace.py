"""A fresh clone: the workspace loads and the generated pages are up to date, with nothing set in the environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from played import PROJECT, environment, trading

from trading_assets.cli.environment import beside_python

pytestmark = pytest.mark.timeout(300)


WORKSPACE = str(PROJECT / "workspace.yaml")


def test_the_workspace_loads_with_nothing_set(tmp_path: Path) -> None:
    # Elsewhere, for Dagster takes the dagster.yaml of the folder it is started in, and ours asks for PostgreSQL.
    done = subprocess.run(
        [beside_python("dagster"), "definitions", "validate", "-w", WORKSPACE],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Validation successful for code location trading_assets" in done.stdout + done.stderr


def test_everything_generated_is_up_to_date() -> None:
    done = trading("schemas", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "up to date" in done.stdout
