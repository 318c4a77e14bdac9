"""Texts for people."""

import json

import pytest

from myx_cli.outcome import signal_number
from myx_cli.text import clean, escaped, format_duration, format_size, parse_duration
from myx_cli.times import ago, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0", 0), ("1.5s", 1.5), ("500ms", 0.5), ("5m", 300), ("2h", 7200), (" 1d ", 86400)],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1w", "s", "1e9", "nan", "inf", "1 2", "５"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError):
        parse_duration(text)


def test_json_steers_no_terminal_and_stays_the_same():
    document = {"text": "a\x1b[31m\x7f\x9b31m\x9d0;x\u202eb\u2028 é 中 \\u009b"}
    shown = escaped(json.dumps(document, ensure_ascii=False))
    assert not any(ord(one) < 32 or 127 <= ord(one) < 160 or one in "\u202e\u2028" for one in shown)
    assert json.loads(shown) == document
    assert "é 中" in shown


def test_durations_and_sizes_are_short():
    assert [format_duration(value) for value in (0.024, 1.25, 9.94, 42, 119, 120, 7200, 200_000)] == [
        *("24 ms", "1.2 s", "9.9 s", "42 s", "119 s", "2 min", "2 h", "2 d")
    ]
    assert [format_size(value) for value in (0, 999, 1500, 100_000_000, 2.5e12, None)] == [
        *("0 B", "999 B", "1.5 kB", "100 MB", "2.5 TB", "")
    ]


def test_times_are_relative():
    assert ago("2026-01-01T00:00:00Z", parse_time("2026-01-01T00:05:00Z")) == "5 min ago"
    assert ago("2026-01-01T00:00:00Z", parse_time("2026-01-01T00:00:00.5Z")) == "just now"
    assert ago("2026-01-01T00:00:30Z", parse_time("2026-01-01T00:00:00Z")) == "in 30 s"
    assert [ago(None), ago(""), ago("soon"), ago(5)] == [""] * 4


def test_nothing_that_steers_a_terminal_passes():
    assert clean("a\x1b[31mb\r\nc\x00\x9b\u202ed\u2028e\tf") == "a [31mb c d e f"
    assert clean("日本 ü") == "日本 ü"


@pytest.mark.parametrize(
    ("name", "number"), [("SIGKILL", 9), ("term", 15), ("9", 9), (9, 9), ("SIGNOPE", 0), ("", 0), ("SIG_IGN", 0)]
)
def test_signals_are_known_by_name_and_number(name, number):
    assert signal_number(name) == number
