"""The pages that are generated from the declarations, and where they are kept: JSON Schemas and dbt's sources.

`python -m trading_assets.documents` writes them; a test fails when a page in the repository is not the generated one.
What they say comes from `core.schemas` and `core.dbt_sources`.
"""

from __future__ import annotations

import json
from pathlib import Path

from trading_assets.core.dbt_sources import source_files
from trading_assets.core.schemas import json_schemas

CHECKOUT = Path(__file__).resolve().parents[1]


def documents() -> dict[Path, str]:
    """Return every generated page by its path within the checkout."""
    schemas = {
        Path("docs/schemas") / f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in json_schemas().items()
    }
    sources = {Path("dbt_project/models/sources") / f"{stage}.yml": text for stage, text in source_files().items()}
    return schemas | sources


def stale(checkout: Path) -> list[Path]:
    """Return the pages that are missing or not as generated, and the generated ones that are no longer made."""
    made = documents()
    differing = [path for path, text in made.items() if _text(checkout / path) != text]
    folders = {path.parent for path in made}
    surplus = [
        found.relative_to(checkout) for folder in folders for found in (checkout / folder).glob("*") if found.is_file()
    ]
    return sorted({*differing, *(path for path in surplus if path not in made)})


def write(checkout: Path) -> list[Path]:
    """Write what is stale, remove what is no longer made, and return both."""
    changed, made = stale(checkout), documents()
    for path in changed:
        target = checkout / path
        if path in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(made[path], encoding="utf-8", newline="\n")
        else:
            target.unlink()
    return changed


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    for page in write(CHECKOUT):
        print(page)
