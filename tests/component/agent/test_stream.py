"""The WebSocket log stream."""

import asyncio
import hashlib
import re
from pathlib import Path

import aiohttp
import psutil
import pytest

from myx_testkit.wait import until


def rss_mb(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 1e6


async def test_a_follower_sees_lines_as_they_are_written(call, tmp_path):
    go = tmp_path / "go"
    command_id = await call.start("sh", "-c", f"echo first; until [ -e {go} ]; do sleep 0.01; done; echo second")
    seen = []

    def look(log):
        seen.append(len(log.frames))
        if log.stdout == b"first\n":
            go.touch()

    log = await call.follow(command_id, each=look)

    assert [(stream, offset, data) for stream, offset, data in log.frames] == [(1, 0, b"first\n"), (1, 6, b"second\n")]


@pytest.mark.parametrize("offset", [0, 1, 99_999, 100_000, 150_000, 200_003])
async def test_a_follower_may_begin_anywhere(call, offset):
    script = "seq -w 20000 | head -c 100000; echo err >&2; sleep 0.05; seq -w 20000 | head -c 99999"
    command_id = await call.start("sh", "-c", script)
    log = await call.follow(command_id)
    whole = log.text
    later = await call.follow(command_id, offset)

    assert len(whole) == 200_003
    assert later.text == whole[offset:]
    assert later.frames == [] or later.frames[0][1] == offset
    assert later.result == log.result


async def test_many_followers_see_the_same(call):
    command_id = await call.start(
        "sh", "-c", "for i in $(seq 200); do echo $i; done; sleep 0.1; head -c 300000 /dev/urandom"
    )
    logs = await asyncio.gather(*(call.follow(command_id) for _ in range(10)))

    assert len({log.text for log in logs}) == 1
    assert all(log.close_code == 1000 for log in logs)


@pytest.mark.parametrize(
    ("command_id", "offset", "code"),
    [
        ("never-was", 0, -32002),
        ("known", 4, -32003),
        ("known", "x", -32602),
        ("known", -1, -32602),
        ("known", "", -32602),
    ],
)
async def test_what_cannot_be_followed_is_said_before_the_close(call, command_id, offset, code):
    await call("execute_command", command="printf", args=["123"], command_id="known")
    await call.follow("known")
    log = await call.follow(command_id, offset)

    assert (log.errors[0]["code"], log.close_code, log.final) == (code, 1008, None)
    assert log.errors[0]["data"]["retryable"] is False


async def test_a_follower_that_leaves_leaves_nothing_behind(call, shared_agent):
    command_id = await call.start("sleep", "60")
    process = psutil.Process(shared_agent.program.pid)
    async with call.stream(command_id):
        pass
    before = process.num_fds()
    for _ in range(20):
        async with call.stream(command_id):
            pass
    await until(lambda: process.num_fds() <= before + 1, 10)
    await call("cancel_command", command_id=command_id, grace=0)


async def test_followers_are_told_to_come_back_when_the_agent_stops(own, own_agent):
    command_id = await own.start("sh", "-c", "echo one; sleep 60")
    stop_at_once = []

    def stop(log):
        if not stop_at_once:
            stop_at_once.append(own_agent.program.process.terminate())

    log = await own.follow(command_id, each=stop)
    own_agent.program.process.wait(5)

    assert (log.stdout, log.final, log.close_code) == (b"one\n", None, 1012)
    own_agent.restart()
    rest = asyncio.create_task(own.follow(command_id, 4))
    await own("cancel_command", command_id=command_id, grace=0)
    assert (await rest).result["reason"] == "cancelled"


async def test_a_hundred_megabytes_arrive_byte_exact_in_flat_memory(own, own_agent):
    size = 100_000_000
    digest, total, offsets_fit = hashlib.sha256(), 0, True
    highest = {own_agent.program.pid: 0.0, own.supervisor.pid: 0.0}
    idle = {pid: rss_mb(pid) for pid in highest}

    def take(log):
        nonlocal total, offsets_fit
        if log.frames:
            _stream, offset, data = log.frames.pop()
            offsets_fit = offsets_fit and offset == total
            digest.update(data)
            total += len(data)
            if total // 5_000_000 != (total - len(data)) // 5_000_000:
                highest.update({pid: max(before, rss_mb(pid)) for pid, before in highest.items()})

    command_id = await own.start("head", "-c", str(size), "/dev/urandom")
    log = await own.follow(command_id, each=take)

    assert total == size
    assert offsets_fit
    assert log.result["stdout"] == {"bytes": size, "sha256": digest.hexdigest(), "dropped": 0}
    assert all(highest[pid] < idle[pid] + 12 for pid in highest), (idle, highest)


async def test_a_million_short_lines_arrive(own):
    digest = hashlib.sha256()
    frames = 0

    def take(log):
        nonlocal frames
        if log.frames:
            digest.update(log.frames.pop()[2])
            frames += 1

    log = await own.follow(await own.start("seq", "1000000"), each=take)

    assert log.result["stdout"]["bytes"] == 6_888_896
    assert log.result["stdout"]["sha256"] == digest.hexdigest()
    assert frames < 5000  # whole pieces, not lines


async def test_a_stalled_follower_costs_no_memory_and_holds_nobody_up(own, own_agent):
    idle = rss_mb(own_agent.program.pid)
    command_id = await own.start("head", "-c", "50000000", "/dev/zero")
    async with own.stream(command_id):  # reads nothing beyond what aiohttp takes by itself
        swift = await own.follow(command_id, keep=False)

        assert swift.result["stdout"]["bytes"] == 50_000_000
        assert rss_mb(own_agent.program.pid) < idle + 12


async def test_streams_that_alternate_fast_lose_nothing(call):
    program = "import os\nfor i in range(3000):\n os.write(1, b'o%d\\n' % i); os.write(2, b'e%d\\n' % i)"
    log = await call.run("python3", "-c", program)

    assert log.stdout == b"".join(b"o%d\n" % i for i in range(3000))
    assert log.stderr == b"".join(b"e%d\n" % i for i in range(3000))


async def test_a_handshake_without_the_token_is_refused_before_the_upgrade(call):
    for path, status in (("/log", 401), ("/log/", 404), ("/nolog", 404)):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await call.session.ws_connect(f"{call.url}/commands/any{path}", ssl=call.tls)
        assert caught.value.status == status


async def test_the_pipes_are_gone_when_a_command_has_ended(call):
    command_id = await call.start("true")
    await call.follow(command_id)
    names = {path.name for path in Path(call.folder(command_id)).iterdir()}

    assert names == {"meta.json", "pid", "log", "index", "result.json"}
    assert re.fullmatch(
        r"\d+ \d+ [\d.]+ [\d.]+ [\w-]+\nexec\nexit 0 [\d.]+\n", (call.folder(command_id) / "pid").read_text()
    )
