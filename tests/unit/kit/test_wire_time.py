from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myx_kit.wire_time import duration, timestamp


def test_what_is_not_there_stays_unset() -> None:
    assert timestamp(None) is None
    assert duration(None) is None


def test_a_time_keeps_its_microseconds() -> None:
    at = datetime(2026, 11, 22, 15, 4, 5, 123456, tzinfo=UTC)
    assert timestamp(at).ToDatetime(tzinfo=UTC) == at


@pytest.mark.parametrize("seconds", [1e-300, 1e-12, 5e-10])
def test_a_short_time_never_becomes_no_limit(seconds: float) -> None:
    assert duration(seconds).ToNanoseconds() == 1


@given(st.floats(min_value=0, max_value=1e8))
def test_seconds_are_kept_to_the_nanosecond(seconds: float) -> None:
    assert duration(seconds).ToNanoseconds() == pytest.approx(seconds * 1e9, abs=1)
