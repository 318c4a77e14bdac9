"""Our end against the server of the websockets library."""

import asyncio
import gc
import os
import socket
import threading
import weakref
from base64 import b64encode
from contextlib import suppress
from hashlib import sha1

import pytest
from websockets.asyncio.server import serve

from myx_cli.api import Client
from myx_cli.endpoint import Endpoint
from myx_cli.errors import Unreachable
from myx_cli.websocket import BINARY, TEXT, Closed, WebSocket


@pytest.fixture
def peer():
    """Opens a WebSocket to a server whose handler is given."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    opened = []

    def run(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)

    def connect(handler, silence_s=20.0):
        async def start():
            return await serve(handler, "127.0.0.1", 0, compression=None, max_size=None)

        server = run(start())
        client = Client(Endpoint("http", "127.0.0.1", server.sockets[0].getsockname()[1], "", "t", "test"))
        sock = WebSocket(client, "/commands/x/log/stream", silence_s)
        opened.append((sock, server))
        return sock

    yield connect

    async def stop(server):
        server.close()
        await server.wait_closed()

    for sock, server in opened:
        sock.close()
        run(stop(server))
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def read_all(sock):
    received = []
    while True:
        try:
            received += [(kind, bytes(data)) for kind, data in sock.receive()]
        except Closed as closed:
            return received, closed


SIZES = (0, 1, 125, 126, 127, 65535, 65536, 262_153, 1_048_576, 3_000_000, 5, 1_500_000, 70_000)


def test_messages_of_all_sizes_arrive_whole_and_in_order(peer):
    sent = [os.urandom(size) for size in SIZES]

    async def handler(connection):
        for message in sent:
            await connection.send(message)
        await connection.send("done")
        await connection.close(1012, "later")

    received, closed = read_all(peer(handler))
    assert received == [*((BINARY, message) for message in sent), (TEXT, b"done")]
    assert (closed.code, closed.reason) == (1012, "later")


def test_fragments_are_put_together(peer):
    async def handler(connection):
        await connection.send([b"ab", b"", b"cd" * 100_000])
        await connection.send(["x", "y"])

    received, closed = read_all(peer(handler))
    assert received == [(BINARY, b"ab" + b"cd" * 100_000), (TEXT, b"xy")]
    assert closed.code == 1000


def test_pings_are_answered_and_sent(peer):
    answered = threading.Event()

    async def handler(connection):
        await asyncio.wait_for(await connection.ping(b"x" * 125), 5)
        answered.set()
        await asyncio.sleep(0.5)  # longer than two silences of the receiver
        await connection.send(b"end")

    received, _ = read_all(peer(handler, silence_s=0.1))
    assert received == [(BINARY, b"end")]
    assert answered.is_set()


def test_a_lost_connection_is_an_end(peer):
    async def handler(connection):
        await connection.send(b"a")
        connection.transport.abort()

    received, closed = read_all(peer(handler))
    assert (received, closed.code) in (([(BINARY, b"a")], 1006), ([], 1006))


def test_a_silent_peer_is_given_up(monkeypatch):
    async def silent(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        key = head.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
        accept = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(b"HTTP/1.1 101 S\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        await reader.read()
        writer.close()

    with pytest.raises(Closed, match="gone silent"):
        talk(silent, lambda sock: sock.receive())


def test_an_answer_that_is_not_of_a_websocket_server_is_refused():
    async def wrong(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 S\r\nSec-WebSocket-Accept: no\r\n\r\n")
        await reader.read()
        writer.close()

    with pytest.raises(Unreachable, match="not one of a WebSocket server"):
        talk(wrong, lambda sock: None)


def talk(handler, use):
    """Uses a WebSocket to a server of plain sockets."""

    async def main():
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        client = Client(Endpoint("http", "127.0.0.1", server.sockets[0].getsockname()[1], "", "t", "test"))

        def connect():
            sock = WebSocket(client, "/x", 0.05)
            try:
                use(sock)
            finally:
                sock.close()

        try:
            await asyncio.to_thread(connect)
        finally:
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0.01)  # lets the handler close its end

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 125, 126, 65535, 65536, 200_001])
def test_a_text_of_any_size_is_sent_masked(size):
    ours, theirs = socket.socketpair()
    opened = WebSocket.__new__(WebSocket)
    opened._sock = ours
    text = "".join(chr(97 + index % 26) for index in range(size))
    sender = threading.Thread(target=opened.send_text, args=(text,))
    sender.start()
    with theirs.makefile("rb") as stream:
        first, length = stream.read(2)
        assert first == 0x81
        assert length & 0x80
        length &= 0x7F
        if length > 125:
            length = int.from_bytes(stream.read(2 if length == 126 else 8), "big")
        mask = stream.read(4)
        payload = stream.read(length)
    sender.join(5)
    ours.close()
    theirs.close()
    assert bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload)).decode() == text


def test_a_stream_that_was_closed_keeps_no_memory_without_the_collector():
    class Alone:
        def upgrade(self, _path, headers):
            key = headers["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            ours, other = socket.socketpair()
            other.close()
            return ours, {"sec-websocket-accept": b64encode(sha1(key).digest()).decode()}, b"\x88\x02\x03\xe8"

    def follow():
        sock = WebSocket(Alone(), "/commands/x/log/stream")
        with suppress(Closed):  # pytest.raises would keep it
            sock.receive()
        sock.close()
        return weakref.ref(sock)

    gc.disable()  # as __main__ does
    try:
        assert follow()() is None
    finally:
        gc.enable()
