"""The normaliser: robust, frozen, bit-equal for rows and matrices, and readable back from its file."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from trading_assets.core.features.normaliser import IDENTITY, Normaliser, fit

NAMES = ("calm", "wild", "constant", "missing", "flag")


def sample(count: int = 500) -> np.ndarray:
    random = np.random.default_rng(1)
    matrix = np.empty((count, len(NAMES)))
    matrix[:, 0] = random.normal(3.0, 2.0, count)
    matrix[:, 1] = np.where(random.random(count) < 0.05, 1e9, random.normal(0.0, 1.0, count))
    matrix[:, 2] = 7.0
    matrix[:, 3] = np.nan
    matrix[:, 4] = random.random(count) < 0.1
    matrix[::10, 0] = np.nan
    return matrix


def test_the_identity_changes_no_bit_and_keeps_nulls() -> None:
    matrix = sample()
    assert IDENTITY(NAMES).apply(matrix).tobytes() == matrix.tobytes()
    assert IDENTITY(NAMES).version == "identity"


def test_outliers_do_not_move_location_and_scale() -> None:
    normaliser = fit(sample(), NAMES)
    assert normaliser.location[0] == pytest.approx(3.0, abs=0.3)
    assert normaliser.scale[0] == pytest.approx(2.0, rel=0.15)
    assert normaliser.scale[1] == pytest.approx(1.0, rel=0.2)


def test_features_without_values_or_spread_are_left_at_scale_one() -> None:
    normaliser = fit(sample(), NAMES)
    assert (normaliser.location[2:], normaliser.scale[2:]) == ((7.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert np.isnan(normaliser.apply(sample())[:, 3]).all()


def test_rows_and_matrices_are_normalised_to_the_same_bits() -> None:
    matrix = sample()
    normaliser = fit(matrix, NAMES)
    whole = normaliser.apply(matrix)
    assert all(normaliser.apply(row).tobytes() == whole[index].tobytes() for index, row in enumerate(matrix))


def test_it_reads_back_from_json_with_the_same_bits_and_version() -> None:
    normaliser = fit(sample(), NAMES)
    back = msgspec.json.decode(msgspec.json.encode(normaliser), type=Normaliser)
    assert back == normaliser
    assert back.apply(sample()).tobytes() == normaliser.apply(sample()).tobytes()


def test_the_version_follows_the_data() -> None:
    assert fit(sample(), NAMES).version == fit(sample(), NAMES).version != fit(sample(400), NAMES).version


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="knows 5 features, got 4"):
        fit(sample(), NAMES).apply(np.zeros(4))
    with pytest.raises(ValueError, match="expected rows of 5 features"):
        fit(np.zeros((3, 4)), NAMES)
