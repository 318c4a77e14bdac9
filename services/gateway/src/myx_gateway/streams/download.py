"""A log as a file: raw bytes of both streams or one, whole or in part."""

import re
from collections.abc import AsyncGenerator
from typing import Final

from myx.executor.v1 import command_pb2
from myx_gateway.convert.commands import wire_stream
from myx_gateway.schemas.commands import LogStream
from myx_gateway.streams.outage import Outage
from myx_gateway.streams.parts import StreamParts
from myx_gateway.streams.ranges import Part, can_be_ranged, part_of
from myx_gateway.streams.responses import StreamResponse
from myx_gateway.streams.source import LogSource, Step
from myx_gateway.streams.subjects import LogFacts, Subject, log_purged
from myx_kit.errors import OutOfRange, Unavailable

# Of the gap that retention leaves.
_PURGED: Final = "retention"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")


class Download(StreamResponse):
    """What is stored now. A body that cannot be completed is broken off, so that it does not look whole."""

    media_type = "application/octet-stream"

    def __init__(
        self,
        parts: StreamParts,
        subject: Subject,
        *,
        offset: int,
        stream: LogStream | None,
        range_: str | None,
        if_range: str | None,
    ) -> None:
        super().__init__(parts)
        self._subject = subject
        self._offset = offset
        self._stream = stream
        self._range = range_
        self._if_range = if_range
        self._part = Part(offset, 0, None)
        self._source: LogSource | None = None
        self._steps: AsyncGenerator[Step] | None = None
        self._first: Step | None = None

    async def open(self) -> None:
        """Settle what is sent. NotFound, OutOfRange, Unavailable."""
        facts = await Outage(self._parts.heal_s).patiently(self._subject.facts)
        etag = _etag(self._subject.id, facts, self._stream)
        wanted = self._range if self._if_range in {None, etag} else None
        self._part = part = part_of(facts, self._offset, self._stream, wanted)
        source = self._parts.source(self._subject, part.start, follow=False, stored=facts.size)
        self._source, self._steps = source, aiter(source)
        await source.open()
        self._first = await anext(self._steps, None)
        if self._first is not None and self._first.HasField("gap"):
            _refuse_gap(self._first.gap, is_range=bool(part.content_range))
        self._tell(facts, etag)

    def _tell(self, facts: LogFacts, etag: str) -> None:
        part, headers = self._part, self.headers
        name = _UNSAFE.sub("_", "-".join(word for word in ("myx", facts.server_name, self._subject.id) if word))
        kind = f".{self._stream}" if self._stream else ""
        headers["Content-Disposition"] = f'attachment; filename="{name}{kind}.log"'
        headers["Accept-Ranges"] = "bytes" if can_be_ranged(facts, self._offset, self._stream) else "none"
        if etag:
            headers["ETag"] = etag
        if part.length is not None:
            headers["Content-Length"] = str(part.length)
        if part.content_range:
            self.status_code = 206
            headers["Content-Range"] = part.content_range

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The bytes that were promised, or Unavailable."""
        skip, left = self._part.skip, self._part.length
        async for data in self._chosen():
            if left == 0:
                return
            rest = data[skip:] if left is None else data[skip : skip + left]
            skip = max(0, skip - len(data))
            if left is not None:
                left -= len(rest)
            if rest:
                yield rest
        if left:
            raise Unavailable("LOG_INCOMPLETE", f"the log ended {left} bytes early")

    async def _chosen(self) -> AsyncGenerator[bytes]:
        number = None if self._stream is None else wire_stream(self._stream)
        async for step in self._all_steps():
            if step.HasField("gap") and (self._part.length is not None or step.gap.reason == _PURGED):
                raise Unavailable("LOG_INCOMPLETE", f"bytes are missing where none were promised to: {step.gap.reason}")
            for frame in step.frames:
                if number is None or frame.stream == number:
                    yield frame.data

    async def _all_steps(self) -> AsyncGenerator[Step]:
        assert self._steps is not None  # noqa: S101 - it is open
        if self._first is not None:
            yield self._first
        async for step in self._steps:
            yield step

    async def close(self) -> None:
        """End the call to the executor."""
        if self._steps is not None:
            await self._steps.aclose()
        if self._source is not None:
            await self._source.close()

    def place(self) -> dict[str, str | int]:
        """The offset up to which it was read."""
        offset = self._offset if self._source is None else self._source.offset
        return {f"{self._subject.word}_id": self._subject.id, "offset": offset}


def _refuse_gap(gap: command_pb2.LogGap, *, is_range: bool) -> None:
    """NotFound `LOG_PURGED`, or OutOfRange `RANGE_IN_GAP` when there are no bytes where a range begins."""
    if gap.reason == _PURGED:
        raise log_purged()
    if is_range:
        raise OutOfRange(
            "RANGE_IN_GAP",
            f"bytes {gap.from_offset} to {gap.to_offset} of this log were dropped ({gap.reason}); ask for the range "
            f"from {gap.to_offset} on, or without a range for all there is",
            **{"from": str(gap.from_offset), "to": str(gap.to_offset)},
        )


def _etag(id_: str, facts: LogFacts, stream: LogStream | None) -> str:
    """Of a final log, which never changes; empty for one that grows."""
    return f'"{id_}-{facts.size}-{stream or "all"}"' if facts.is_final else ""
