"""A job and its targets as they change (docs/streams.md)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Any, Final, Literal

from msgspec import convert

from myx_client import models
from myx_client.errors import AnswerError
from myx_client.log_stream import STREAMS
from myx_client.sockets import Opening, Resumable
from myx_client.transport import Transport

_HEAD = Struct(">BIQ")
FINAL: Final = frozenset({"success", "partial", "failed", "stopped", "cancelled"})


@dataclass(frozen=True, slots=True)
class JobChanged:
    """The job as it is now, behind all targets that changed up to its revision."""

    job: models.Job


@dataclass(frozen=True, slots=True)
class TargetsChanged:
    """Targets that changed; of two with the same number the greater revision is newer."""

    targets: list[models.JobTarget]


@dataclass(frozen=True, slots=True)
class JobOutput:
    """Bytes that target `number` wrote; `offset` is that of the first one in its log."""

    number: int
    stream: Literal["stdout", "stderr"]
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class JobGap:
    """The log of target `number` holds no bytes from `start` up to `end`."""

    number: int
    start: int
    end: int
    reason: str


JobFrame = JobChanged | TargetsChanged | JobOutput | JobGap


async def follow_job(
    transport: Transport, path: str, reconnect_for_s: float, *, output: bool
) -> AsyncGenerator[JobFrame]:
    """Frames until the job is final. A connection that broke off goes on by revision and offsets."""
    place = _Place(output)
    stream = Resumable(transport, path, place.opening, reconnect_for_s)
    async with aclosing(stream.messages()) as messages:
        async for message in messages:
            for frame in place.frames(message):
                # Where things stand is told at the beginning of every stream: that alone is no progress.
                if place.pass_over(frame):
                    stream.progress()
                yield frame
                if isinstance(frame, JobChanged) and frame.job.status in FINAL:
                    return


class _Place:
    """How far a follower has come."""

    def __init__(self, output: bool) -> None:
        self._output = output
        self._revision = 0
        self._newest = -1
        self._offsets: dict[int, int] = {}

    def opening(self) -> Opening:
        """How to go on from here."""
        query: dict[str, Any] = {"after_revision": self._revision, "output": self._output}
        if not self._output:
            return Opening(query)
        offsets = {str(number): offset for number, offset in self._offsets.items()}
        return Opening({**query, "resume": True}, {"offsets": offsets})

    def frames(self, message: bytes | dict[str, Any]) -> list[JobFrame]:
        """What a message says that is new."""
        try:
            if isinstance(message, bytes):
                return self._bytes(message)
            match message["type"]:
                case "job":
                    return [JobChanged(convert(message["job"], models.Job))]
                case "targets":
                    return [TargetsChanged(convert(message["targets"], list[models.JobTarget]))]
                case "gap":
                    return self._gap(message["number"], message["from"], message["to"], message["reason"])
        except (KeyError, TypeError, ValueError, StructError):
            raise AnswerError("the stream holds what is not MyX's") from None
        return []

    def pass_over(self, frame: JobFrame) -> bool:
        """Go on behind `frame`; whether it told something new."""
        if isinstance(frame, JobOutput):
            self._offsets[frame.number] = frame.offset + len(frame.data)
            return True
        if isinstance(frame, JobGap):
            self._offsets[frame.number] = frame.end
            return True
        if isinstance(frame, JobChanged):
            self._revision = frame.job.revision
        revisions = [one.revision for one in frame.targets] if isinstance(frame, TargetsChanged) else [self._revision]
        newest = max([self._newest, *revisions])
        is_new, self._newest = newest > self._newest, newest
        return is_new

    def _bytes(self, message: bytes) -> list[JobFrame]:
        stream, number, offset = _HEAD.unpack_from(message)
        position = self._offsets.get(number, 0)
        data = message[_HEAD.size + max(0, position - offset) :]
        if not data:
            return []
        place = max(position, offset)
        return [*self._gap(number, position, place, "not sent by MyX"), JobOutput(number, STREAMS[stream], place, data)]

    def _gap(self, number: int, start: int, end: int, reason: str) -> list[JobFrame]:
        start = max(start, self._offsets.get(number, 0))
        return [JobGap(number, start, end, reason)] if end > start else []
