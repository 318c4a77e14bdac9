"""What a stream tells, whichever way it goes out."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from starlette.types import Receive

from myx_gateway.streams import frames
from myx_gateway.streams.source import LogSource
from myx_gateway.streams.subjects import Subject


class Feed(ABC):
    """A source as messages of a WebSocket or as server-sent events; `open` it first, `close` it last.

    `comeback` says with what a client resumes.
    """

    comeback: str
    # Whether the client of a WebSocket speaks first.
    listens = False

    @abstractmethod
    async def open(self) -> None:
        """See that it is there, before anything is answered: NotFound, OutOfRange, Unavailable."""

    async def listen(self, receive: Receive) -> None:
        """Hear what the client says first on its WebSocket. InvalidArgument."""
        raise NotImplementedError

    @abstractmethod
    def messages(self) -> AsyncIterator[str | bytes]:
        """Messages of a WebSocket, up to the end."""

    @abstractmethod
    def events(self) -> AsyncIterator[bytes]:
        """Server-sent events, up to the end."""

    def ping_text(self) -> str:
        """The message that says that a WebSocket is alive."""
        return frames.PING_TEXT

    def ping_event(self) -> bytes:
        """The same of server-sent events."""
        return frames.PING_EVENT

    @abstractmethod
    def place(self) -> dict[str, str | int]:
        """What it is of and how far it came, for the log."""

    @abstractmethod
    async def close(self) -> None:
        """End the call behind."""


class LogFeed(Feed):
    """The log of a command or deployment: `log`, `gap`, `final`."""

    comeback = "your offset"

    def __init__(self, subject: Subject, source: LogSource) -> None:
        self._subject = subject
        self._source = source

    async def open(self) -> None:
        """Check the id and the offset."""
        await self._source.open()

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Binary frames; `gap` and `final` as JSON."""
        async for step in self._source:
            for piece in frames.pieces(step.frames):
                yield frames.binary_message(piece)
            if step.HasField("gap"):
                yield frames.gap_text(step.gap)
            if step.HasField("final"):
                document = await self._subject.document(step.final)
                yield frames.final_text(step.final.offset, self._subject.word, document)

    async def events(self) -> AsyncIterator[bytes]:
        """Events `log`, `gap` and `final`."""
        async for step in self._source:
            for piece in frames.pieces(step.frames):
                yield frames.log_event(piece)
            if step.HasField("gap"):
                yield frames.gap_event(step.gap)
            if step.HasField("final"):
                document = await self._subject.document(step.final)
                yield frames.final_event(step.final.offset, self._subject.word, document)

    def place(self) -> dict[str, str | int]:
        """The offset behind the last byte."""
        return {f"{self._subject.word}_id": self._subject.id, "offset": self._source.offset}

    async def close(self) -> None:
        """End the call to the executor."""
        await self._source.close()
