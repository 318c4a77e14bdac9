"""What big logs, clients that do not read, and a stop do to the process."""

import asyncio
import base64
import contextlib
import hashlib
import os
import signal
import socket as sockets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from myx_kit.files import write_private
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MB = 1 << 20


def digest(log: Any) -> str:
    whole = hashlib.sha256()
    for _ in range(log.size // len(log.block)):
        whole.update(log.block)
    return whole.hexdigest()


async def test_a_big_log_passes_byte_exact_with_flat_memory(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_big_log(64 * MB)
    expected = digest(log)
    base = gateway.rss_bytes()
    seen = hashlib.sha256()
    async with gateway.socket(command_id) as socket:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                seen.update(memoryview(message.data)[9:])
    assert (seen.hexdigest(), socket.close_code) == (expected, 1000)
    seen = hashlib.sha256()
    async with gateway.http.get(f"/api/v1/commands/{command_id}/log") as answer:
        async for piece in answer.content.iter_any():
            seen.update(piece)
    assert seen.hexdigest() == expected
    assert gateway.rss_bytes() - base < 24 * MB


async def test_events_pass_byte_exact(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_big_log(8 * MB)
    seen = hashlib.sha256()
    async with gateway.http.get(f"/api/v1/commands/{command_id}/log/stream") as answer:
        for line in (await answer.read()).splitlines():
            if line.startswith(b'data: {"stream"'):
                seen.update(base64.b64decode(line.rsplit(b'"', 2)[1]))
    assert seen.hexdigest() == digest(log)


def connect_and_stall(gateway: Any, path: str, *, upgrade: bool) -> sockets.socket:
    """A client that asks for a log and never reads."""
    client = sockets.create_connection(("127.0.0.1", gateway.port))
    head = f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {gateway.token}\r\n"
    if upgrade:
        head += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        head += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    client.sendall(f"{head}\r\n".encode())
    return client


def reads_to_the_end(client: sockets.socket) -> bool:
    """Whether the other side has dropped the connection: what is left can be read in no time."""
    client.settimeout(5)
    with client, contextlib.suppress(ConnectionResetError):
        while client.recv(MB):
            pass
    return True


async def test_clients_that_do_not_read_cost_no_memory_and_are_dropped(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(stream_stall_s=1) as gateway:
        command_id, log = backend.new_big_log(1024 * MB)
        path = f"/api/v1/commands/{command_id}/log"
        base = gateway.rss_bytes()
        clients = [
            connect_and_stall(gateway, f"{path}/stream", upgrade=True),
            connect_and_stall(gateway, f"{path}/stream", upgrade=False),
            connect_and_stall(gateway, path, upgrade=False),
        ]
        await until(lambda: gateway.program.log.read_text().count("stream_ended") == 3, 20)
        assert log.given_bytes < 100 * MB
        assert gateway.rss_bytes() - base < 48 * MB
        for client in clients:
            assert await asyncio.to_thread(reads_to_the_end, client)
        assert gateway.program.log.read_text().count("1008") == 1


async def test_a_client_that_begins_to_read_again_learns_why(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(stream_stall_s=1) as gateway:
        command_id, _ = backend.new_big_log(1024 * MB)
        socket = await gateway.socket(command_id)
        await until(lambda: "stream_ended" in gateway.program.log.read_text())
        async with asyncio.timeout(10):
            async for _ in socket:
                pass
    assert socket.close_code == 1008


async def test_a_slow_client_that_reads_on_gets_everything(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(stream_stall_s=0.7) as gateway:
        command_id, log = backend.new_big_log(16 * MB)
        seen = hashlib.sha256()
        async with gateway.socket(command_id) as socket:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    seen.update(memoryview(message.data)[9:])
                    await asyncio.sleep(0.03)
    assert (seen.hexdigest(), socket.close_code) == (digest(log), 1000)


async def test_a_stop_ends_all_streams_with_a_word_and_in_time(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(drain_s=3) as gateway:
        command_id, log = backend.new_log()
        log.write(b"x")
        big_id, _ = backend.new_big_log(1024 * MB)
        stalled = connect_and_stall(gateway, f"/api/v1/commands/{big_id}/log/stream", upgrade=True)
        sockets_open = [await gateway.socket(command_id) for _ in range(5)]
        events = await gateway.http.get(f"/api/v1/commands/{command_id}/log/stream")
        await until(lambda: log.readers == 6)
        started = time.monotonic()
        gateway.program.process.send_signal(signal.SIGTERM)
        for socket in sockets_open:
            assert (await socket.receive(timeout=5)).data[9:] == b"x"
            message = await socket.receive(timeout=5)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1012)
            assert "come back" in message.extra
        assert b'"reason": "STOPPING"' in await events.read()
        status = await asyncio.to_thread(gateway.program.process.wait, 10)
        assert (status, time.monotonic() - started < 6) == (0, True)
        stalled.close()


async def test_a_request_under_way_is_answered_before_the_stop(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(drain_s=4) as gateway:
        released = asyncio.Event()
        backend.holds["GetCommand"] = released
        waiting = asyncio.create_task(gateway.http.get("/api/v1/commands/abc"))
        await until(lambda: backend.requests.get("GetCommand"))
        gateway.program.process.send_signal(signal.SIGTERM)
        await until(lambda: "service_stopping" in gateway.program.log.read_text())
        released.set()
        answer = await waiting
        assert answer.status == 200
        assert await asyncio.to_thread(gateway.program.process.wait, 10) == 0


async def test_a_request_that_outlasts_the_stop_gets_a_problem(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(drain_s=1) as gateway:
        backend.holds["GetCommand"] = asyncio.Event()
        waiting = asyncio.create_task(gateway.problem("GET", "/api/v1/commands/abc"))
        await until(lambda: backend.requests.get("GetCommand"))
        gateway.program.process.send_signal(signal.SIGTERM)
        problem = await waiting
        assert (problem["status"], problem["reason"]) == (503, "STOPPING")
        assert await asyncio.to_thread(gateway.program.process.wait, 10) == 0
        backend.holds["GetCommand"].set()


def run_gateway(tmp_path: Path, tls_dir: Path, *, action: str = "serve", **settings: str) -> tuple[int, str]:
    """Exit code and stderr of a gateway that ends by itself."""
    token = tmp_path / "token"
    if not token.exists():
        token.touch(mode=0o600)
        token.write_text("a" * 32)
    targets = {f"{name}_TARGET": "127.0.0.1:1" for name in ("REGISTRY", "HEARTBEAT", "EXECUTOR")}
    url = tmp_path / "url"
    write_private(url, "postgresql://nobody@127.0.0.1:1/none")
    files = {"TLS_DIR": tls_dir, "ADMIN_TOKEN_FILE": token, "DATABASE_URL_FILE": url}
    values = {**{name: str(file) for name, file in files.items()}, **targets, **settings}
    env = {"PATH": os.environ["PATH"], **{f"MYX_GATEWAY_{key}": value for key, value in values.items()}}
    command = [sys.executable, "-m", "myx_gateway", action]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    return ended.returncode, ended.stderr


async def test_a_port_in_use_is_one_clear_line(gateway: Any, tmp_path: Path, tls_dir: Path) -> None:
    code, text = run_gateway(tmp_path, tls_dir, LISTEN=f"127.0.0.1:{gateway.port}")
    assert code == 1
    assert text.splitlines()[-1].startswith(f"cannot listen on 127.0.0.1:{gateway.port}: Address already in use")
    assert "Traceback" not in text


async def test_bad_settings_are_named_and_nothing_starts(tmp_path: Path, tls_dir: Path) -> None:
    code, text = run_gateway(tmp_path, tls_dir, LISTEN="nowhere", STREAM_STALL_S="0", COLOUR="red")
    assert code == 2
    names = {line.partition(":")[0] for line in text.splitlines()}
    assert names == {"MYX_GATEWAY_LISTEN", "MYX_GATEWAY_STREAM_STALL_S", "MYX_GATEWAY_COLOUR"}


@pytest.mark.parametrize(
    ("content", "mode"), [("a" * 32, 0o644), ("short", 0o600), ("", 0o600), ("two words" * 4, 0o600)]
)
async def test_a_token_that_is_exposed_or_weak_is_refused(
    tmp_path: Path, tls_dir: Path, content: str, mode: int
) -> None:
    (tmp_path / "token").write_text(content)
    (tmp_path / "token").chmod(mode)
    code, text = run_gateway(tmp_path, tls_dir, action="check-config")
    assert code == 1
    assert "token" in text
    assert not content or content not in text


async def test_good_settings_are_accepted(tmp_path: Path, tls_dir: Path) -> None:
    assert run_gateway(tmp_path, tls_dir, action="check-config") == (0, "")


async def test_an_inherited_socket_keeps_the_port_across_a_crash(backend: Any, tmp_path: Path) -> None:
    listener = sockets.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("b" * 32)
    env = {
        "PATH": os.environ["PATH"],
        "MYX_GATEWAY_LISTEN_FD": str(listener.fileno()),
        "MYX_GATEWAY_TLS_DIR": str(backend.tls_dir),
        "MYX_GATEWAY_ADMIN_TOKEN_FILE": str(token),
        "MYX_GATEWAY_DATABASE_URL_FILE": str(backend.database.url_file),
        **{f"MYX_GATEWAY_{name.upper()}_TARGET": address for name, address in backend.addresses.items()},
    }

    def start() -> subprocess.Popen[bytes]:
        ready, told = os.pipe()
        command = [sys.executable, "-m", "myx_gateway", "serve"]
        process = subprocess.Popen(
            command,
            env={**env, "MYX_READY_FD": str(told)},
            pass_fds=[listener.fileno(), told],
            stderr=subprocess.DEVNULL,
        )
        os.close(told)
        with os.fdopen(ready, "rb") as pipe:
            assert pipe.read() == b"READY\n"
        return process

    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        process = await asyncio.to_thread(start)
        async with http.get("/healthz") as answer:
            assert answer.status == 200
        process.kill()
        process.wait(10)
        # Nobody accepts now; the connection waits in the backlog of the socket that the test holds.
        waiting = asyncio.create_task(http.get("/healthz"))
        process = await asyncio.to_thread(start)
        answer = await waiting
        assert answer.status == 200
        process.terminate()
        assert process.wait(10) == 0
    listener.close()


async def test_a_descriptor_that_does_not_listen_is_refused(tmp_path: Path, tls_dir: Path) -> None:
    code, text = run_gateway(tmp_path, tls_dir, LISTEN_FD="42")
    assert code == 1
    assert "descriptor 42 is no listening socket" in text
