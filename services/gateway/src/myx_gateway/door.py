"""The outermost layer: nothing gets in without a token or with too big a body, nothing gets out but clean answers.

Pure ASGI: what streams is passed through as it comes.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myx_gateway.access.addresses import ClientAddresses
from myx_gateway.access.identities import Identities
from myx_gateway.access.origins import Origins
from myx_gateway.access.secrets import masked
from myx_gateway.bodies import BodyLimits
from myx_gateway.problems import response_for
from myx_kit.errors import Internal, MyxError, NotFound, Unavailable
from myx_kit.logging import get_logger

log = get_logger()

# Paths that probes ask without a token; they tell nothing but whether this process serves.
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
# The one operation that needs no login: logging in. What a request has with it does not count there.
_LOGIN: Final = ("POST", "/api/v1/session")
# Enough for a name and a password: strangers must not make us hold more.
_STRANGERS: Final = BodyLimits(held_bytes=16 << 10, timeout_s=10)
_SECURITY_HEADERS: Final = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
_HEAD_MESSAGES: Final = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})


@dataclass(frozen=True)
class Gate:
    """Who knows visitors, and from where they come."""

    identities: Identities
    origins: Origins
    addresses: ClientAddresses
    # People reach this door over TLS only.
    secure: bool


class Door:
    """Wraps the application: authentication, body limit, access log, security headers, errors of last resort."""

    def __init__(self, app: ASGIApp, gate: Gate, limits: BodyLimits) -> None:
        self._app = app
        self._gate = gate
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or WebSocket."""
        visit = _Visit(scope, send, self._gate)
        try:
            if scope["path"] not in OPEN_PATHS:
                await visit.identify()
            if scope["type"] == "http":
                limits = self._limits if visit.principal else _STRANGERS
                receive = await limits.admit(scope, receive)
            await self._app(scope, receive, visit.send)
        except MyxError as error:
            await visit.fail(error, receive)
        except asyncio.CancelledError:
            # Only the stopping server cancels, and then this is the end of the task.
            await visit.fail(Unavailable("STOPPING", "this gateway is stopping; try again"), receive)
        except OSError as error:
            # The server says so when the client is gone (ASGI: send raises a subclass of OSError).
            log.info("client_gone", request_id=visit.request_id, error=type(error).__name__)
        except Exception as error:
            log.error("request_failed", request_id=visit.request_id, exc_info=error)
            await visit.fail(Internal("INTERNAL", "internal error"), receive)
        finally:
            visit.note()


class _Visit:
    """One request or WebSocket on its way."""

    def __init__(self, scope: Scope, send: Send, gate: Gate) -> None:
        self.principal = ""
        self._gate = gate
        self.state: dict[str, object] = scope.setdefault("state", {})
        # Whoever looks at all requests from outside has given it one.
        self.request_id = str(self.state.setdefault("request_id", secrets.token_hex(8)))
        self._scope = scope
        self._send = send
        self._started = time.monotonic()
        self._status = 0
        self.state["address"] = gate.addresses.of(scope)

    async def identify(self) -> None:
        """Put `principal`, and `csrf_token` of a session, into the state; Unauthenticated, PermissionDenied."""
        scope = self._scope
        if (scope.get("method"), scope["path"]) == _LOGIN:
            self._gate.origins.check_login(scope)
            return
        visitor = await self._gate.identities.visitor(scope)
        self.state["principal"] = visitor.principal
        self.state["csrf_token"] = visitor.csrf_token
        self.principal = visitor.principal.name

    async def send(self, message: Message) -> None:
        """Pass on, with our headers on the head of the answer."""
        if message["type"] in _HEAD_MESSAGES:
            self._status = message.get("status", 101)
            own = [(b"x-request-id", self.request_id.encode()), *_SECURITY_HEADERS]
            own += [_HSTS] if self._gate.secure else []
            message = {**message, "headers": [*message.get("headers", ()), *own]}
        elif message["type"] == "websocket.close" and not self._status:
            # The router refuses a WebSocket whose path it does not know by closing it unopened.
            raise NotFound("ROUTE_NOT_FOUND", "there is no such address")
        await self._send(message)

    async def fail(self, error: MyxError, receive: Receive) -> None:
        """Answer with `error`, unless an answer has begun: then the connection ends without its end mark."""
        if self._status:
            return
        response = response_for(error, self.request_id)
        try:
            await response(self._scope, receive, self.send)
        except OSError:
            log.info("client_gone", request_id=self.request_id, error="before_answer")

    def note(self) -> None:
        """Write the line of the access log. Never the query: people put secrets there; of tokens in the path the id."""
        log.info(
            "request",
            request_id=self.request_id,
            principal=self.principal,
            client=self.state["address"],
            method=self._scope.get("method", "WEBSOCKET"),
            path=masked(self._scope["path"]),
            status=self._status,
            duration_ms=round((time.monotonic() - self._started) * 1000, 1),
        )
