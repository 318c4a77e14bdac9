"""Kept-alive TLS connections to agents, pinned by certificate, and one try of one request over them."""

import asyncio
import errno
import hashlib
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import aiohttp
from yarl import URL

from myx_kit.agent_rpc.errors import Cause
from myx_kit.agent_rpc.resolver import Resolver

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

# Longer than the longest heartbeat interval, shorter than the agent's own keep-alive (300 s): the client closes first.
KEEPALIVE_S = 120
# A connection that the agent closed while it was idle is replaced at once, but not for ever.
MAX_STALE_CONNECTIONS = 3
WS_CLOSE_S = 0.5

_T = TypeVar("_T")


class Failed(Exception):
    """One try failed on the way. `sent`: whether the request may have left this process."""

    def __init__(self, cause: Cause, message: str, sent: bool) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it came."""

    status: int
    body: bytes = field(repr=False)


@dataclass(slots=True)
class _Progress:
    """How far one try came; aiohttp's exceptions do not tell."""

    tcp_connected: bool = False
    connected: bool = False
    reused: bool = False
    answered: bool = False
    pin_mismatch: bool = False
    deadline: float = 0
    transport: asyncio.Transport | None = None
    sockets: list[socket.socket] = field(default_factory=list)
    probe: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Notes whether the port was open: after the time-out the sockets are closed and cannot tell any more."""
        self.tcp_connected = any(_is_connected(one) for one in self.sockets)

    def close(self) -> None:
        if self.probe is not None:
            self.probe.cancel()
        self.sockets.clear()


_progress: ContextVar[_Progress] = ContextVar("_progress")


class PinnedCertificate(aiohttp.Fingerprint):
    """The SHA-256 of the only certificates that are accepted; checked before any byte of a request leaves.

    Equal by value, because aiohttp pools connections by it.
    """

    def __init__(self, *digests: bytes) -> None:
        super().__init__(digests[0])
        self._digests = frozenset(digests)
        self._hash = hash(self._digests)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, PinnedCertificate) and self._digests == other._digests)

    def __hash__(self) -> int:
        return self._hash

    def check(self, transport: asyncio.Transport) -> None:
        progress = _progress.get()
        progress.transport = transport
        shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        digest = hashlib.sha256(shown).digest()
        if digest not in self._digests:
            progress.pin_mismatch = True
            raise aiohttp.ServerFingerprintMismatch(self.fingerprint, digest, "", 0)
        progress.connected = True


class _Connector(aiohttp.TCPConnector):
    """Notes that a connection is one that was kept. aiohttp's traces tell it too, for a tenth of a call's CPU."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list["Trace"], timeout: aiohttp.ClientTimeout
    ) -> "Connection":
        connection = await super().connect(req, traces, timeout)
        progress = _progress.get()
        # A new one has shown its certificate.
        if not progress.connected:
            progress.connected = progress.reused = True
        return connection


class Pool:
    """All connections to agents of one process; to be opened and used on one event loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._resolver: Resolver | None = None
        # Every TLS connection that may still be open: aiohttp forgets those that it has begun to close.
        self._transports: set[asyncio.Transport] = set()
        self._purge_above = 64

    async def __aenter__(self) -> Self:
        self._resolver = Resolver()
        connector = _Connector(
            limit=0, keepalive_timeout=KEEPALIVE_S, socket_factory=_open_socket, resolver=self._resolver
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding", "User-Agent", "Accept"),
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            for transport in self._transports:
                transport.abort()
            self._transports.clear()
            await asyncio.sleep(0)
        if self._resolver is not None:
            await self._resolver.close()

    async def post(
        self,
        url: URL,
        headers: Callable[[], Mapping[str, str]],
        body: bytes,
        pin: PinnedCertificate,
        *,
        timeout_s: float,
        max_bytes: int,
    ) -> Answer:
        """The answer to one POST. `headers` is called anew for each connection that is tried. Raises Failed."""

        async def send(session: aiohttp.ClientSession) -> Answer:
            async with session.post(url, data=body, headers=headers(), ssl=pin, allow_redirects=False) as response:
                _progress.get().answered = True
                return Answer(response.status, await _read(response, max_bytes))

        return await self._try(send, timeout_s)

    async def open_websocket(
        self,
        url: URL,
        headers: Callable[[], Mapping[str, str]],
        pin: PinnedCertificate,
        *,
        timeout_s: float,
        max_message_bytes: int,
    ) -> aiohttp.ClientWebSocketResponse | Answer:
        """An open WebSocket without compression and automatic pongs, or the answer that refused it. Raises Failed."""

        async def send(session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse | Answer:
            try:
                return await session.ws_connect(
                    url,
                    headers=headers(),
                    ssl=pin,
                    compress=0,
                    max_msg_size=max_message_bytes,
                    autoping=False,
                    timeout=aiohttp.ClientWSTimeout(ws_close=WS_CLOSE_S),
                )
            except aiohttp.WSServerHandshakeError as refusal:
                # aiohttp drops the body; what it would say is told by its type.
                kind = "" if refusal.headers is None else refusal.headers.get("Content-Type", "")
                return Answer(refusal.status, kind.encode())

        return await self._try(send, timeout_s)

    async def _try(self, send: Callable[[aiohttp.ClientSession], Awaitable[_T]], timeout_s: float) -> _T:
        if self._session is None:
            raise RuntimeError("the agent client is not open")
        deadline = asyncio.get_running_loop().time() + timeout_s
        sent_before = False
        stale = 0
        while True:
            progress = _Progress(deadline=deadline)
            failed = await _try_once(self._session, send, progress)
            if progress.transport is not None:
                self._note(progress.transport)
            if not isinstance(failed, Failed):
                return failed
            sent_before = sent_before or failed.sent
            # Every call may be repeated: a kept-alive connection that the agent had closed is no failed attempt.
            idle_closed = failed.cause is Cause.CONNECTION_LOST and progress.reused and not progress.answered
            if idle_closed and stale < MAX_STALE_CONNECTIONS:
                stale += 1
                continue
            raise Failed(failed.cause, failed.message, sent_before)

    def _note(self, transport: asyncio.Transport) -> None:
        self._transports.add(transport)
        if len(self._transports) > self._purge_above:
            self._transports = {one for one in self._transports if not one.is_closing()}
            self._purge_above = 64 + 2 * len(self._transports)


async def _try_once(
    session: aiohttp.ClientSession, send: Callable[[aiohttp.ClientSession], Awaitable[_T]], progress: _Progress
) -> _T | Failed:
    token = _progress.set(progress)
    try:
        async with asyncio.timeout_at(progress.deadline):
            return await send(session)
    except Exception as error:  # noqa: BLE001 - every failure of the library is a cause; _classify raises what is none
        return _classify(error, progress)
    finally:
        _progress.reset(token)
        progress.close()


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            raise Failed(Cause.RPC_ERROR, "the answer is too large", sent=True)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _open_socket(addr_info: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, proto, _, _ = addr_info
    sock = socket.socket(family=family, type=kind, proto=proto)
    progress = _progress.get()
    progress.sockets.append(sock)
    if progress.probe is None:
        loop = asyncio.get_running_loop()
        left = progress.deadline - loop.time()
        progress.probe = loop.call_later(max(0.0, left * 0.95), progress.look)
    return sock


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _classify(error: Exception, progress: _Progress) -> Failed:
    """The cause of a failure. Texts of the library are not passed on: they hold the URL, and with it the path."""
    sent = progress.connected
    if isinstance(error, Failed):
        return error
    if progress.pin_mismatch:
        return _failed(Cause.PIN_MISMATCH, False)
    if isinstance(error, TimeoutError) and error.errno is None:
        return _failed(_timeout_cause(progress), sent)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _failed(Cause.NAME_UNRESOLVED, False)
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)) and not sent:
        return _failed(Cause.TLS_FAILED, False)
    if not sent and isinstance(error, OSError):
        return _failed(_connect_cause(error), False)
    if isinstance(error, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError)):
        return _failed(Cause.CONNECTION_LOST, sent)
    if isinstance(error, aiohttp.ClientError):
        # What answered does not speak HTTP as we know it, or the URL cannot be built.
        return Failed(Cause.RPC_ERROR, "the answer is not HTTP", sent)
    raise error


def _failed(cause: Cause, sent: bool) -> Failed:
    return Failed(cause, cause.sentence, sent)


def _timeout_cause(progress: _Progress) -> Cause:
    if progress.connected or progress.tcp_connected:
        return Cause.HUNG
    return Cause.FILTERED if progress.sockets else Cause.NAME_UNRESOLVED


_CONNECT_CAUSES = {
    errno.ECONNREFUSED: Cause.REFUSED,
    errno.ETIMEDOUT: Cause.FILTERED,
    errno.ECONNRESET: Cause.TLS_FAILED,
    errno.ECONNABORTED: Cause.TLS_FAILED,
    errno.EPIPE: Cause.TLS_FAILED,
}


def _connect_cause(error: OSError) -> Cause:
    """With several addresses the error names its numbers in the text only; the furthest one up the ladder counts."""
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
        return Cause.TLS_FAILED
    numbers = [error.errno] if error.errno else [int(one) for one in re.findall(r"\[Errno (\d+)\]", str(error))]
    causes = {_CONNECT_CAUSES.get(number, Cause.NO_ROUTE) for number in numbers}
    for cause in (Cause.TLS_FAILED, Cause.REFUSED, Cause.FILTERED):
        if cause in causes:
            return cause
    return Cause.NO_ROUTE
