import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myx_kit.errors import InvalidArgument
from myx_kit.pagination import clamp, decode_token, encode_token


@given(st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_a_token_gives_its_values_back(values):
    assert decode_token(encode_token(*values), len(values)) == tuple(values)


def test_tokens_are_safe_in_urls():
    assert not set(encode_token("ÿ??>>", "~" * 50)) & set("+/=&?# ")


def _encoded(text):
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "?",
        "AAAA",
        "ä",
        _encoded(b'{"a":1}'),
        _encoded(b"[1]"),
        _encoded(b'["a","b"]'),
        _encoded(b"[" * 1000),
        "A" * 5000,
        _encoded(b"\xff"),
    ],
)
def test_other_tokens_are_refused(token):
    with pytest.raises(InvalidArgument) as caught:
        decode_token(token, 1)
    assert caught.value.reason == "PAGE_TOKEN_INVALID"


@given(st.text(max_size=100))
def test_no_text_makes_it_fail_otherwise(text):
    with suppress(InvalidArgument):
        decode_token(text, 1)


@pytest.mark.parametrize(("asked", "given_"), [(0, 50), (1, 1), (500, 500), (501, 500), (2**31 - 1, 500)])
def test_page_sizes_are_bounded(asked, given_):
    assert clamp(asked, 50, 500) == given_


def test_a_negative_page_size_is_refused():
    with pytest.raises(InvalidArgument):
        clamp(-1, 50, 500)
