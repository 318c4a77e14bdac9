"""A TLS server that behaves as badly as a test asks it to, in the place of an agent."""

import asyncio
import datetime as dt
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from myx_kit.agent_rpc.client import AgentClient, AgentTarget
from myx_kit.retry import RetryPolicy

TOKEN = "the-agent-token"
SECRET_KEY = "the-secret-key"
RPC_PATH = "a3f8b9c2d1e4f607"


def pytest_asyncio_loop_factories(config, item):
    """The control plane runs on uvloop, whose TLS and errors differ from asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass
class Certificate:
    context: ssl.SSLContext
    sha256: str


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    def answers(self) -> bytes:
        """An empty result for each call of this request."""
        document = json.loads(self.body)
        if isinstance(document, dict):
            return json.dumps({"jsonrpc": "2.0", "id": document["id"], "result": {}}).encode()
        return json.dumps([{"jsonrpc": "2.0", "id": one["id"], "result": {}} for one in document]).encode()


Behaviour = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RogueAgent:
    """Works off `script`, one behaviour a request; when it is empty, every call succeeds."""

    address: str = "127.0.0.1"
    certificate_sha256: str = ""
    port: int = 0
    script: list[Behaviour] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    received_bytes: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    server: asyncio.Server | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.received_bytes += len(head)
                line, *lines = head.decode().strip().split("\r\n")
                method, target, _ = line.split()
                headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                request = Request(method, target, headers, body, number)
                self.requests.append(request)
                behaviour = self.script.pop(0) if self.script else succeed
                await behaviour(request, writer)
                if writer.is_closing():
                    break
        writer.close()

    def target(self, **changes: object) -> AgentTarget:
        values = {
            "agent_id": "agent",
            "address": self.address,
            "rpc_port": self.port,
            "rpc_path": RPC_PATH,
            "agent_token": TOKEN,
            "secret_key": SECRET_KEY,
            "certificate_sha256": self.certificate_sha256,
        }
        return AgentTarget(**{**values, **changes})

    def drop_connections(self) -> None:
        for writer in self.writers:
            writer.transport.abort()

    async def stop_listening(self) -> None:
        if self.server is not None:
            self.server.close()


async def succeed(request: Request, writer: asyncio.StreamWriter) -> None:
    await answer(200, request.answers())(request, writer)


def answer(status: int, body: bytes = b"", headers: str = "", *, close: bool = False) -> Behaviour:
    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)
        await writer.drain()
        if close:
            writer.close()

    return behave


def raw(data: bytes) -> Behaviour:
    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return behave


async def reset(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def rpc_error(code: int, **data: object) -> Behaviour:
    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        error = {"code": code, "message": "no", "data": data}
        document = json.loads(request.body)
        number = document["id"] if isinstance(document, dict) else None
        await answer(200, json.dumps({"jsonrpc": "2.0", "id": number, "error": error}).encode())(request, writer)

    return behave


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> list[Certificate]:
    """Two self-signed certificates; agents use the first."""
    return [_make_certificate(tmp_path_factory.mktemp("certificate")) for _ in range(2)]


def _make_certificate(folder: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agent")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "agent.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "agent.pem")
    return Certificate(context, certificate.fingerprint(hashes.SHA256()).hex())


@pytest.fixture
async def agent(certificates: list[Certificate]) -> AsyncIterator[RogueAgent]:
    rogue = RogueAgent(certificate_sha256=certificates[0].sha256)
    rogue.server = await asyncio.start_server(rogue.serve, "127.0.0.1", 0, ssl=certificates[0].context)
    rogue.port = rogue.server.sockets[0].getsockname()[1]
    yield rogue
    rogue.release.set()
    rogue.server.close()
    rogue.drop_connections()


@pytest.fixture
async def client() -> AsyncIterator[AgentClient]:
    async with AgentClient(timeout_s=5, retry=RetryPolicy(base_delay_s=0.001)) as one:
        yield one


@pytest.fixture
def hang(agent: RogueAgent) -> Behaviour:
    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        await agent.release.wait()

    return behave


@pytest.fixture
def behaviours(hang: Behaviour) -> dict[str, Behaviour]:
    """Misbehaviours by name."""
    return {
        "hang": hang,
        "reset": reset,
        "truncated": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        "closed without an answer": raw(b""),
        "no HTTP": raw(b"\x00\xff garbage\r\n\r\n"),
        "no JSON": answer(200, b"<html>"),
        "another id": answer(200, b'{"jsonrpc":"2.0","id":7,"result":{}}'),
        "301": answer(301, b"", "Location: https://127.0.0.1:1/\r\n"),
        "skew": answer(401, b'{"error":"clock_skew","time":0}', "Content-Type: application/json\r\n"),
        **{str(status): answer(status) for status in (400, 401, 403, 404, 413, 429, 500, 502, 503)},
        "-32603": rpc_error(-32603),
        "-32005 retryable": rpc_error(-32005, reason="SUPERVISOR_AWAY", retryable=True),
        "-32001": rpc_error(-32001, reason="COMMAND_ID_CONFLICT", retryable=False),
        **{str(code): rpc_error(code) for code in (-32700, -32600, -32601, -32602)},
    }


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
