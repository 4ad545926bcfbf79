"""The policy: defaults without a file, what a home says otherwise, and refusals of what makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading_assets.core.errors import InputError
from trading_assets.core.learning.policy import DEFAULT
from trading_assets.store.home import Home
from trading_assets.store.policy import POLICY_FILE, read_policy


def test_a_home_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    assert read_policy(Home(tmp_path)) == DEFAULT
    assert DEFAULT.ladder.steps == (0.0, 0.1, 0.3)


def test_a_home_may_say_otherwise_and_that_is_another_version(tmp_path: Path) -> None:
    (tmp_path / POLICY_FILE).write_text("[ladder]\nsteps = [0.0, 0.05]\n[drift]\naccuracy = 0.5\n")
    policy = read_policy(Home(tmp_path))
    assert policy.ladder.steps == (0.0, 0.05)
    assert policy.drift.accuracy == 0.5
    assert policy.requirements == DEFAULT.requirements
    assert policy.version != DEFAULT.version


@pytest.mark.parametrize(
    "text",
    [
        "[ladder",
        "[ladder]\nstep = 1",
        "[ladder]\nsteps = [0.1, 0.3]",
        "[ladder]\nsteps = [0.0, 2.0]",
        "[requirements]\nminimum_rows = 0",
        "[other]",
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / POLICY_FILE).write_text(text)
    with pytest.raises(InputError, match=POLICY_FILE):
        read_policy(Home(tmp_path))
