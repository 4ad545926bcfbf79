"""Asks empyrical-reloaded for the ratios of made-up returns and writes its answers beside this file, for the tests.

It is not among the project's packages, for it brings a dozen of its own. In an environment that has it:
`pip install empyrical-reloaded==0.7.1 && python tests/core/trades/peer_empyrical.py`
"""

from __future__ import annotations

import json
import random
from pathlib import Path

ANSWERS = Path(__file__).with_name("empyrical_answers.json")


def series(seed: int) -> list[float]:
    """Daily returns of a seed, in thousandths of a per cent, so that every platform reads the same numbers."""
    chance = random.Random(seed)
    return [round(chance.gauss(0.0004 * (seed % 3 - 1), 0.008), 5) for _ in range(20 + 35 * seed)]


def main() -> None:
    import empyrical
    import numpy as np

    answers = []
    for seed in range(8):
        values = np.array(series(seed))
        answers.append(
            {
                "returns": series(seed),
                "sharpe_ratio": float(empyrical.sharpe_ratio(values)),
                "sortino_ratio": float(empyrical.sortino_ratio(values)),
                "calmar_ratio": float(empyrical.calmar_ratio(values)),
                "max_drawdown_share": -float(empyrical.max_drawdown(values)),
                "annual_return_share": float(empyrical.annual_return(values)),
            }
        )
    ANSWERS.write_text(
        json.dumps({"package": f"empyrical-reloaded {empyrical.__version__}", "answers": answers}) + "\n"
    )


if __name__ == "__main__":
    main()
