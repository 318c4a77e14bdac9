"""Where a log comes from: the executor's FollowLog, picked up at the offset when it breaks."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final

from grpc.aio import UnaryStreamCall

from myx.executor.v1 import command_pb2
from myx.executor.v1 import command_service_pb2 as executor
from myx_gateway.streams.outage import Outage
from myx_kit.errors import MyxError, Unavailable
from myx_kit.rpc.client import stream_metadata, translate_errors

if TYPE_CHECKING:
    # Exists for type checkers only.
    from myx.executor.v1.command_service_pb2_grpc import CommandServiceAsyncStub

Step = executor.FollowLogResponse
_Call = UnaryStreamCall[executor.FollowLogRequest, executor.FollowLogResponse]

# A call is renewed after this time; nobody notices.
CALL_DEADLINE_S: Final = 3600.0
# How long the executor may take to say that a command and an offset are right, before we go on without its word.
_ACCEPT_S: Final = 2.0


class LogSource:
    """The log of one command or deployment from an offset, every byte once; iterate it after `open`, and `close` it.

    A source that breaks (UNAVAILABLE, its end without `final`, a hole in the offsets) is opened again at the offset
    behind the last byte that was given, for `heal_s`; then Unavailable `LOG_SOURCE_LOST` is raised.
    Without `follow` it ends with what is stored, which reaches up to `stored` at least.
    """

    def __init__(
        self,
        commands: "CommandServiceAsyncStub",
        command_id: str,
        offset: int,
        *,
        follow: bool,
        heal_s: float,
        stored: int = 0,
        check: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._commands = commands
        self._command_id = command_id
        self._follow = follow
        self._stored = stored
        self._check = check
        self._call: _Call | None = None
        self._outage = Outage(heal_s)
        self.offset = offset

    async def open(self) -> None:
        """Have the executor check the id and the offset: NotFound, OutOfRange, or Unavailable after `heal_s`."""
        while True:
            try:
                if self._check is not None:
                    await self._check()
                await self._start()
            except MyxError as error:
                await self._recover(error)
            else:
                return

    async def __aiter__(self) -> AsyncGenerator[Step]:
        """The steps of the log, offsets without gap or repeat; ends after `final` (or, not following, at the end)."""
        while True:
            try:
                async for step in self._read():
                    yield step
                    if step.HasField("final"):
                        return
                if not self._follow and self.offset >= self._stored:
                    return
                raise Unavailable("LOG_SOURCE_ENDED", "the executor ended the log early")
            except MyxError as error:
                await self._recover(error)

    async def close(self) -> None:
        """End the call to the executor."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    async def _start(self) -> None:
        request = executor.FollowLogRequest(command_id=self._command_id, offset=self.offset, follow=self._follow)
        call = self._commands.FollowLog(request, timeout=CALL_DEADLINE_S, metadata=stream_metadata())
        self._call = call
        self._outage.opened()
        with translate_errors("executor"):
            # Not `timeout`: a wait for the connection that is cancelled takes the call with it.
            accepted = asyncio.ensure_future(call.wait_for_connection())
            accepted.add_done_callback(lambda task: task.cancelled() or task.exception())
            done, _ = await asyncio.wait([accepted], timeout=_ACCEPT_S)
            if done:
                accepted.result()
            # Else it waits for output without having said that it began; errors will come with the first step.

    async def _read(self) -> AsyncIterator[Step]:
        if self._call is None:
            await self._start()
        call = self._call
        assert call is not None  # noqa: S101 - for the type checker
        with translate_errors("executor"):
            async for step in call:
                self._outage.over()
                if self._advance(step):
                    yield step

    def _advance(self, step: Step) -> bool:
        """Move the offset behind `step`, without what was given already; False when nothing is left of it."""
        if step.frames:
            if step.frames[0].offset < self.offset:
                _drop_before(step, self.offset)
            offset = self.offset
            for frame in step.frames:
                if frame.offset != offset:
                    raise Unavailable("LOG_SOURCE_BROKEN", f"the log jumps from {offset} to {frame.offset}")
                offset += len(frame.data)
            # Only now: of a step that jumps nothing is given, and it is asked for again from its beginning.
            self.offset = offset
        if step.HasField("gap"):
            if step.gap.to_offset <= self.offset:
                step.ClearField("gap")
            else:
                self.offset = step.gap.to_offset
        return bool(step.frames) or step.HasField("gap") or step.HasField("final")

    async def _recover(self, error: MyxError) -> None:
        await self.close()
        await self._outage.bear(error, f"with offset {self.offset}", offset=str(self.offset))


def _drop_before(step: Step, offset: int) -> None:
    kept = frames_from(step.frames, offset)
    del step.frames[:]
    step.frames.extend(kept)


def frames_from(frames: Iterable[command_pb2.LogFrame], offset: int) -> list[command_pb2.LogFrame]:
    """`frames` without the bytes before `offset`."""
    return [
        frame
        if frame.offset >= offset
        else command_pb2.LogFrame(stream=frame.stream, offset=offset, data=frame.data[offset - frame.offset :])
        for frame in frames
        if frame.offset + len(frame.data) > offset
    ]
