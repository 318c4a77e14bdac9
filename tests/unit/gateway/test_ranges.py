"""Which bytes of a log a Range header means."""

import pytest

from myx_gateway.schemas.commands import LogStream
from myx_gateway.streams.ranges import Part, part_of
from myx_gateway.streams.subjects import LogFacts
from myx_kit.errors import OutOfRange

WHOLE = LogFacts("web-1", 100, True, True, {LogStream.STDOUT: 60, LogStream.STDERR: 40})
RUNNING = LogFacts("web-1", 100, False, False, {LogStream.STDOUT: 0, LogStream.STDERR: 0})
GAPPY = LogFacts("web-1", 100, True, False)


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-", 0, 99),
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=99-", 99, 99),
        ("bytes=90-500", 90, 99),
        ("bytes=-10", 90, 99),
        ("bytes=-500", 0, 99),
        (" Bytes=1-2 ", 1, 2),
    ],
)
def test_a_range_of_the_whole_log_is_a_part_of_it(wanted: str, first: int, last: int) -> None:
    assert part_of(WHOLE, 0, None, wanted) == Part(first, 0, last - first + 1, f"bytes {first}-{last}/100")
    assert part_of(RUNNING, 0, None, wanted).content_range == f"bytes {first}-{last}/*"


def test_a_range_of_one_stream_counts_the_bytes_of_that_stream() -> None:
    assert part_of(WHOLE, 0, LogStream.STDERR, "bytes=30-") == Part(0, 30, 10, "bytes 30-39/40")


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=5-4", "bytes=-0", "bytes=9999999999999999999-"])
def test_a_range_beyond_the_end_is_refused_with_the_size(wanted: str) -> None:
    with pytest.raises(OutOfRange) as refused:
        part_of(WHOLE, 0, None, wanted)
    assert (refused.value.reason, refused.value.fields) == ("RANGE_BEYOND_END", {"size": "100"})


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=0-1", "bytes=-", "bytes=a-b", "bytes 0-1", ""])
def test_a_range_that_is_not_understood_is_left_aside(wanted: str) -> None:
    assert part_of(WHOLE, 0, None, wanted) == Part(0, 0, 100)


def test_a_range_that_cannot_be_told_is_left_aside() -> None:
    assert part_of(WHOLE, 5, None, "bytes=1-") == Part(5, 0, 95)
    assert part_of(RUNNING, 0, LogStream.STDOUT, "bytes=1-") == Part(0, 0, None)


def test_a_length_is_promised_only_where_it_is_sure() -> None:
    assert part_of(WHOLE, 0, None, None).length == 100
    assert part_of(WHOLE, 0, LogStream.STDOUT, None).length == 60
    assert part_of(WHOLE, 3, LogStream.STDOUT, None).length is None
    assert part_of(RUNNING, 0, None, None).length is None
    assert part_of(GAPPY, 0, None, None).length is None
