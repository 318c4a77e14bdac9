"""A large log of a real command: stored, followed, replayed from any offset and searched, with flat memory."""

import hashlib
import os
import random
import sys
from contextlib import aclosing

import psutil
import pytest
from executor_world import Agent

from myx.executor.v1 import command_pb2 as pb
from myx.executor.v1 import command_service_pb2 as service
from myx_kit.errors import InvalidArgument, NotFound, OutOfRange
from myx_kit.rpc.client import translate_errors
from myx_testkit.wait import until

MIB = 1 << 20
SIZES = [
    pytest.param(64, id="64 MiB"),
    pytest.param(1024, id="1 GiB", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
]
# Generous: what a few pages, gRPC's buffers and the allocator hold, and far from the log's size.
GROWTH = 60 * MIB
# Lines of 128 bytes: every 100,000th on stderr, each with its number; half of them do not compress.
WRITER = """
import hashlib, sys
out, err = sys.stdout.buffer, sys.stderr.buffer
for block in range({mib} * 8):
    lines = []
    for n in range(block * 1024, block * 1024 + 1024):
        tail = hashlib.sha512(b'%d' % n).hexdigest()[:107].encode() if n % 2 else b'-' * 107
        lines.append(b'line %014d %s\\n' % (n, tail))
    out.write(b''.join(lines))
    if block % 100 == 0:
        out.flush()
        err.write(b'block %d\\n' % block)
        err.flush()
"""


@pytest.fixture(scope="module")
def agent(tmp_path_factory, registry):
    """An agent that keeps more than its usual 1 GiB of a command."""
    agent = Agent(tmp_path_factory.mktemp("agent"), command_log_bytes=2 << 30)
    agent.start()
    registry.put(agent.endpoint())
    yield agent
    agent.stop()


class Peak:
    """How much the process has grown."""

    def __init__(self, process):
        self._process = process
        self._before = process.memory_info().rss
        self.growth = 0

    def look(self):
        self.growth = max(self.growth, self._process.memory_info().rss - self._before)


async def search(client, command_id, pattern, **fields):
    with translate_errors("executor"):
        request = service.SearchLogRequest(command_id=command_id, pattern=pattern, **fields)
        return await client.stub.SearchLog(request, timeout=60)


async def search_all(client, command_id, pattern, peak=None, **fields):
    offset, found, calls = 0, [], 0
    while True:
        one = await search(client, command_id, pattern, from_offset=offset, **fields)
        found += one.matches
        calls += 1
        if peak:
            peak.look()
        assert one.next_offset > offset or one.is_end
        if one.is_end:
            return found, calls
        offset = one.next_offset


@pytest.mark.parametrize("mib", SIZES)
async def test_a_large_log_is_stored_followed_replayed_and_searched_with_flat_memory(
    client, agent, module_executor, mib
):
    # The first large log makes the allocator's arenas and the codec's buffers.
    warm = await client.run(agent.name, sys.executable, "-Sc", WRITER.format(mib=8))
    await client.log(warm.id)
    await search_all(client, warm.id, "no such line")
    peak = Peak(psutil.Process(module_executor.program.pid))
    command = await client.run(agent.name, sys.executable, "-Sc", WRITER.format(mib=mib))
    hashes, size = {pb.LOG_STREAM_STDOUT: hashlib.sha256(), pb.LOG_STREAM_STDERR: hashlib.sha256()}, 0
    async with aclosing(client.follow(command.id, timeout_s=800)) as responses:
        async for response in responses:
            assert not response.HasField("gap")
            for frame in response.frames:
                assert frame.offset == size
                size += len(frame.data)
                hashes[frame.stream].update(frame.data)
            peak.look()
            if response.HasField("final"):
                final = response.final.command
    assert final.status == pb.COMMAND_STATUS_SUCCESS
    assert final.log_completeness == pb.LOG_COMPLETENESS_COMPLETE
    assert size == final.log_size_bytes > mib * MIB
    assert hashes[pb.LOG_STREAM_STDOUT].hexdigest() == final.result.stdout.sha256
    assert hashes[pb.LOG_STREAM_STDERR].hexdigest() == final.result.stderr.sha256

    # Replayed whole, and from any offset.
    replayed, position = {stream: hashlib.sha256() for stream in hashes}, 0
    async with aclosing(client.follow(command.id, follow=False, timeout_s=800)) as responses:
        async for response in responses:
            for frame in response.frames:
                assert frame.offset == position
                position += len(frame.data)
                replayed[frame.stream].update(frame.data)
            peak.look()
    assert {s: h.digest() for s, h in replayed.items()} == {s: h.digest() for s, h in hashes.items()}
    for offset in [random.Random(mib).randrange(size) for _ in range(20)] + [size - 1, size]:
        got = b""
        async with aclosing(client.follow(command.id, offset, follow=False)) as responses:
            async for response in responses:
                assert all(frame.offset >= offset for frame in response.frames)
                got += b"".join(frame.data for frame in response.frames)
                if len(got) > 1000:
                    break
        peak.look()
        assert len(got) >= min(1000, size - offset)

    # Searched: one line, the other stream, nothing at all.
    number = mib * 8 * 1024 - 5
    found, calls = await search_all(client, command.id, f"line {number:014d} ", peak)
    assert [match.stream for match in found] == [pb.LOG_STREAM_STDOUT]
    assert found[0].line.startswith(b"line %014d " % number)
    assert calls >= mib // 40
    found, _ = await search_all(client, command.id, "^block [0-9]+$", peak, regex=True)
    assert [match.line for match in found] == [b"block %d" % n for n in range(0, mib * 8, 100)]
    assert {match.stream for match in found} == {pb.LOG_STREAM_STDERR}
    assert (await search_all(client, command.id, "NO SUCH", peak, ignore_case=True))[0] == []
    # A match leads to its place.
    around = await search(client, command.id, "line", from_offset=found[-1].offset, max_matches=3)
    assert [match.line[:5] for match in around.matches] == [b"line "] * 3
    assert peak.growth < GROWTH, f"{peak.growth / MIB:.0f} MiB"


async def test_a_log_without_a_line_end_is_searched_with_flat_memory(client, agent, module_executor, tmp_path):
    noise = os.urandom(MIB).replace(b"\n", b"\0")
    with (tmp_path / "noise").open("wb") as file:
        for _ in range(64):
            file.write(noise)
        file.write(b"needle")
    command = await client.run(agent.name, "cat", str(tmp_path / "noise"))
    assert (await client.final(command.id, 120)).log_completeness == pb.LOG_COMPLETENESS_COMPLETE
    peak = Peak(psutil.Process(module_executor.program.pid))
    found, _ = await search_all(client, command.id, "needle", peak)
    assert len(found) == 1
    assert len(found[0].line) == 4096
    assert found[0].line[found[0].match_start : found[0].match_end] == b"needle"
    assert (await search_all(client, command.id, "[^a](never){3}", peak, regex=True))[0] == []
    assert peak.growth < GROWTH, f"{peak.growth / MIB:.0f} MiB"


async def test_a_running_commands_log_is_searched_and_gone_on_with(client, agent):
    prints = "echo needle 1; echo needle err >&2; printf need"
    waits = "while :; do sleep 0.05; done"
    command = await client.shell(agent.name, f"trap 'echo le 2; exit 0' TERM; {prints}; {waits}")

    async def first():
        found = await search(client, command.id, "needle")
        return found if len(found.matches) == 2 and found.log_size_bytes == 24 else None

    found = await until(first, 20)
    assert found.is_end
    assert found.next_offset == found.log_size_bytes
    await client.cancel(command.id)
    await client.final(command.id)
    rest = await search(client, command.id, "needle", from_offset=found.next_offset)
    assert [match.line for match in rest.matches] == [b"needle 2"]
    assert rest.is_end


async def test_searches_that_are_wrong_are_said(client, agent):
    command = await client.shell(agent.name, "echo line")
    await client.final(command.id)
    with pytest.raises(InvalidArgument) as error:
        await search(client, command.id, "(", regex=True)
    assert error.value.reason == "PATTERN_INVALID"
    with pytest.raises(InvalidArgument):
        await search(client, command.id, "")
    with pytest.raises(OutOfRange):
        await search(client, command.id, "x", from_offset=6)
    with pytest.raises(NotFound):
        await search(client, "0190a3a0-0000-7000-8000-000000000000", "x")
    with pytest.raises(NotFound):
        await search(client, "nonsense", "x")
