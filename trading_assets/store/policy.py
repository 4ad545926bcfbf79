"""A home's policy: the defaults, with what `policy.toml` in the home says otherwise.

    [ladder]
    steps = [0.0, 0.05, 0.2]

What the values mean is `core.learning.policy`.
"""

from __future__ import annotations

import tomllib

import msgspec

from trading_assets.core.errors import InputError
from trading_assets.core.learning.policy import DEFAULT, Policy
from trading_assets.store.home import Home

POLICY_FILE = "policy.toml"


def read_policy(home: Home) -> Policy:
    """Return the policy in force. Raises InputError for a file that says something else."""
    path = home.root / POLICY_FILE
    if not path.exists():
        return DEFAULT
    try:
        policy = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Policy)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as fault:
        raise InputError(
            "reading", path, str(fault), "see core/learning/policy.py for what may be said, or remove the file"
        ) from fault
    steps = policy.ladder.steps
    if steps[0] != 0.0 or sorted(set(steps)) != list(steps):
        raise InputError(
            "reading", path, f"the ladder's steps {list(steps)} do not rise from 0", "write them as [0.0, 0.1, 0.3]"
        )
    return policy
