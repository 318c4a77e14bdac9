"""Masking of secrets in a stream: as if the whole output had been seen at once."""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myx_agent.supervisor.mask import Mask


def masked(secrets, pieces):
    mask = Mask(secrets)
    return b"".join([*(mask.feed(piece) for piece in pieces), mask.finish()])


def naively(parts, text):
    """The rule, byte by byte: at each place the longest secret that is there."""
    result, position = bytearray(), 0
    while position < len(text):
        here = [part for part in parts if text.startswith(part, position)]
        if here:
            result += b"***"
            position += max(map(len, here))
        else:
            result.append(text[position])
            position += 1
    return bytes(result)


def cut(text, places):
    edges = [0, *sorted(places), len(text)]
    return [text[begin:end] for begin, end in itertools.pairwise(edges)]


# Few letters and short secrets: overlaps and prefixes of one another are the rule.
words = st.lists(st.sampled_from([b"a", b"b", b"-"]), min_size=4, max_size=9).map(b"".join)


@st.composite
def outputs(draw):
    secrets = draw(st.lists(words, min_size=1, max_size=4))
    secrets += [secret + draw(words) for secret in secrets[:2]]
    filler = st.sampled_from([b"a", b"b", b"-", b"x", b"\n"])
    begun = st.builds(lambda secret, size: secret[:size], st.sampled_from(secrets), st.integers(1, 12))
    text = b"".join(draw(st.lists(st.one_of(filler, begun, st.sampled_from(secrets)), max_size=30)))
    places = draw(st.lists(st.integers(0, len(text)), max_size=12))
    return secrets, text, places


@given(outputs())
@settings(max_examples=600, deadline=None)
def test_any_split_gives_the_masked_whole_and_no_secret(case):
    secrets, text, places = case
    result = masked(secrets, cut(text, places))

    assert result == naively(secrets, text)
    assert not any(secret in result for secret in secrets)


@pytest.mark.parametrize("at", range(22))
def test_a_secret_that_begins_with_another_one_leaks_no_rest(at):
    text = b"hunter2-Production-9x."

    assert masked([b"hunter2", b"hunter2-Production-9x"], [text[:at], text[at:]]) == b"***."


def test_the_shorter_secret_is_masked_when_the_longer_one_does_not_come():
    secrets = [b"hunter2", b"hunter2-Production-9x"]

    assert masked(secrets, [b"pw: hunter2"]) == b"pw: ***"
    assert masked(secrets, [b"hunter2", b"-Prod", b"uct, hunter", b"2"]) == b"***-Product, ***"


def test_bytes_that_begin_no_secret_are_not_held_back():
    mask = Mask([b"hunter2", b"hunter2-Production-9x"])

    assert mask.feed(b"ready\nhunt") == b"ready\n"
    assert mask.feed(b"ing\n") == b"hunting\n"


def test_lines_of_a_secret_are_masked_and_short_secrets_are_not():
    key = b"-----BEGIN-----\nAAAAAAAABBBBBBBB\nxyz\n"

    assert masked([key, b"abc"], [b"abc AAAAAAAABB", b"BBBBBB xyz"]) == b"abc *** xyz"


def test_masking_keeps_up_with_a_flood():
    secrets = [b"s3cret-%d-" % number * 4 for number in range(8)] + [b"k" * 3000]
    piece = (b"some line of output that has nothing to hide, s3cre\n" * 1300)[:65536]
    mask = Mask(secrets)
    began = time.process_time()
    for _ in range(64):  # 4 MiB
        mask.feed(piece)

    assert time.process_time() - began < 2
