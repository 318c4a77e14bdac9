"""The small HTTP port, spoken to by hand."""

import asyncio
import contextlib

import pytest

from myx_kit.errors import FailedPrecondition
from myx_kit.telemetry import serve_http


@pytest.fixture
async def port():
    port = await serve_http("127.0.0.1:0", lambda: port.is_ready)
    port.is_ready = True
    yield port
    await port.close()


async def ask(port, request):
    host, _, number = port.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(number))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def get(port, path):
    return await ask(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


async def test_readiness_follows_the_service(port):
    assert (await get(port, "/readyz")).startswith(b"HTTP/1.1 200 ")
    port.is_ready = False
    assert (await get(port, "/readyz")).startswith(b"HTTP/1.1 503 ")
    assert (await get(port, "/livez")).startswith(b"HTTP/1.1 200 ")


async def test_metrics_are_those_of_the_kit(port):
    answer = await get(port, "/metrics?x=1")
    assert b"myx_bus_connected" in answer
    assert b"text/plain" in answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /etc/passwd HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b"405"),
        (b"GET\r\n\r\n", b"405"),
    ],
)
async def test_other_requests_are_refused(port, request_, status):
    assert (await ask(port, request_)).startswith(b"HTTP/1.1 " + status)


async def test_an_endless_head_is_cut_off_and_the_port_lives_on(port):
    with contextlib.suppress(ConnectionError):
        assert await ask(port, b"x" * 100_000) == b""
    assert (await get(port, "/livez")).startswith(b"HTTP/1.1 200 ")


async def test_no_address_means_no_port():
    assert await serve_http("", lambda: True) is None


async def test_a_port_in_use_is_said(port):
    with pytest.raises(FailedPrecondition) as caught:
        await serve_http(port.address, lambda: True)
    assert caught.value.reason == "LISTEN_FAILED"
