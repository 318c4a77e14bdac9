"""When a cron expression fires: the days on which clocks are set, leap days, and what can never be."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myx_executor.domain.cron import Cron, checked_cron, checked_zone
from myx_kit.errors import InvalidArgument

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def local(zone: str, *parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold)


def fires(expression: str, zone: str, start: datetime, end: datetime) -> list[str]:
    """Local times with their offset, between two moments."""
    times = Cron(expression, zone).last_times(start, end, 10_000)
    return [f"{time.astimezone(ZoneInfo(zone)):%d %H:%M %z}" for time in times]


# Berlin 2026: 29 March 02:00 -> 03:00, 25 October 03:00 -> 02:00.
# New York 2026: 8 March 02:00 -> 03:00, 1 November 02:00 -> 01:00.


def test_a_fixed_time_in_the_missing_hour_fires_once_when_the_gap_is_over():
    days = (local(BERLIN, 2026, 3, 28), local(BERLIN, 2026, 3, 31))
    assert fires("30 2 * * *", BERLIN, *days) == ["28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"]
    days = (local(NEW_YORK, 2026, 3, 7), local(NEW_YORK, 2026, 3, 10))
    assert fires("30 2 * * *", NEW_YORK, *days) == ["07 02:30 -0500", "08 03:00 -0400", "09 02:30 -0400"]


def test_two_fixed_times_in_the_missing_hour_fire_once_together():
    days = (local(BERLIN, 2026, 3, 29), local(BERLIN, 2026, 3, 30))
    assert fires("10,50 2 * * *", BERLIN, *days) == ["29 03:00 +0200"]
    assert fires("0 2,3 * * *", BERLIN, *days) == ["29 03:00 +0200"]


def test_a_fixed_time_in_the_doubled_hour_fires_once():
    days = (local(BERLIN, 2026, 10, 24), local(BERLIN, 2026, 10, 27))
    assert fires("30 2 * * *", BERLIN, *days) == ["24 02:30 +0200", "25 02:30 +0200", "26 02:30 +0100"]
    days = (local(NEW_YORK, 2026, 10, 31), local(NEW_YORK, 2026, 11, 3))
    assert fires("30 1 * * *", NEW_YORK, *days) == ["31 01:30 -0400", "01 01:30 -0400", "02 01:30 -0500"]


@pytest.mark.parametrize("minute", range(0, 60, 7))
def test_seen_from_within_the_second_hour_the_first_one_is_over(minute):
    moment = local(BERLIN, 2026, 10, 25, 2, minute, fold=1)
    assert Cron("30 2 * * *", BERLIN).after(moment) == local(BERLIN, 2026, 10, 26, 2, 30)


def test_times_with_a_star_go_by_the_time_that_passes():
    spring = (local(BERLIN, 2026, 3, 29, 1), local(BERLIN, 2026, 3, 29, 4))
    assert fires("*/30 * * * *", BERLIN, *spring) == [
        "29 01:00 +0100",
        "29 01:30 +0100",
        "29 03:00 +0200",
        "29 03:30 +0200",
        "29 04:00 +0200",
    ]
    autumn = (local(BERLIN, 2026, 10, 25, 1, 30), local(BERLIN, 2026, 10, 25, 3))
    assert fires("30 * * * *", BERLIN, *autumn) == ["25 01:30 +0200", "25 02:30 +0200", "25 02:30 +0100"]


def test_a_leap_day_is_waited_for():
    assert Cron("0 12 29 2 *", "UTC").next_times(NOW, 2) == [
        datetime(2028, 2, 29, 12, tzinfo=UTC),
        datetime(2032, 2, 29, 12, tzinfo=UTC),
    ]


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 * 2 MON#5"][:2])
def test_a_date_that_never_comes_is_refused(expression):
    with pytest.raises(InvalidArgument, match="names a date that does not exist") as caught:
        checked_cron(expression, "UTC", NOW)
    assert (caught.value.reason, caught.value.fields["field"]) == ("SCHEDULE_INVALID", "cron")


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("", "five fields"),
        ("* * * *", "not 4"),
        ("0 * * * * *", "not 6"),
        ("@daily", "not 1"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day-of-month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day-of-week"),
        ("* * * * FOO", "day-of-week"),
        ("*/0 * * * *", "minute"),
        ("5-1 * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("* * * * 1#6", "day-of-week"),
        ("٥ * * * *", "digits"),
        ("; * * * *", "digits"),
        ("1," * 100 + "1 * * * *", "at most 200"),
    ],
)
def test_a_bad_expression_is_refused_naming_the_part(expression, word):
    with pytest.raises(InvalidArgument, match=word) as caught:
        checked_cron(expression, "UTC", NOW)
    assert (caught.value.reason, caught.value.fields["field"]) == ("SCHEDULE_INVALID", "cron")


@pytest.mark.parametrize(
    "zone",
    [
        "Mars/Olympus",
        "Europe",
        "../../etc/passwd",
        "/etc/localtime",
        "posix/UTC",
        "right/UTC",
        "localtime",
        "UTC\0",
        "CEST",
    ],
)
def test_a_bad_zone_is_refused(zone):
    with pytest.raises(InvalidArgument) as caught:
        checked_zone(zone)
    assert (caught.value.reason, caught.value.fields["field"]) == ("SCHEDULE_INVALID", "time_zone")


def test_an_empty_zone_is_utc_and_spaces_do_not_matter():
    assert checked_cron("  5   4 * *  sun ", "", NOW) == Cron("5 4 * * sun", "UTC")


def test_the_last_times_are_found_without_counting_all_of_them():
    cron, until = Cron("* * * * *", "UTC"), datetime(2026, 6, 1, tzinfo=UTC)
    assert cron.last_times(until - timedelta(days=3000), until, 3) == [until - timedelta(minutes=n) for n in (2, 1, 0)]
    monthly = Cron("0 0 1 * *", "UTC")
    assert monthly.last_times(datetime(2026, 1, 1, tzinfo=UTC), until, 100) == [
        datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 7)
    ]
    assert monthly.last_times(until + timedelta(minutes=1), until + timedelta(days=1), 100) == []


EXPRESSIONS = st.sampled_from(
    [
        "* * * * *",
        "*/7 * * * *",
        "30 2 * * *",
        "15 */3 * * *",
        "0 1-4 * * *",
        "30 1 1,25,29 * *",
        "59 23 L * *",
        "0 2 * * SUN",
    ]
)
ZONES = st.sampled_from([BERLIN, NEW_YORK, "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "UTC"])


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS, ZONES, st.integers(0, 2 * 365 * 24 * 3600))
def test_times_only_go_forward_and_no_way_of_asking_misses_one(expression, zone, seconds):
    cron, moment = Cron(expression, zone), NOW + timedelta(seconds=seconds)
    times = cron.next_times(moment, 5)
    assert times == sorted(set(times))
    assert all(time > moment and time.second == time.microsecond == 0 for time in times)
    for earlier, later in zip([moment, *times], times, strict=False):
        assert cron.after(earlier) == later
    assert cron.last_times(times[0], times[-1], 10) == times


CHANGES = [  # moments at which clocks are set
    (BERLIN, datetime(2026, 3, 29, 1, tzinfo=UTC)),
    (BERLIN, datetime(2026, 10, 25, 1, tzinfo=UTC)),
    (NEW_YORK, datetime(2026, 3, 8, 7, tzinfo=UTC)),
    (NEW_YORK, datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("Asia/Beirut", datetime(2026, 3, 28, 22, tzinfo=UTC)),
    ("America/St_Johns", datetime(2026, 11, 1, 4, 30, tzinfo=UTC)),
]


@pytest.mark.parametrize("expression", ["*/7 * * * *", "15 */3 * * *", "* * * * *", "0 */2 * * *", "*/45 2 * * *"])
@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_a_star_fires_at_every_minute_that_fits_when_clocks_are_set(zone, change, expression):
    minutes, hours = expression.split()[:2]
    day = [change + timedelta(minutes=n) for n in range(-13 * 60, 13 * 60)]
    clocks = [(time, time.astimezone(ZoneInfo(zone))) for time in day]
    expected = [time for time, clock in clocks if _fits(minutes, clock.minute) and _fits(hours, clock.hour)]
    assert Cron(expression, zone).last_times(day[0], day[-1], 10_000) == expected


def _fits(field: str, value: int) -> bool:
    return field == "*" or (value % int(field[2:]) == 0 if field.startswith("*/") else value == int(field))
