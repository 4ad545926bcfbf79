"""`trading prepare` and `trading schemas`: files that are generated, some once per machine, some once per change.

The dbt manifest holds absolute paths, so each machine makes its own. JSON Schemas, dbt sources and the page of tasks are
in the repository; a test holds them against their source.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from trading_assets import documents
from trading_assets.core.errors import StateError

TASKS_PAGE = Path("docs/tasks.md")


def prepare(project: Path) -> None:
    """Generate dbt's manifest and, beside it, the parsed project every later run of dbt starts from.

    Raises StateError with dbt's own words when it cannot parse the project.
    """
    folder = project / "dbt_project"
    dbt = Path(sys.executable).with_name("dbt.exe" if os.name == "nt" else "dbt")
    command = [str(dbt), "--no-use-colors", "parse", "--project-dir", str(folder), "--profiles-dir", str(folder)]
    environment = {**os.environ, "DBT_LOG_PATH": str(folder / "target")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        words = [line for line in done.stdout.splitlines() if line.strip()]
        raise StateError("preparing", folder, words[-1] if words else "dbt said nothing", "mend the dbt project")


def generated(project: Path, *, write: bool) -> list[str]:
    """Return the generated pages that are out of date, written anew when `write` says so."""
    from trading_assets.defs.tasks import page

    changed = [str(path) for path in (documents.write(project) if write else documents.stale(project))]
    tasks = project / TASKS_PAGE
    if not tasks.is_file() or tasks.read_text(encoding="utf-8") != page():
        changed.append(str(TASKS_PAGE))
        if write:
            tasks.parent.mkdir(parents=True, exist_ok=True)
            tasks.write_text(page(), encoding="utf-8", newline="\n")
    return changed
