"""Pieces of a log: packing, gathering, cutting."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myx_executor.domain.log import STDERR, STDOUT, LogBytes, LogGap, Piece, cut, gather, pack_segments, unpack_segments

streams = st.sampled_from([STDOUT, STDERR])
chunks = st.lists(st.tuples(streams, st.binary(min_size=1, max_size=40)), max_size=30)


def items_of(parts, start=0):
    items, offset = [], start
    for stream, data in parts:
        items.append(LogBytes(stream, offset, data))
        offset += len(data)
    return items


def flat(pieces):
    return [(run.stream, byte) for piece in pieces for run in piece.runs() for byte in run.data]


@given(st.lists(st.tuples(streams, st.integers(0, 1 << 40)), max_size=30))
def test_packed_segments_tell_each_run_once_with_neighbours_joined(runs):
    unpacked = list(unpack_segments(pack_segments(runs)))
    assert all(length for _, length in unpacked)
    assert all(one[0] != other[0] for one, other in pairwise(unpacked))
    for stream in (STDOUT, STDERR):
        assert sum(n for s, n in unpacked if s == stream) == sum(n for s, n in runs if s == stream)


def test_packed_segments_that_are_cut_off_are_an_error():
    with pytest.raises(ValueError, match="cut off"):
        list(unpack_segments(pack_segments([(STDOUT, 1000)])[:-1]))


@given(chunks, st.integers(1, 50), st.integers(0, 1 << 40))
def test_gathered_pieces_hold_the_same_bytes_in_order_within_the_limit(parts, limit, start):
    pieces = gather(items_of(parts, start), limit)
    assert flat(pieces) == [(stream, byte) for stream, data in parts for byte in data]
    position = start
    for piece in pieces:
        assert piece.offset == position
        assert piece.length == len(piece.data) <= limit
        position = piece.end


def test_a_gap_stands_between_its_neighbours():
    pieces = gather([LogBytes(STDOUT, 0, b"ab"), LogGap(2, 10, "limit"), LogBytes(STDERR, 10, b"c")])
    assert [(piece.offset, piece.end, piece.data, piece.gap_reason) for piece in pieces] == [
        (0, 2, b"ab", None),
        (2, 10, b"", "limit"),
        (10, 11, b"c", None),
    ]


@given(chunks, st.integers(-5, 1300))
def test_a_cut_piece_is_the_suffix_from_the_offset(parts, skip):
    start = 7
    for piece in gather(items_of(parts, start), 1 << 20):
        rest = cut(piece, start + skip)
        if skip >= piece.length:
            assert rest is None
            continue
        assert rest.offset == max(start + skip, start)
        assert rest.end == piece.end
        assert rest.length == len(rest.data)
        assert flat([rest]) == flat([piece])[max(skip, 0) :]


def test_a_cut_gap_keeps_its_reason_and_end():
    rest = cut(Piece(5, 10, gap_reason="limit"), 8)
    assert (rest.offset, rest.end, rest.gap_reason, rest.data) == (8, 15, "limit", b"")
    assert cut(Piece(5, 10, gap_reason="limit"), 15) is None
