"""The log of one command or deployment, byte by byte to its true end (docs/streams.md)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Any, Generic, Literal, TypeVar

from msgspec import convert

from myx_client.errors import AnswerError
from myx_client.sockets import Opening, Resumable
from myx_client.transport import Transport

STREAMS: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}
_HEAD = Struct(">BQ")
_Document = TypeVar("_Document")


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes that the host wrote; `offset` is that of the first one in the log of both streams."""

    stream: Literal["stdout", "stderr"]
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """The log holds no bytes from `start` up to `end`."""

    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class End(Generic[_Document]):
    """The log is whole up to `offset`, and `document` is the final command or deployment."""

    offset: int
    document: _Document


LogFrame = Output | Gap | End[_Document]


async def follow_log(
    transport: Transport, path: str, kind: type[_Document], word: str, *, offset: int, reconnect_for_s: float
) -> AsyncGenerator[LogFrame[_Document]]:
    """Frames from `offset` on, each byte once. The last one is an End; its document is `word` of the message."""
    position = offset
    stream = Resumable(transport, path, lambda: Opening({"offset": position}), reconnect_for_s)
    async with aclosing(stream.messages()) as messages:
        async for message in messages:
            for frame in _frames(message, position, kind, word):
                yield frame
                position = _behind(frame)
                stream.progress()
                if isinstance(frame, End):
                    return


def _behind(frame: "LogFrame[Any]") -> int:
    if isinstance(frame, Output):
        return frame.offset + len(frame.data)
    return frame.end if isinstance(frame, Gap) else frame.offset


def _frames(
    message: bytes | dict[str, Any], position: int, kind: type[_Document], word: str
) -> list[LogFrame[_Document]]:
    """What a message says beyond `position`; bytes that were skipped without a word are a gap."""
    try:
        if isinstance(message, bytes):
            number, offset = _HEAD.unpack_from(message)
            data = message[_HEAD.size + max(0, position - offset) :]
            place = max(position, offset)
            return [*_skipped(position, place), Output(STREAMS[number], place, data)] if data else []
        if message["type"] == "gap":
            start, end = max(position, message["from"]), message["to"]
            return [Gap(start, end, message["reason"])] if end > start else []
        if message["type"] == "final":
            document = convert(message[word], kind)
            return [*_skipped(position, message["offset"]), End(message["offset"], document)]
    except (KeyError, TypeError, ValueError, StructError):
        raise AnswerError("the stream holds what is not MyX's") from None
    return []


def _skipped(position: int, place: int) -> list[Gap]:
    return [Gap(position, place, "not sent by MyX")] if place > position else []
