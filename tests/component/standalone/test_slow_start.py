import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from myx_standalone import child as child_module
from myx_standalone import postgres, up
from myx_standalone.child import Child, Service
from myx_standalone.errors import StandaloneError
from myx_standalone.home import Home
from myx_standalone.logs import Logs
from myx_standalone.up import Standalone

RECOVERING = b"E\x00\x00\x00\x40SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
REFUSED = b"E\x00\x00\x00\x40SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0"


def recovering(folder: Path, said: list[str], is_ready: Callable[[], bool]) -> Child:
    argv = [sys.executable, "-c", "import signal; signal.pause()"]
    service = Service("it", lambda: argv, dict(os.environ), is_ready=is_ready, is_coming=lambda: True)
    return Child(service, Logs(folder), said.append)


async def test_what_says_that_it_is_coming_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "READY_WITHIN_S", 0.5)
    monkeypatch.setattr(child_module, "TELL_EVERY_S", 0.2)
    said: list[str] = []
    child = recovering(tmp_path, said, lambda: len(said) >= 5)
    try:
        await child.start()
    finally:
        await child.kill()
    assert said[0] == f"it is still starting after 0 s (log: {tmp_path / 'it.log'})"


async def test_what_only_says_so_is_given_up_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "READY_WITHIN_S", 0.5)
    monkeypatch.setattr(child_module, "TELL_EVERY_S", 0.2)
    monkeypatch.setattr(child_module, "SLOW_WITHIN_S", 1.0)
    child = recovering(tmp_path, [], lambda: False)
    try:
        with pytest.raises(StandaloneError, match="it was not ready within 1 s"):
            await child.start()
        child.service = replace(child.service, is_coming=lambda: False)
        with pytest.raises(StandaloneError, match=r"it was not ready within 0\.5 s"):
            await child.start()
    finally:
        await child.kill()


@pytest.mark.parametrize(("greeting", "starting"), [(RECOVERING, True), (REFUSED, False), (b"R\0\0\0\x08", False)])
async def test_a_database_that_recovers_says_so(greeting: bytes, starting: bool) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(greeting)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await asyncio.to_thread(postgres.is_starting, port) is starting
        assert await asyncio.to_thread(postgres.accepts_logins, port) is greeting.startswith(b"R")


async def test_a_long_migration_is_told_and_the_clock_of_the_start_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(up, "START_WITHIN_S", 1.0)
    monkeypatch.setattr(up, "TELL_EVERY_S", 0.2)
    home = Home(tmp_path)
    home.prepare()
    whole = Standalone(home, 0, "info")
    argv = [sys.executable, "-c", "import time; time.sleep(1.5)"]
    async with asyncio.timeout(1.0) as whole.start_limit:
        await whole._step("migrate-registry", argv, dict(os.environ), slow=True)
    assert capsys.readouterr().out.startswith("migrate-registry still runs after 0 s (log: ")
    whole.start_limit = None
    monkeypatch.setattr(up, "SLOW_WITHIN_S", 0.3)
    with pytest.raises(StandaloneError, match=r"migrate-registry did not end within 0\.3 s"):
        await whole._step("migrate-registry", argv, dict(os.environ), slow=True)
