import time
from uuid import UUID

import pytest

from myx_kit.errors import InvalidArgument
from myx_kit.ids import new_id, parse_id


def test_ids_are_version_7_and_grow():
    ids = [new_id() for _ in range(20_000)]
    assert all(made.version == 7 and made.variant == "specified in RFC 4122" for made in ids)
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_ids_carry_the_time():
    assert abs((new_id().int >> 80) - time.time() * 1000) < 5_000


def test_ids_grow_when_the_clock_goes_back(monkeypatch):
    before = new_id()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    assert new_id() > before


def test_an_id_is_read_back():
    made = new_id()
    assert parse_id(str(made)) == made
    assert parse_id(str(made).upper()) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web-1",
        "{01970000-0000-7000-8000-000000000000}",
        "01970000000070008000000000000000",
        "x" * 36,
        f"{UUID(int=0)}\n",
        f"urn:uuid:{UUID(int=0)}",
    ],
)
def test_anything_but_the_canonical_form_is_refused(text):
    with pytest.raises(InvalidArgument) as caught:
        parse_id(text, "server_id")
    assert caught.value.reason == "ID_INVALID"
    assert caught.value.fields == {"field": "server_id"}
