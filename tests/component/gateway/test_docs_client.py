"""The client of docs/streams.md, as it stands there, follows a log and a job through what breaks on the way."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from myx_kit.errors import Unavailable
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = Path(__file__).parents[3] / "docs/streams.md"


@pytest.fixture
def client(tmp_path: Path) -> Path:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program = tmp_path / "follow.py"
    program.write_text(code)
    return program


async def start(client: Path, gateway: Any, path: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    arguments = [str(client), gateway.url, gateway.token, path]
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=pipe, stderr=pipe)


async def ended(program: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    async with asyncio.timeout(30):
        out, err = await program.communicate()
    assert program.returncode == 0, err
    return out, err


async def test_it_follows_a_command(gateway: Any, backend: Any, client: Path) -> None:
    command_id, log = backend.new_log()
    log.write(b"one\n")
    program = await start(client, gateway, f"commands/{command_id}/log")
    await until(lambda: log.readers == 1, 20)
    await backend.stop("executor")
    log.write(b"oops\n", 2)
    log.gap(10, "size_limit")
    log.write(b"two\n")
    log.finish(id=command_id)
    await backend.start("executor")
    out, err = await ended(program)
    assert (out, err) == (b"one\ntwo\n", f"oops\n{command_id}: success\n".encode())


async def test_it_follows_a_job_across_a_restart_of_the_gateway(start_gateway: Any, backend: Any, client: Path) -> None:
    job = backend.new_job(3)
    job.write(1, b"one ")
    async with start_gateway() as gateway:
        program = await start(client, gateway, f"jobs/{job.job.id}")
        await until(lambda: job.given_bytes == 4, 20)
        assert await program.stdout.readexactly(4) == b"one "
        assert await asyncio.to_thread(gateway.program.stop) == 0
        job.write(1, b"more ")
        gateway.program.start()
        await until(lambda: job.given_bytes == 9, 30)
        job.fail(Unavailable("DATABASE_UNAVAILABLE", "gone"))
        await until(lambda: len(job.asked) == 3, 20)
        job.write(3, b"three")
        job.finish()
        out, err = await ended(program)
    assert (out, err) == (b"more three", f"{job.job.id}: success\n".encode())
    assert dict(job.asked[1].offsets) == {1: 4}
