"""What a play tells over its pipe: whatever it is, the play ends, and what is kept can be stored and sent."""

import asyncio
import json
import os
import sys
from contextlib import suppress
from typing import Any

import pytest

from myx.executor.v1.deployment_pb2 import PlayEvent as Message
from myx_executor.adapters import ansible_door, ansible_play
from myx_executor.adapters.ansible_door import PlayDoor
from myx_executor.adapters.ansible_play import RunningPlay
from myx_executor.convert.deployments import event_to_proto
from myx_executor.domain.ssh import PlayEnd, PlayEvent

PROGRAM = "import sys; open('events', 'wb').write(sys.stdin.buffer.read()); sys.exit(3)"


class Door:
    """Tells whether it was closed."""

    lost = None
    closed = False

    async def close(self) -> None:
        self.closed = True


async def ended(play: RunningPlay) -> tuple[list[dict[str, Any]], PlayEnd]:
    events = []
    async with asyncio.timeout(20):
        async for item in play.items():
            if isinstance(item, PlayEvent):
                events.append(dict(item.event))
            elif isinstance(item, PlayEnd):
                return events, item
    raise AssertionError


async def told(tmp_path, *lines: bytes) -> tuple[list[dict[str, Any]], PlayEnd]:
    work, door = tmp_path / "work", Door()
    work.mkdir()
    async with RunningPlay(work, door) as play:
        await play.start([sys.executable, "-I", "-c", PROGRAM], os.environ, b"\n".join([*lines, b""]), 0)
        result = await ended(play)
        assert door.closed
    return result


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 200_000,
        b'{"type":' * 30_000,
        b'{"type":"x","n":NaN}',
        b'{"type":"x","n":-Infinity}',
        b'{"type":"x","n":1e999}',
        b'{"type":"x","n":' + b"9" * 5000 + b"}",
        b'{"type":7}',
        b"\xff\xfe",
        b'{"type":"x","n":"' + b"x" * 300_000 + b'"}',
    ],
)
async def test_nonsense_is_dropped_and_the_play_goes_on(tmp_path, line) -> None:
    events, end = await told(tmp_path, line, b'{"type":"after"}')
    assert events == [{"type": "after"}]
    assert end.code == 3


async def test_events_can_be_stored_and_sent(tmp_path) -> None:
    deep = b'{"a":[' * 60 + b"1" + b"]}" * 60
    events, _ = await told(
        tmp_path,
        b'{"type":"a\\u0000b","\\u0000k":"\\ud800","n":1' + b"0" * 400 + b',"m":-1' + b"0" * 308 + b"}",
        b'{"type":"deep","seq":1,"value":' + deep + b"}",
        b'{"type":"recap","seq":1' + b"0" * 30 + b"}",
        b'{"type":"recap","seq":-1}',
    )
    assert events[0] == {"type": "ab", "k": "?", "n": "1" + "0" * 400, "m": "-1" + "0" * 308}
    assert "(nested too deeply)" in json.dumps(events[1])
    assert events[2:] == [{"type": "recap"}] * 2
    for event in events:
        sent = event_to_proto(1, event).SerializeToString()
        assert Message.FromString(sent).event.fields["type"].string_value == event["type"]


SILENT = "import time; time.sleep(60)"
TALKING = "import time\nfor _ in range(10): print('x', flush=True); time.sleep(0.2)"


@pytest.mark.parametrize(("program", "code", "silent"), [(SILENT, 124, True), (TALKING, 0, False)])
async def test_a_play_without_output_for_too_long_is_ended(tmp_path, program, code, silent) -> None:
    work = tmp_path / "work"
    work.mkdir()
    async with RunningPlay(work, Door()) as play:
        await play.start([sys.executable, "-I", "-c", program], os.environ, b"", 0, 1.0)
        _, end = await ended(play)
    assert (end.code, end.silent) == (code, silent)


async def test_a_fault_of_ours_ends_the_play(tmp_path, monkeypatch) -> None:
    def fault(_line: bytes) -> None:
        raise RuntimeError

    monkeypatch.setattr(ansible_play, "_event", fault)
    program = "import time\nopen('events', 'w').write('x\\n')\ntime.sleep(60)"
    monkeypatch.setattr(sys.modules[__name__], "PROGRAM", program)
    _, end = await told(tmp_path, b"x")
    assert end.code != 0


async def test_a_fault_while_its_text_is_read_ends_the_play(tmp_path, monkeypatch) -> None:
    async def fault(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(RunningPlay, "_text", fault)
    monkeypatch.setattr(sys.modules[__name__], "PROGRAM", "import time; time.sleep(60)")
    _, end = await told(tmp_path, b"x")
    assert end.code == 137


async def test_a_play_that_nobody_reads_is_closed(tmp_path) -> None:
    work, door = tmp_path / "work", Door()
    work.mkdir()
    play = RunningPlay(work, door)
    lines = b'{"type":"x"}\n' * 1000
    await play.start([sys.executable, "-I", "-c", PROGRAM], os.environ, lines, 0)
    await asyncio.sleep(0.5)
    async with asyncio.timeout(20):
        await play.close()
    assert door.closed
    assert not work.exists()


async def test_a_call_nested_without_end_is_not_answered(tmp_path) -> None:
    door = PlayDoor(None, tmp_path / "link")
    door.open()
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    name = "a" * 32
    for end in ("in", "out"):
        os.mkfifo(tmp_path / "link" / f"{name}.{end}")
    ends = [os.open(tmp_path / "link" / f"{name}.{end}", os.O_RDWR | os.O_NONBLOCK) for end in ("in", "out")]
    call = asyncio.create_task(door._call(name))
    data = ansible_door._HEAD.pack(200_000, ord("R")) + b"[" * 200_000
    while data:
        with suppress(BlockingIOError):
            data = data[os.write(ends[0], data) :]
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await call
    await door.close()
    for fd in ends:
        os.close(fd)
    assert faults == []
