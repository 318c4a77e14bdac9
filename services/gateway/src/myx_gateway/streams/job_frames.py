"""Steps of a job as they go to clients: WebSocket messages and server-sent events."""

import base64
import json
import struct
from collections.abc import Iterable, Iterator
from typing import Final

from myx.executor.v1 import job_pb2, job_service_pb2
from myx_gateway.convert import jobs as convert
from myx_gateway.streams.frames import pieces, stream_name

# Of one message or event.
_MAX_TARGETS: Final = 200
_HEAD: Final = struct.Struct("!BIQ")

Output = job_service_pb2.TargetOutput


def job_text(job: job_pb2.Job) -> str:
    """The JSON of a job as it is now."""
    return f'{{"type": "job", "job": {convert.job(job).model_dump_json()}}}'


def targets_texts(targets: Iterable[job_pb2.JobTarget]) -> Iterator[str]:
    """The JSON of targets, a bounded number in each text."""
    items = list(targets)
    for start in range(0, len(items), _MAX_TARGETS):
        documents = (convert.target(item).model_dump_json() for item in items[start : start + _MAX_TARGETS])
        yield f'{{"type": "targets", "targets": [{", ".join(documents)}]}}'


def output_messages(output: Output) -> Iterator[bytes]:
    """Binary messages: 1 byte stream (1 stdout, 2 stderr), 4 bytes target, 8 bytes offset (big-endian), payload."""
    for stream, offset, data in pieces(output.frames):
        yield _HEAD.pack(stream, output.number, offset) + data


def output_events(output: Output) -> Iterator[bytes]:
    """Events `output`, with the data in base64."""
    for stream, offset, data in pieces(output.frames):
        head = json.dumps({"number": output.number, "stream": stream_name(stream), "offset": offset})
        yield b'event: output\ndata: %b, "data": "%b"}\n\n' % (head[:-1].encode(), base64.b64encode(data))


def gap_text(output: Output) -> str:
    """The JSON of a gap in a target's output."""
    gap = output.gap
    return json.dumps(
        {"type": "gap", "number": output.number, "from": gap.from_offset, "to": gap.to_offset, "reason": gap.reason}
    )


def event(kind: str, text: str, place: str = "") -> bytes:
    """An event whose data is the JSON of the message, with the place where `Last-Event-ID` resumes."""
    head = f"id: {place}\n" if place else ""
    return f"{head}event: {kind}\ndata: {text}\n\n".encode()


def place_event(place: str) -> bytes:
    """Moves the place without an event: an `id` alone is remembered and dispatches nothing."""
    return f"id: {place}\n\n".encode()
