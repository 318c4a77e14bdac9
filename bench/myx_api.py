"""MyX through its public API, as a program would use it, and a MyX of the bench's own."""

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp


class Api:
    """One kept-alive client of a MyX."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}/api/v1"

    async def start(self, command: str, *args: str) -> str:
        """Start a command on `local`; its id."""
        body = {"server": "local", "command": command, "args": list(args)}
        async with self._session.post(f"{self._url}/commands", json=body) as answer:
            answer.raise_for_status()
            return str((await answer.json())["id"])

    async def follow(self, command_id: str, on_data: Callable[[bytes], None] = lambda _: None) -> dict[str, Any]:
        """Follow a command's log to its end; the final command document."""
        address = f"{self._url}/commands/{command_id}/log/stream?offset=0"
        async with self._session.ws_connect(address, max_msg_size=4 << 20, compress=0) as socket:
            async for message in socket:
                if message.type == aiohttp.WSMsgType.BINARY:
                    _stream, _offset = struct.unpack_from("!BQ", message.data)
                    on_data(message.data[9:])
                elif message.type == aiohttp.WSMsgType.TEXT:
                    document = json.loads(message.data)
                    if document["type"] == "final":
                        return dict(document["command"])
        raise RuntimeError("the stream ended without a final record")

    async def run(self, command: str, *args: str, on_data: Callable[[bytes], None] = lambda _: None) -> dict[str, Any]:
        """Start a command and follow it to its end."""
        return await self.follow(await self.start(command, *args), on_data)


@asynccontextmanager
async def own_myx() -> AsyncIterator[tuple[Api, str]]:
    """A whole MyX in a folder of its own, and its home; stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="myx-bench-") as folder:
        home = f"{folder}/home"
        environment = {**os.environ, "MYX_HOME": home, "MYX_PORT": "0"}
        program = str(Path(sys.executable).parent / "myx-standalone")
        log = Path(folder) / "up.log"
        with log.open("wb") as output:
            process = subprocess.Popen([program, "up"], env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            ready = Path(home) / "standalone.json"
            deadline = time.monotonic() + 90
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"MyX did not start:\n{log.read_text()}")
                await asyncio.sleep(0.1)
            access = json.loads(ready.read_text())
            headers = {"Authorization": f"Bearer {access['token']}"}
            async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=300)) as session:
                yield Api(session, access["url"]), home
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
