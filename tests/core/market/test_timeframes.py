from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.errors import InputError
from trading_assets.core.market.timeframes import (
    EPOCH,
    MINUTES,
    duration,
    duration_ms,
    floor,
    floor_ms,
    from_ms,
    named,
    to_ms,
)

INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(INSTANTS, st.sampled_from(sorted(MINUTES)))
def test_an_instant_lies_in_the_bar_it_is_floored_to(at: datetime, timeframe: str) -> None:
    open_at = floor(at, timeframe)
    assert open_at <= at < open_at + duration(timeframe)
    assert (open_at - EPOCH) % duration(timeframe) == timedelta(0)
    assert to_ms(open_at) == floor_ms(to_ms(at), timeframe)


def test_h4_and_d1_bars_stand_on_the_utc_grid_whatever_zone_the_instant_is_in() -> None:
    at = datetime(2024, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=3)))
    assert floor(at, "H4") == datetime(2024, 2, 29, 20, tzinfo=UTC)
    assert floor(at, "D1") == datetime(2024, 2, 29, tzinfo=UTC)


@given(st.integers(0, 4_000_000_000_000))
def test_milliseconds_survive_the_way_through_a_datetime(at_ms: int) -> None:
    assert to_ms(from_ms(at_ms)) == at_ms


def test_every_length_has_its_name_and_others_have_none() -> None:
    assert all(named(duration_ms(timeframe)) == timeframe for timeframe in MINUTES)
    assert named(120_000) is None


def test_an_unknown_timeframe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'M2': it is not one; use one of M1, M5, M15, M30, H1, H4, D1\.$"):
        duration("M2")
