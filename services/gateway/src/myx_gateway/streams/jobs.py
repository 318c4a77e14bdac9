"""A job as a stream: itself and its targets as they change, and on request their output."""

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from grpc.aio import UnaryStreamCall
from starlette.types import Receive

from myx.executor.v1 import job_service_pb2 as executor
from myx_gateway.convert.jobs import WIRE_JOB_STATUS
from myx_gateway.schemas.jobs import FINAL_JOB
from myx_gateway.streams import job_frames
from myx_gateway.streams.feed import Feed
from myx_gateway.streams.outage import Outage
from myx_gateway.streams.outlet import ClientGoneError
from myx_gateway.streams.source import CALL_DEADLINE_S, frames_from
from myx_kit.errors import InvalidArgument, MyxError, Unavailable
from myx_kit.rpc.client import stream_metadata, translate_errors

if TYPE_CHECKING:
    # Exists for type checkers only.
    from myx.executor.v1.job_service_pb2_grpc import JobServiceAsyncStub

Step = executor.FollowJobResponse
_Call = UnaryStreamCall[executor.FollowJobRequest, executor.FollowJobResponse]

_FINAL: Final = frozenset(WIRE_JOB_STATUS[status] for status in FINAL_JOB)
_MAX_NUMBER: Final = (1 << 31) - 1
_MAX_OFFSET: Final = (1 << 63) - 1
# Commas are not optional: where one number ends must be clear, or a wrong text costs exponential time.
_PLACE: Final = re.compile(r"(\d{1,19})(?:;((?:\d{1,10}:\d{1,19},)*(?:\d{1,10}:\d{1,19})?))?", re.ASCII)
# A place with more offsets than fit here (a header of a request) is told without them.
_MAX_PLACE: Final = 4096
_SHORT_PLACE: Final = 256
# For the offsets of a client that says that it has some.
_LISTEN_S: Final = 20.0


@dataclass
class Position:
    """How far a client has come: a revision of the job, and the offset behind the last byte of each target."""

    revision: int = 0
    offsets: dict[int, int] = field(default_factory=dict)

    def text(self) -> str:
        """As `Last-Event-ID` brings it back: `REVISION` or `REVISION;NUMBER:OFFSET,…`."""
        if len(self.offsets) > _MAX_PLACE // 4:
            return str(self.revision)
        pairs = ",".join(f"{number}:{offset}" for number, offset in self.offsets.items())
        return f"{self.revision};{pairs}" if pairs and len(pairs) <= _MAX_PLACE else str(self.revision)


def parse_position(text: str, name: str) -> Position:
    """A position from the text of `name`; InvalidArgument."""
    match = _PLACE.fullmatch(text)
    if match is None or int(match[1]) > _MAX_OFFSET:
        said = "must be a revision: 0 or more"
        raise InvalidArgument("REQUEST_INVALID", f"{name} {said}", **{name: said})
    pairs = [pair.split(":") for pair in (match[2] or "").split(",") if pair]
    return Position(int(match[1]), _checked({number: int(offset) for number, offset in pairs}))


def parse_offsets(text: str) -> dict[int, int]:
    """The offsets of a client's first message, `{"offsets": {"1": 123}}`; InvalidArgument."""
    try:
        offsets = json.loads(text)["offsets"]
        return _checked(offsets)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        said = 'the first message must be {"offsets": {"NUMBER": OFFSET, …}}'
        raise InvalidArgument("REQUEST_INVALID", said, offsets=said) from None


def _checked(offsets: Mapping[str, int]) -> dict[int, int]:
    checked = {}
    for number, offset in offsets.items():
        right = number.isascii() and number.isdigit() and len(number) <= 10 and type(offset) is int
        if not right or not 1 <= int(number) <= _MAX_NUMBER or not 0 <= offset <= _MAX_OFFSET:
            said = "must be byte offsets (0 or more) by the number of a target (1 or more)"
            raise InvalidArgument("REQUEST_INVALID", f"offsets {said}", offsets=said)
        checked[int(number)] = offset
    return checked


class JobSource:
    """The steps of a job from a position, every byte once; iterate it after `open`, and `close` it.

    A source that breaks is opened again for `heal_s`, from the revision of the last job: what changed up to it comes
    before it. Targets that changed since may then be told twice; their revision says so.
    """

    def __init__(
        self, jobs: "JobServiceAsyncStub", job_id: str, position: Position, *, output: bool, heal_s: float
    ) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._output = output
        self._outage = Outage(heal_s, "JOB_SOURCE_LOST")
        self._call: _Call | None = None
        self.position = position

    async def open(self) -> None:
        """NotFound `JOB_NOT_FOUND`, or Unavailable after `heal_s`."""
        await self._outage.patiently(lambda: self._jobs.GetJob(executor.GetJobRequest(job_id=self._job_id)))

    async def __aiter__(self) -> AsyncGenerator[Step]:
        """The steps; the last one has the job in a final state."""
        while True:
            try:
                async for step in self._read():
                    yield step
                    if step.HasField("job") and step.job.status in _FINAL:
                        return
                raise Unavailable("JOB_SOURCE_ENDED", "the executor ended the job's stream early")
            except MyxError as error:
                await self.close()
                await self._outage.bear(error, "with your revision", revision=str(self.position.revision))

    async def close(self) -> None:
        """End the call to the executor."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    async def _read(self) -> AsyncIterator[Step]:
        position = self.position
        request = executor.FollowJobRequest(
            job_id=self._job_id,
            after_revision=position.revision,
            output=self._output,
            offsets=position.offsets if self._output else {},
        )
        self._call = call = self._jobs.FollowJob(request, timeout=CALL_DEADLINE_S, metadata=stream_metadata())
        self._outage.opened()
        with translate_errors("executor"):
            async for step in call:
                self._outage.over()
                self._advance(step)
                yield step

    def _advance(self, step: Step) -> None:
        """Move the position behind `step`, and take out of it what was given already."""
        ends: dict[int, int] = {}
        for output in step.output:
            known = ends.get(output.number, self.position.offsets.get(output.number, 0))
            ends[output.number] = _cut(output, known)
        # Only now: of a step that jumps nothing is given, and it is asked for again from its beginning.
        self.position.offsets.update(ends)
        if step.HasField("job"):
            self.position.revision = max(self.position.revision, step.job.revision)


def _cut(output: executor.TargetOutput, offset: int) -> int:
    """Take out of `output` what lies before `offset`; the offset behind it. Unavailable for a hole without a gap."""
    if output.frames and output.frames[0].offset < offset:
        kept = frames_from(output.frames, offset)
        del output.frames[:]
        output.frames.extend(kept)
    for frame in output.frames:
        if frame.offset != offset:
            text = f"the output of target {output.number} jumps from {offset} to {frame.offset}"
            raise Unavailable("JOB_SOURCE_BROKEN", text)
        offset += len(frame.data)
    if output.HasField("gap"):
        if output.gap.to_offset <= offset:
            output.ClearField("gap")
        else:
            offset = output.gap.to_offset
    return offset


class JobFeed(Feed):
    """A job: `job`, `targets`, output and `gap`."""

    comeback = "your revision and offsets"

    def __init__(self, job_id: str, source: JobSource, *, listens: bool = False) -> None:
        self._id = job_id
        self._source = source
        self.listens = listens

    async def open(self) -> None:
        """Check the id."""
        await self._source.open()

    async def listen(self, receive: Receive) -> None:
        """The client's offsets."""
        try:
            async with asyncio.timeout(_LISTEN_S):
                message = await receive()
        except TimeoutError:
            raise InvalidArgument("REQUEST_INVALID", f"no offsets came within {_LISTEN_S:g} s") from None
        if message["type"] == "websocket.disconnect":
            raise ClientGoneError
        self._source.position.offsets = parse_offsets(message.get("text") or "")

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Output as binary frames, all else as JSON; a job comes behind the targets of its step."""
        async for step in self._source:
            for text in job_frames.targets_texts(step.targets):
                yield text
            for output in step.output:
                for message in job_frames.output_messages(output):
                    yield message
                if output.HasField("gap"):
                    yield job_frames.gap_text(output)
            if step.HasField("job"):
                yield job_frames.job_text(step.job)

    async def events(self) -> AsyncIterator[bytes]:
        """The same as events; behind each step the place where `Last-Event-ID` resumes, a long one once a second."""
        told_at = 0.0
        async for step in self._source:
            for text in job_frames.targets_texts(step.targets):
                yield job_frames.event("targets", text)
            for output in step.output:
                for event in job_frames.output_events(output):
                    yield event
                if output.HasField("gap"):
                    yield job_frames.event("gap", job_frames.gap_text(output))
            place = self._source.position.text()
            if step.HasField("job"):
                yield job_frames.event("job", job_frames.job_text(step.job), place)
            elif len(place) <= _SHORT_PLACE or time.monotonic() - told_at >= 1:
                yield job_frames.place_event(place)
            else:
                continue
            told_at = time.monotonic()

    def place(self) -> dict[str, str | int]:
        """The revision."""
        return {"job_id": self._id, "revision": self._source.position.revision}

    async def close(self) -> None:
        """End the call to the executor."""
        await self._source.close()
