"""Log steps as messages."""

import base64
import json
import struct

from hypothesis import given
from hypothesis import strategies as st

from myx.executor.v1 import command_pb2
from myx_gateway.convert import commands
from myx_gateway.streams import frames

KIB = 1024


def log_frames(runs: list[tuple[int, bytes]], start: int = 0) -> list[command_pb2.LogFrame]:
    made = []
    for stream, data in runs:
        made.append(command_pb2.LogFrame(stream=stream, offset=start, data=data))
        start += len(data)
    return made


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40))), st.integers(0, 1 << 62))
def test_joining_keeps_every_byte_its_stream_and_its_offset(runs: list[tuple[int, bytes]], start: int) -> None:
    expected = [(stream, byte) for stream, data in runs for byte in data]
    found, position = [], start
    for stream, offset, data in frames.pieces(log_frames(runs, start)):
        assert offset == position
        assert data
        position += len(data)
        found += [(stream, byte) for byte in data]
    assert found == expected


def test_neighbours_of_one_stream_become_one_piece() -> None:
    runs = [(1, b"a"), (1, b"b"), (2, b"c"), (1, b"d"), (1, b"e")]
    assert list(frames.pieces(log_frames(runs))) == [(1, 0, b"ab"), (2, 2, b"c"), (1, 3, b"de")]


def test_no_piece_is_larger_than_256_kib() -> None:
    for runs in ([(1, b"x" * 700 * KIB)], [(1, b"x" * 100 * KIB)] * 7, [(1, b"x" * 255 * KIB), (1, b"y" * 300 * KIB)]):
        pieces = list(frames.pieces(log_frames(runs)))
        assert max(len(data) for _, _, data in pieces) <= 256 * KIB
        assert b"".join(data for _, _, data in pieces) == b"".join(data for _, data in runs)


def test_frames_around_a_hole_are_not_joined() -> None:
    parts = [command_pb2.LogFrame(stream=1, offset=0, data=b"a"), command_pb2.LogFrame(stream=1, offset=9, data=b"b")]
    assert list(frames.pieces(parts)) == [(1, 0, b"a"), (1, 9, b"b")]


def test_a_binary_message_is_type_offset_and_payload() -> None:
    message = frames.binary_message((2, 1 << 40, b"\0\xff"))
    assert struct.unpack_from("!BQ", message) == (2, 1 << 40)
    assert message[9:] == b"\0\xff"


def test_an_event_has_the_offset_behind_its_data_as_id() -> None:
    lines = frames.log_event((2, 100, b"\0\n\xff")).decode().split("\n")
    assert lines[0] == "id: 103"
    assert lines[1] == "event: log"
    document = json.loads(lines[2].removeprefix("data: "))
    assert (document["stream"], document["offset"]) == ("stderr", 100)
    assert base64.b64decode(document["data"]) == b"\0\n\xff"
    assert lines[3:] == ["", ""]


def test_the_end_carries_the_command_in_one_line() -> None:
    command = commands.command(command_pb2.Command(id="c", message="two\nlines", exit_code=0)).model_dump_json()
    document = json.loads(frames.final_text(7, "command", command))
    assert (document["type"], document["offset"], document["command"]["exit_code"]) == ("final", 7, 0)
    data = frames.final_event(7, "command", command).decode().split("\n")
    assert json.loads(data[2].removeprefix("data: "))["command"]["message"] == "two\nlines"


@given(st.text())
def test_a_close_reason_fits_a_close_frame(text: str) -> None:
    assert len(frames.close_reason(text.encode(errors="replace").decode()).encode()) <= 123
