"""Shares of targets as texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from myx_gateway.convert.jobs import share, wire_share
from myx_gateway.schemas.jobs import JobOptions


@pytest.mark.parametrize("text", ["1", "10", "1000000", "10%", "0.5%", "100%", "33.333333%"])
def test_a_share_is_a_number_or_a_part_and_comes_back_as_it_was(text: str) -> None:
    options = JobOptions(concurrency=text, batches=[text], max_failed=text)
    assert share(wire_share(options.concurrency or "")) == text


@pytest.mark.parametrize(
    "text",
    ["", "%", "0%", "100.1%", "101%", "-1", "-1%", "1e3", "1.5", " 1", "1 %", "ten", "1%%", "٣", "1000001", "nan%"],
)
def test_what_is_no_share_is_refused(text: str) -> None:
    for change in ({"concurrency": text}, {"batches": [text]}, {"canary": text}, {"max_failed": text}):
        with pytest.raises(ValidationError):
            JobOptions(**change)  # type: ignore[arg-type]


def test_zero_is_a_threshold_and_no_share() -> None:
    assert wire_share(JobOptions(max_failed="0").max_failed or "").count == 0
    with pytest.raises(ValidationError, match="at least one target"):
        JobOptions(concurrency="0")


def test_numbers_are_texts() -> None:
    with pytest.raises(ValidationError):
        JobOptions(concurrency=10)  # type: ignore[arg-type]


@given(st.integers(1, 100_000_000))
def test_every_percentage_survives_the_wire(millionths: int) -> None:
    text = f"{millionths / 1_000_000:.6f}".rstrip("0").rstrip(".") + "%"
    assert share(wire_share(text)) == text
