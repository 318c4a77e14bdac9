"""TLS at the door, with a certificate that is renewed while it is open."""

import asyncio
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from people import PASSWORD

from myx_kit.files import write_private
from myx_kit.tls import certificate_path, ensure_tls, key_path
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for this machine's own address, and its key."""
    ensure_tls(tmp_path / "first", ("gateway",))
    certificate, key = tmp_path / "door.crt", tmp_path / "door.key"
    put(tmp_path / "first", certificate, key)
    return certificate, key


def put(made: Path, certificate: Path, key: Path) -> None:
    """Put a certificate and its key where the door looks."""
    write_private(certificate, certificate_path(made, "gateway").read_text())
    write_private(key, key_path(made, "gateway").read_text())


def shown(port: int) -> str:
    """The certificate that a new connection sees."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=5)


def unchecked() -> ssl.SSLContext:
    """A client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def read_until(follower: Any, wanted: bytes) -> None:
    """Read output until this came."""
    async for message in follower:
        if message.type is aiohttp.WSMsgType.BINARY and wanted in message.data:
            return
    pytest.fail("it ended early")


async def test_the_door_speaks_tls_and_takes_a_new_certificate_without_a_restart(
    start_gateway: Any, backend: Any, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    certificate, key = pair
    async with start_gateway(scheme="https", tls_cert_file=certificate, tls_key_file=key) as gateway:
        first = await asyncio.to_thread(shown, gateway.port)
        assert first.strip() in certificate.read_text()
        async with gateway.http.get("/api/v1/session", ssl=unchecked()) as answer:
            assert answer.status == 200
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        body = {"name": "admin", "password": gateway.password}
        async with gateway.stranger.post("/api/v1/session", json=body, ssl=unchecked()) as answer:
            lines = answer.headers.getall("Set-Cookie")
            assert answer.status == 200
            assert all(line.startswith("__Host-myx_") and line.split("; ").count("Secure") == 1 for line in lines)
        command_id, log = backend.new_log()
        log.write(b"hello\n")
        async with gateway.http.ws_connect(f"/api/v1/commands/{command_id}/log/stream", ssl=unchecked()) as follower:
            await read_until(follower, b"hello")
            ensure_tls(tmp_path / "second", ("gateway",))
            put(tmp_path / "second", certificate, key)

            async def is_new() -> bool:
                return (await asyncio.to_thread(shown, gateway.port)) != first

            await until(is_new, 60)
            log.write(b"more\n")
            await read_until(follower, b"more")
        second = await asyncio.to_thread(shown, gateway.port)
        # Half a pair is not taken: the old one stays.
        write_private(key, key_path(tmp_path / "first", "gateway").read_text())
        await until(lambda: "certificate_not_taken" in gateway.program.log.read_text(), 60)
        assert await asyncio.to_thread(shown, gateway.port) == second
        assert PASSWORD not in gateway.program.log.read_text()


async def test_plain_http_and_old_tls_get_nowhere(start_gateway: Any, pair: tuple[Path, Path]) -> None:
    certificate, key = pair
    async with start_gateway(scheme="https", tls_cert_file=certificate, tls_key_file=key) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        with suppress(ConnectionError):
            assert not await asyncio.wait_for(reader.read(), 30)
        writer.close()
        old = unchecked()
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        old.set_ciphers("DEFAULT")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        raw = socket.create_connection(("127.0.0.1", gateway.port), 5)
        with raw, pytest.raises((ssl.SSLError, OSError)):
            await asyncio.to_thread(old.wrap_socket, raw)


async def test_what_is_no_http_is_refused_inside_tls(start_gateway: Any, pair: tuple[Path, Path]) -> None:
    certificate, key = pair
    async with start_gateway(scheme="https", tls_cert_file=certificate, tls_key_file=key) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=unchecked())
        writer.write(b"nonsense\r\n\r\n")
        assert b" 400 " in await asyncio.wait_for(reader.read(1000), 10)
        writer.close()
        async with gateway.http.get("/healthz", ssl=unchecked()) as answer:
            assert answer.status == 200
