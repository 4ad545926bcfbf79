#!/bin/bash
# A Delta table in a folder with a blank, an accent or a `#` in its path is written by deltalake and not found by Polars:
# `DeltaTable.file_uris()` percent-encodes the folder, and `polars.scan_delta` opens what it says letter by letter. In a folder
# whose name holds `%41`, deltalake itself looks in `A`; below one named `key=value`, Polars takes that for a partition.
# Where it holds a `#` or a `?`, `DeltaTable.history()` is empty, without an error.
# Ends with 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet deltalake==1.6.6 polars==2.1.0 pyarrow==25.0.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import deltalake
import polars as pl

print("deltalake", deltalake.__version__, "polars", pl.__version__)
seen = {}
for name in ("plain", "a b", "José", "hash#", "pct%41", "env=prod"):
    table = Path(sys.argv[1]) / name / "table"
    table.parent.mkdir()
    rows = pl.DataFrame({"day": ["monday"], "value": [1]})
    try:
        deltalake.write_deltalake(str(table), rows.to_arrow(), partition_by=["day"])
        commits = len(deltalake.DeltaTable(str(table)).history())
        seen[name] = f"{pl.scan_delta(str(table)).collect().height} row"
    except Exception as error:
        seen[name] = type(error).__name__
    if name in ("plain", "a b", "hash#"):
        seen[f"commits of {name}"] = commits
    print(f"{name:10} {seen[name]:28} {seen.get(f'commits of {name}', '')}")
expected = {
    "plain": "1 row", "a b": "FileNotFoundError", "José": "FileNotFoundError", "hash#": "FileNotFoundError",
    "commits of plain": 1, "commits of a b": 1, "commits of hash#": 0, "pct%41": "DeltaError", "env=prod": "SchemaFieldNotFoundError",
}
sys.exit(seen != expected)
PYTHON
