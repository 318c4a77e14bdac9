"""Values on the command line."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

import pytest

from myx_cli.options.types import moment


@pytest.mark.parametrize(("text", "ago"), [("30m", timedelta(minutes=30)), ("7d", timedelta(days=7))])
def test_a_moment_may_be_so_long_ago(text, ago):
    assert abs(datetime.now(UTC) - ago - datetime.fromisoformat(moment(text))) < timedelta(seconds=30)


def test_a_day_without_dashes_is_a_day():
    assert moment("20260101") == moment("2026-01-01")


@pytest.mark.parametrize("text", ["90", "1.5", "soon", ""])
def test_a_number_without_a_unit_is_no_moment(text):
    with pytest.raises(ArgumentTypeError, match="is no time"):
        moment(text)
