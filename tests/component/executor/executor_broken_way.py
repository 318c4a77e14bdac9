"""A TLS man in the middle between executor and agent, with the agent's own certificate; it loses what a test wants."""

import asyncio
import ssl
from contextlib import suppress

CHUNK = 1 << 16


class BrokenWay:
    """`port` leads to the agent. Replies to calls can be swallowed after the agent gave them, log streams refused."""

    def __init__(self, agent):
        self._agent = agent
        self._to_swallow, self._of = 0, b"POST"
        self.swallowed = 0
        self.refuse_streams = False
        self.refused_streams = 0
        self.port = 0
        self._serving = {}

    async def __aenter__(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._agent.folder / "agent.crt", self._agent.folder / "agent.key")
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task, writers in list(self._serving.items()):
            task.cancel()
            for writer in writers:
                writer.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def swallow_replies(self, count, of=b"POST"):
        """The next `count` calls (those whose request says `of`) reach the agent, and their answers nobody."""
        self._to_swallow, self._of = count, of

    async def _serve(self, reader, writer):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        writers = self._serving[asyncio.current_task()] = [writer]
        asyncio.current_task().add_done_callback(self._serving.pop)
        with suppress(OSError, asyncio.IncompleteReadError):
            there, back = await asyncio.open_connection("127.0.0.1", self._agent.config["rpc_port"], ssl=context)
            writers.append(back)
            state = {"swallow": False}
            out = asyncio.create_task(self._requests(reader, back, writer, state))
            home = asyncio.create_task(self._answers(there, writer, state))
            await asyncio.wait({out, home}, return_when=asyncio.FIRST_COMPLETED)
            for task in (out, home):
                task.cancel()
            await asyncio.gather(out, home, return_exceptions=True)
        for one in writers:
            one.transport.abort()

    async def _requests(self, reader, back, writer, state):
        while chunk := await reader.read(CHUNK):
            if self._to_swallow and self._of in chunk:
                self._to_swallow -= 1
                state["swallow"] = True
            if chunk.startswith(b"GET") and self.refuse_streams:
                self.refused_streams += 1
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
                return
            back.write(chunk)
            await back.drain()

    async def _answers(self, there, writer, state):
        while chunk := await there.read(CHUNK):
            if state["swallow"]:
                self.swallowed += 1
                return
            writer.write(chunk)
            await writer.drain()


class Silent:
    """`port` takes connections and says nothing: a try lasts until its time is over. `tried` counts them."""

    async def __aenter__(self):
        self.tried = 0
        self._open = []
        self._server = await asyncio.start_server(self._hold, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _hold(self, _, writer):
        self.tried += 1
        self._open.append(writer)
