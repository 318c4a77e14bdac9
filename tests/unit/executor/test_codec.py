"""Pieces as rows and as live messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myx_executor.domain.log import STDOUT, Piece, pack_segments
from myx_executor.store.codec import RAW, ZSTD, StoredPiece, decode, encode, final_message, from_message, to_message


def piece_of(data, offset=0):
    return Piece(offset, len(data), data, pack_segments([(STDOUT, len(data))]))


@given(st.binary(min_size=1, max_size=3000), st.integers(0, 1 << 50))
def test_a_row_and_a_message_give_the_piece_back(data, offset):
    piece = piece_of(data, offset)
    row = encode(piece)
    assert decode(row) == piece
    assert from_message(to_message(row)) == piece


def test_only_what_becomes_smaller_is_compressed():
    import os

    assert encode(piece_of(b"line\n" * 1000)).encoding == ZSTD
    assert encode(piece_of(os.urandom(5000))).encoding == RAW
    assert encode(piece_of(b"a" * 100)).encoding == RAW


def test_gaps_and_the_end_travel_too():
    gap = Piece(5, 1 << 40, gap_reason="limit")
    assert decode(encode(gap)) == gap
    assert from_message(to_message(encode(gap))) == gap
    assert from_message(final_message(77)) == 77


@pytest.mark.parametrize(
    "row",
    [
        StoredPiece(0, 5, RAW, b"", b"four"),
        StoredPiece(0, 5, ZSTD, b"", b"no zstd"),
        StoredPiece(0, 5, RAW, b"", None),
    ],
)
def test_a_row_that_is_damaged_is_an_error_and_such_a_message_none(row):
    with pytest.raises(ValueError, match="stored piece"):
        decode(row)
    assert from_message(to_message(row)) is None


@pytest.mark.parametrize("message", [b"", b"x", b"\x02" + bytes(30)])
def test_messages_of_another_kind_are_not_understood(message):
    assert from_message(message) is None
