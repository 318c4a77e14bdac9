"""Requests and WebSockets to one MyX: pooled, retried where that is harmless, with errors as exceptions."""

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

import aiohttp
from msgspec import UNSET, DecodeError, ValidationError, json
from yarl import URL

from myx_client.errors import AnswerError, ApiError, MyxError, Unreachable, error_of
from myx_client.retries import Patience

_BASE = "/api/v1"
_CONNECT_S = 10.0
# Three times the pause after which MyX gives a sign of life (docs/streams.md).
_SILENCE_S = 45.0
_LARGEST_MESSAGE_BYTES = 16 << 20
_ERROR_BYTES = 64 << 10

Content = bytes | AsyncIterable[bytes]
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Request:
    """One request below /api/v1. It is sent again after a failure if it is a GET or has an idempotency key."""

    verb: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    # Encoded as JSON.
    body: object = None
    content: Content | None = None
    media_type: str = ""
    if_match: str | None = None
    idempotency_key: str | None = None

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.verb == "GET" or self.idempotency_key is not None


class Transport:
    """A pool of connections to MyX at `url`, as whoever has `token`."""

    def __init__(
        self, url: str, token: str, *, tls: ssl.SSLContext | None, timeout_s: float, retry_for_s: float
    ) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._tls = tls
        self._timeout_s = timeout_s
        self._retry_for_s = retry_for_s
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        """The address only: the token never reaches a log or a trace."""
        return f"Transport({self._url})"

    async def open(self) -> None:
        """Make the pool; nothing is connected yet."""
        # A list of hundreds of streams is nobody's accident: the limit is MyX's own.
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls if self._tls is not None else True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_S, sock_read=self._timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def answer(self, request: Request, kind: type[_Answer]) -> _Answer:
        """The decoded answer. ApiError, Unreachable, AnswerError."""
        content = await self._exchange(request)
        try:
            return json.decode(content, type=kind)
        except (DecodeError, ValidationError) as error:
            raise AnswerError(f"{request.verb} {request.path}: not the answer of this version's MyX: {error}") from None

    async def done(self, request: Request) -> None:
        """See a request through that is answered with nothing."""
        await self._exchange(request)

    async def pieces(self, request: Request) -> AsyncIterator[bytes]:
        """The body of the answer as it comes. A body that breaks off is Unreachable, never a short one."""
        with self._translated():
            async with self._send(request) as response:
                await _check(response)
                async for piece in response.content.iter_any():
                    yield piece

    @asynccontextmanager
    async def socket(self, path: str, query: Mapping[str, Any]) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """An open WebSocket. ApiError when MyX declines."""
        request = Request("GET", path, given(query))
        with self._translated():
            try:
                connection = await self._opened().ws_connect(
                    self._address(request),
                    max_msg_size=_LARGEST_MESSAGE_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_receive=_SILENCE_S, ws_close=5),
                )
            except aiohttp.WSServerHandshakeError as error:
                raise await self._refusal(request, error.status) from None
            try:
                yield connection
            finally:
                await connection.close()

    async def _refusal(self, request: Request, status: int) -> MyxError:
        """Why an upgrade was declined: asked for without the upgrade, MyX says it in words."""
        async with self._send(request) as response:
            if response.status >= 300:
                return error_of(response.status, await response.content.read(_ERROR_BYTES), _retry_after(response))
        return error_of(status, b"")

    async def _exchange(self, request: Request) -> bytes:
        patience = Patience(self._retry_for_s)
        while True:
            try:
                with self._translated():
                    async with self._send(request) as response:
                        await _check(response)
                        return await response.read()
            except Unreachable as error:
                again = not error.permanent and (request.is_repeatable or not error.maybe_sent)
                if not again or not await patience.pause():
                    raise
            except ApiError as error:
                again = error.is_temporary and request.is_repeatable
                if not again or not await patience.pause(error.retry_after_s or 0.0):
                    raise

    def _send(self, request: Request) -> "aiohttp.client._RequestContextManager":
        headers = {}
        content = request.content
        if request.body is not None:
            content, headers["Content-Type"] = json.encode(request.body), "application/json"
        elif content is not None:
            headers["Content-Type"] = request.media_type
        if request.if_match is not None:
            headers["If-Match"] = request.if_match if request.if_match.startswith('"') else f'"{request.if_match}"'
        if request.idempotency_key is not None:
            headers["Idempotency-Key"] = request.idempotency_key
        return self._opened().request(
            request.verb,
            self._address(request),
            data=content,
            headers=headers,
            allow_redirects=False,
        )

    def _address(self, request: Request) -> URL:
        query = urlencode([pair for name, value in request.query.items() for pair in _pairs(name, value)])
        return URL(f"{self._url}{_BASE}{request.path}{'?' if query else ''}{query}", encoded=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """What aiohttp raises, as Unreachable."""
        try:
            yield
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            why, maybe_sent, permanent = _cause(error)
            text = f"cannot reach MyX at {self._url}: {why}"
            raise Unreachable(text, maybe_sent=maybe_sent, permanent=permanent) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is not open: async with Client(…) as myx")
        return self._session


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `values` that were given."""
    return {name: value for name, value in values.items() if value is not UNSET}


def new_key() -> str:
    """An idempotency key that nobody else has."""
    return uuid4().hex


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="") if text not in {".", ".."} else text.replace(".", "%2E")


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    """A parameter as it stands in a query: repeated for a list, absent for None."""
    if isinstance(value, bool):
        return [(name, "true" if value else "false")]
    if isinstance(value, datetime):
        return [(name, value.isoformat())]
    if isinstance(value, list | tuple):
        return [pair for one in value for pair in _pairs(name, one)]
    return [] if value is None else [(name, str(value))]


def _cause(error: Exception) -> tuple[str, bool, bool]:
    """Why there was no answer, for people; whether the request may have arrived; whether trying again is pointless."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted", False, True
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return "it does not speak TLS as expected", False, True
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no connection in time", False, False
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.strerror or "no connection").lower(), False, False
    if isinstance(error, TimeoutError):
        return "no answer in time", True, False
    return "the connection was lost", True, False


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status >= 300:
        raise error_of(response.status, await response.content.read(_ERROR_BYTES), _retry_after(response))


def _retry_after(response: aiohttp.ClientResponse) -> str:
    return str(response.headers.get("Retry-After", ""))
