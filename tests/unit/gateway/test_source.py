"""The log source keeps its offset whatever a broken source gives."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from myx.executor.v1 import command_pb2
from myx.executor.v1 import command_service_pb2 as executor
from myx_gateway.streams import source as sources
from myx_gateway.streams.source import LogSource
from myx_kit.errors import DeadlineExceeded, MyxError, NotFound, Unavailable

Script = list[executor.FollowLogResponse | MyxError]


def step(offset: int, *parts: bytes) -> executor.FollowLogResponse:
    frames = []
    for data in parts:
        frames.append(command_pb2.LogFrame(stream=1, offset=offset, data=data))
        offset += len(data)
    return executor.FollowLogResponse(frames=frames)


def gap(start: int, end: int) -> executor.FollowLogResponse:
    return executor.FollowLogResponse(gap=command_pb2.LogGap(from_offset=start, to_offset=end, reason="limit"))


def final(offset: int) -> executor.FollowLogResponse:
    return executor.FollowLogResponse(final=executor.LogFinal(offset=offset))


class Call:
    """One call of FollowLog that gives a script."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def wait_for_connection(self) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[executor.FollowLogResponse]:
        for item in self._script:
            if isinstance(item, MyxError):
                raise item
            yield item

    def cancel(self) -> None:
        pass


class SlowCall(Call):
    """A call that does not say that it began; as gRPC's, it is cancelled with the wait for that."""

    cancelled = False

    async def wait_for_connection(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    async def __aiter__(self) -> AsyncIterator[executor.FollowLogResponse]:
        if self.cancelled:
            raise asyncio.CancelledError
        async for item in super().__aiter__():
            yield item


class Commands:
    """An executor that answers the first call with the first script, and so on; the last one again and again."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts
        self.asked: list[int] = []
        self.call = Call

    def FollowLog(self, request: executor.FollowLogRequest, timeout: float, metadata: object) -> Any:
        assert timeout > 0
        self.asked.append(request.offset)
        return self.call(self._scripts[min(len(self.asked), len(self._scripts)) - 1])


async def read(commands: Commands, offset: int = 0, *, follow: bool = True, heal_s: float = 5) -> bytes:
    source = LogSource(commands, "c", offset, follow=follow, heal_s=heal_s)  # type: ignore[arg-type]
    await source.open()
    data = b""
    async for item in source:
        data += b"".join(frame.data for frame in item.frames) + (b"~" if item.HasField("gap") else b"")
    return data


async def test_what_is_given_twice_is_passed_on_once() -> None:
    commands = Commands([step(0, b"ab", b"cd"), step(2, b"cd", b"ef"), step(0, b"abc"), step(5, b"fgh"), final(8)])
    assert await read(commands) == b"abcdefgh"


async def test_it_comes_back_at_its_offset_after_each_break() -> None:
    away = Unavailable("SERVICE_UNAVAILABLE", "away")
    commands = Commands([step(0, b"ab"), away], [away], [step(2, b"cd"), away], [step(4, b"e"), final(5)])
    assert await read(commands) == b"abcde"
    assert commands.asked == [0, 2, 2, 4]


async def test_a_hole_without_a_gap_is_asked_for_again() -> None:
    commands = Commands([step(0, b"ab"), step(5, b"later")], [step(2, b"cdelater"), final(10)])
    assert await read(commands) == b"abcdelater"
    assert commands.asked == [0, 2]


async def test_a_gap_is_passed_on_once_and_an_offset_may_lie_inside() -> None:
    commands = Commands([gap(0, 10), gap(0, 10), step(10, b"x"), final(11)])
    assert await read(commands, 4) == b"~x"


async def test_a_deadline_renews_the_call() -> None:
    commands = Commands([step(0, b"a"), DeadlineExceeded("DEADLINE_EXCEEDED", "one hour")], [step(1, b"b"), final(2)])
    assert await read(commands) == b"ab"


async def test_an_end_without_final_is_the_end_only_when_not_following() -> None:
    assert await read(Commands([step(0, b"ab")]), follow=False) == b"ab"
    commands = Commands([step(0, b"ab")], [step(2, b"c"), final(3)])
    assert await read(commands) == b"abc"


async def test_an_outage_that_lasts_is_raised_with_the_offset() -> None:
    commands = Commands([step(0, b"ab"), Unavailable("SERVICE_UNAVAILABLE", "away")], [Unavailable("X", "away")])
    with pytest.raises(Unavailable) as lost:
        await read(commands, heal_s=0.2)
    assert (lost.value.reason, lost.value.fields) == ("LOG_SOURCE_LOST", {"offset": "2"})


async def test_an_error_that_does_not_pass_is_raised_at_once() -> None:
    commands = Commands([step(0, b"ab"), NotFound("COMMAND_NOT_FOUND", "deleted")])
    with pytest.raises(NotFound):
        await read(commands)
    assert commands.asked == [0]


async def test_an_executor_that_is_slow_to_begin_is_followed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_ACCEPT_S", 0.01)
    commands = Commands([step(0, b"abc"), final(3)])
    monkeypatch.setattr(commands, "call", SlowCall)

    assert await read(commands) == b"abc"


async def test_a_step_that_jumps_in_its_middle_is_asked_for_again_from_its_beginning() -> None:
    jumping = step(0, b"ab")
    jumping.frames.append(command_pb2.LogFrame(stream=1, offset=4, data=b"ef"))
    commands = Commands([jumping], [step(0, b"ab", b"cd", b"ef"), final(6)])
    source = LogSource(commands, "id", 0, follow=True, heal_s=5)
    given = [frame.data for one in [one async for one in source] for frame in one.frames]
    assert (given, commands.asked) == ([b"ab", b"cd", b"ef"], [0, 0])


async def test_a_check_that_always_fails_is_an_outage_that_ends() -> None:
    async def check() -> None:
        raise Unavailable("SERVICE_UNAVAILABLE", "away")

    source = LogSource(Commands([final(0)]), "c", 0, follow=True, heal_s=0.2, check=check)  # type: ignore[arg-type]
    with pytest.raises(Unavailable) as lost:
        await source.open()
    assert lost.value.reason == "LOG_SOURCE_LOST"
