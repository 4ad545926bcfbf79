"""docs/promises.md names, for every promise of the live half, tests and harnesses that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PAGE = PROJECT / "docs" / "promises.md"
PROOF = re.compile(r"^  - `(tests/[^`]+)`$", re.MULTILINE)


def missing(proof: str) -> bool:
    """Return whether a test or harness named on the page does not exist."""
    path, _, name = proof.partition("::")
    file = PROJECT / path
    if not file.is_file():
        return True
    return bool(name) and not re.search(rf"^(async )?def {name}\(", file.read_text(encoding="utf-8"), re.MULTILINE)


def promised() -> str:
    """Return the page without its remarks at the end."""
    return PAGE.read_text(encoding="utf-8").split("## What the harness")[0]


def promises() -> list[tuple[str, list[str]]]:
    """Return each promise with its proofs."""
    parts = re.split(r"^- ", promised(), flags=re.MULTILINE)[1:]
    return [(part.splitlines()[0], PROOF.findall(part)) for part in parts]


def test_every_proof_that_is_named_exists() -> None:
    named = PROOF.findall(PAGE.read_text(encoding="utf-8"))
    assert len(named) > 50
    assert not [proof for proof in named if missing(proof)]


def test_no_line_below_a_promise_is_anything_but_a_proof() -> None:
    lines = [line for line in promised().splitlines() if line.startswith("  ")]
    assert lines
    assert not [line for line in lines if not PROOF.fullmatch(line)]


def test_every_promise_has_a_proof() -> None:
    assert len(promises()) > 20
    assert not [promise for promise, proofs in promises() if not proofs]


def test_every_invariant_is_among_the_promises() -> None:
    numbers = {promise.partition(".")[0] for promise, _ in promises()}
    assert {str(number) for number in range(1, 11)} <= numbers


@pytest.mark.parametrize("proof", ["tests/test_nothing.py", "tests/test_promises.py::test_nothing"])
def test_a_proof_that_does_not_exist_is_noticed(proof: str) -> None:
    assert missing(proof)
