"""Magic numbers: deterministic, readable by MetaTrader, and known as ours without any record."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.ids import is_magic, magic


@given(st.text(min_size=1, max_size=26), st.sampled_from(["OPEN", "CLOSE"]))
def test_a_magic_is_positive_has_63_bits_and_is_known_as_ours(signal: str, purpose: str) -> None:
    number = magic(signal, purpose)
    assert 0 < number < 1 << 63
    assert number == magic(signal, purpose)
    assert is_magic(str(number))
    assert not is_magic(str(number ^ 1))


def test_the_magics_of_other_programs_are_not_ours() -> None:
    assert not any(is_magic(text) for text in ("0", "", "-5", "1", "12345", "20240109", "²", str(1 << 63), "x"))
    assert sum(is_magic(str(number)) for number in range(200_000)) <= 12


def test_opening_and_closing_have_magics_of_their_own() -> None:
    numbers = {magic(f"signal {index}", purpose) for index in range(5_000) for purpose in ("OPEN", "CLOSE")}
    assert len(numbers) == 10_000
