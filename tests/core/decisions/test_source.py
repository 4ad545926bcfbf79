"""The version of the decision code: complete, and another one as soon as a filter or a breaker is added."""

from __future__ import annotations

from pathlib import Path

from trading_assets.core.decisions import source
from trading_assets.core.features.source import code_only

NOT_IN_A_DECISION = {"__init__", "explain", "source"}


def test_every_module_that_takes_part_in_a_decision_is_in_the_version() -> None:
    here = {path.stem for path in Path(source.__file__).parent.glob("*.py")}
    assert set(source.MODULES) == here - NOT_IN_A_DECISION


def test_another_filter_or_breaker_is_another_version_and_a_comment_is_not() -> None:
    folder = Path(source.__file__).parent
    filters, breakers = (folder / "filters.py").read_text(), (folder / "breakers.py").read_text()
    assert code_only(filters.replace("    stale_data,\n", "")) != code_only(filters)
    assert code_only(breakers.replace('    BreakerRule("journal", "stop", "daemon"),\n', "")) != code_only(breakers)
    assert code_only(filters + "\n# A comment.\n") == code_only(filters)
    assert len(source.decisions_version()) == 12
