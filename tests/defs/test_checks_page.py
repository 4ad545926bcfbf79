"""The page for people names every check there is, and each repair's check."""

from __future__ import annotations

import re
from pathlib import Path

from trading_assets.core.repairs import LADDERS
from trading_assets.defs.checks import CHECK_LIST

ROOT = Path(__file__).resolve().parents[2]
NAMED_IN_CODE = re.compile(r'(?:about_table\(\s*|check=)"([a-z_.]+)"')


def test_every_check_stands_on_its_page() -> None:
    page = (ROOT / "docs" / "self-check.md").read_text(encoding="utf-8")
    code = [
        path.read_text(encoding="utf-8") for half in ("trading_assets", "live") for path in (ROOT / half).rglob("*.py")
    ]
    named = {name for text in code for name in NAMED_IN_CODE.findall(text)}
    assert named >= {"journal_chain", "tables_can_be_read", "live.trading.protection"}
    every = named | LADDERS.keys() | {check.name for check in CHECK_LIST}
    assert sorted(name for name in every if f"`{name}`" not in page) == []
