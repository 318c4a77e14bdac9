"""FollowLog: any offset, any number of followers, no gap and no repeat."""

import asyncio
import hashlib
import random
import sys
from contextlib import aclosing
from itertools import pairwise

import psutil
import pytest

from myx.executor.v1 import command_pb2 as pb
from myx_kit.errors import OutOfRange
from myx_testkit.wait import until

PYTHON = sys.executable
NUMBERED = "import sys,time\nfor i in range({n}):\n print(i, flush=True); time.sleep({pause})"


async def test_every_offset_of_a_log_gives_its_suffix(client, agent):
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; sleep 0.01; done"
    command = await client.shell(agent.name, script)
    whole = await client.log(command.id)
    size = whole.final.log_size_bytes
    streams = [stream for stream, data in whole.frames for _ in data]
    assert size == 9 * 12
    for offset in range(size + 1):
        part = await client.log(command.id, offset, follow=offset % 2 == 0)
        assert part.data == whole.data[offset:]
        assert [stream for stream, data in part.frames for _ in data] == streams[offset:]
        assert part.final == whole.final


@pytest.mark.parametrize("follow", [True, False])
async def test_offsets_that_no_log_has_are_out_of_range(client, agent, follow):
    command = await client.shell(agent.name, "echo 1234567")
    await client.final(command.id)
    for offset in (-1, 9):
        with pytest.raises(OutOfRange) as error:
            await client.log(command.id, offset, follow=follow)
        assert error.value.reason == "OFFSET_BEYOND_END"


async def test_a_follower_is_accepted_before_the_first_byte_and_sees_each_line_when_it_is_written(client, agent):
    command = await client.shell(agent.name, "read x; echo $x", stdin=b"")
    command = await client.run(agent.name, PYTHON, "-Sc", NUMBERED.format(n=5, pause=0.2))
    lines = []
    async with aclosing(client.follow(command.id)) as responses:
        async for response in responses:
            lines += [(frame.data, asyncio.get_running_loop().time()) for frame in response.frames]
    assert [line for line, _ in lines] == [b"0\n", b"1\n", b"2\n", b"3\n", b"4\n"]
    gaps = [later - earlier for (_, earlier), (_, later) in pairwise(lines)]
    assert min(gaps) > 0.1


async def test_without_follow_it_ends_with_what_is_stored(client, agent):
    command = await client.run(agent.name, PYTHON, "-Sc", NUMBERED.format(n=100, pause=0.02))
    await until(lambda: _stored(client, command.id))
    early = await client.log(command.id, follow=False)
    assert early.final is None
    assert early.data.startswith(b"0\n")
    late = await client.log(command.id, early.position)
    assert early.data + late.data == b"".join(b"%d\n" % i for i in range(100))


async def _stored(client, command_id):
    return (await client.get(command_id)).log_size_bytes


async def test_many_followers_that_come_and_go_all_see_the_same(client, agent):
    command = await client.run(agent.name, PYTHON, "-Sc", NUMBERED.format(n=200, pause=0.005))
    want = b"".join(b"%d\n" % i for i in range(200))
    chance = random.Random(7)

    async def wander():
        data = b""
        while True:
            seen, limit = len(data), chance.randrange(1, 200)
            async with aclosing(client.follow(command.id, len(data))) as responses:
                async for response in responses:
                    data += b"".join(frame.data for frame in response.frames)
                    if response.HasField("final"):
                        return data
                    if len(data) - seen > limit:
                        break

    results = await asyncio.gather(*(wander() for _ in range(20)))
    assert set(results) == {want}


async def test_a_hundred_megabytes_are_exact_with_flat_memory_and_a_slow_follower_slows_nobody(
    client, agent, module_executor, tmp_path
):
    block = random.Random(1).randbytes(1 << 16) * 8 + b"line of a log\n" * 40_000
    digest, size = hashlib.sha256(), 0
    with (tmp_path / "big").open("wb") as file:
        while size < 100 << 20:
            file.write(block)
            digest.update(block)
            size += len(block)
    process = psutil.Process(module_executor.program.pid)
    before = process.memory_info().rss
    command = await client.run(agent.name, "cat", str(tmp_path / "big"))

    async def dawdle():
        """Reads nothing until the command has ended, then all."""
        stream = client.follow(command.id)
        first = await anext(stream)
        await client.final(command.id)
        seen = hashlib.sha256(b"".join(frame.data for frame in first.frames))
        async with aclosing(stream) as responses:
            async for response in responses:
                for frame in response.frames:
                    seen.update(frame.data)
        return seen.hexdigest()

    slow = asyncio.create_task(dawdle())
    seen, received, peak = hashlib.sha256(), 0, 0
    async with aclosing(client.follow(command.id)) as responses:
        async for response in responses:
            for frame in response.frames:
                seen.update(frame.data)
                received += len(frame.data)
            peak = max(peak, process.memory_info().rss)
            if response.HasField("final"):
                final = response.final.command
    assert (received, seen.hexdigest()) == (size, digest.hexdigest())
    assert final.log_completeness == pb.LOG_COMPLETENESS_COMPLETE
    assert final.result.stdout.sha256 == digest.hexdigest()
    assert await slow == digest.hexdigest()
    assert peak - before < 60 << 20


async def test_a_million_short_lines_arrive_each_once(client, agent):
    command = await client.run(agent.name, "seq", "1000000")
    log = await client.log(command.id)
    assert log.data == b"".join(b"%d\n" % i for i in range(1, 1_000_001))
    assert log.final.log_completeness == pb.LOG_COMPLETENESS_COMPLETE
