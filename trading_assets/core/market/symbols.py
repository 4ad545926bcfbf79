"""Symbols of the FX market: canonical names, pips, points and digits.

What a broker says of a contract (sizes, volumes, tick value) is data of its terminal and is not here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_METALS = frozenset({"XAG", "XAU", "XPD", "XPT"})
CURRENCIES = _METALS | {
    "AUD",
    "CAD",
    "CHF",
    "CNH",
    "CZK",
    "DKK",
    "EUR",
    "GBP",
    "HKD",
    "HUF",
    "ILS",
    "JPY",
    "MXN",
    "NOK",
    "NZD",
    "PLN",
    "RUB",
    "SEK",
    "SGD",
    "THB",
    "TRY",
    "USD",
}
"""Currencies and metals a pair may be of."""

_MAX_DIGITS = 6
# A price within this share of a step lies on the grid; doubles of real prices are far closer.
_TOLERANCE = 1e-6
_ON_GRID_SHARE = 0.999


def canonical(raw: str) -> str | None:
    """Return the pair a broker's symbol or a file's name speaks of (`EURUSDm`, `eurusd.x`, `GBPUSDh1`), or None."""
    letters = raw.upper()
    for start in range(len(letters) - 5):
        pair = letters[start : start + 6]
        if pair[:3] in CURRENCIES and pair[3:] in CURRENCIES and pair[:3] != pair[3:]:
            return pair
    return None


def pip_digits(symbol: str) -> int:
    """Return the digits of a pip: 4, or 2 for pairs quoted in JPY, HUF or THB and for metals; 0 for other symbols."""
    if canonical(symbol) != symbol:
        return 0
    return 2 if symbol[3:] in {"JPY", "HUF", "THB"} or symbol[:3] in _METALS else 4


def usual_digits(symbol: str) -> int:
    """Return the digits brokers write prices with: one more than a pip has."""
    return pip_digits(symbol) + 1


def point_of(digits: int) -> float:
    """Return the smallest step of prices written with `digits` digits."""
    return float(1 / 10**digits)


def pip_points(symbol: str, digits: int) -> int:
    """Return how many points make a pip; 1 where the prices have fewer digits than a pip."""
    return int(10 ** max(digits - pip_digits(symbol), 0))


def infer_digits(symbol: str, prices: npt.NDArray[np.float64]) -> int:
    """Return the digits the prices are written with.

    The fewest digits, at least those of a pip and at most 6, with which 99.9 % of the finite prices are exact: a few
    faulty prices do not count. Prices on no such grid (averages, say) have the digits usual for the symbol.
    """
    finite = np.abs(prices[np.isfinite(prices)])
    if not finite.size:
        return usual_digits(symbol)
    for digits in range(pip_digits(symbol), _MAX_DIGITS + 1):
        steps = finite * 10.0**digits
        if np.mean(np.abs(steps - np.rint(steps)) <= _TOLERANCE) >= _ON_GRID_SHARE:
            return digits
    return usual_digits(symbol)
