"""Ids whose time is read back, and magic numbers: deterministic, readable by MetaTrader, known as ours without any record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.ids import is_magic, magic, shown, ulid, ulid_time

LAST = datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC)


@given(st.floats(0.0, LAST.timestamp()).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)))
def test_the_time_of_an_id_is_read_back_and_has_days_around_it(at: datetime) -> None:
    read = ulid_time(ulid(at, "x"))
    assert timedelta(0) <= at - read < timedelta(milliseconds=1)
    assert read + timedelta(days=31) > read


@pytest.mark.parametrize("text", ["", "x", "7" + "Z" * 25, "8" + "0" * 25, "U" * 26, ulid(LAST, "x").lower()])
def test_what_is_no_id_is_refused_whatever_time_it_would_have(text: str) -> None:
    with pytest.raises(ValueError, match="is not an id: expected 26 characters of Crockford base32"):
        ulid_time(text)


def test_an_id_of_a_time_whose_id_could_not_be_read_is_not_made() -> None:
    with pytest.raises(ValueError, match="between 1970 and 9998"):
        ulid(datetime(9999, 1, 1, tzinfo=UTC))


def test_of_a_long_text_a_sentence_shows_the_start_and_the_length() -> None:
    assert shown("A" * 40) == "A" * 40
    assert shown("A" * 5_000) == "A" * 40 + "... (5000 characters)"
    with pytest.raises(ValueError, match=r"A{40}\.\.\. \(5000 characters\)"):
        ulid_time("A" * 5_000)


@given(st.text(min_size=1, max_size=26), st.sampled_from(["OPEN", "CLOSE"]))
def test_a_magic_is_positive_has_63_bits_and_is_known_as_ours(signal: str, purpose: str) -> None:
    number = magic(signal, purpose)
    assert 0 < number < 1 << 63
    assert number == magic(signal, purpose)
    assert is_magic(str(number))
    assert not is_magic(str(number ^ 1))


def test_the_magics_of_other_programs_are_not_ours() -> None:
    assert not any(
        is_magic(text) for text in ("0", "", "-5", "1", "12345", "20240109", "²", str(1 << 63), "x", "9" * 5_000)
    )
    assert sum(is_magic(str(number)) for number in range(200_000)) <= 12


def test_opening_and_closing_have_magics_of_their_own() -> None:
    numbers = {magic(f"signal {index}", purpose) for index in range(5_000) for purpose in ("OPEN", "CLOSE")}
    assert len(numbers) == 10_000
