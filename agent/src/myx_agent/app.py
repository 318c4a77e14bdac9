"""The agent's HTTP face: one secret path, everything else the same bare 404."""

from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from myx_agent.auth import Authenticator, Throttle, Verdict, shown_pair
from myx_agent.config import Config
from myx_agent.jsonrpc import Dispatcher
from myx_agent.stream import LogStream
from myx_agent.trace import note_trace


class Doorman:
    """Decides on path, token, size and signature before anything else looks at a request."""

    def __init__(self, config: Config, authenticator: Authenticator, throttle: Throttle) -> None:
        self.rpc_path = f"/{config.rpc_path}/rpc"
        self.log_prefix = f"/{config.rpc_path}/commands/"
        self._max_body_bytes = config.max_body_bytes
        self._authenticator = authenticator
        self._throttle = throttle

    def is_log_path(self, path: str) -> bool:
        return path.startswith(self.log_prefix) and path.endswith("/log") and path.count("/") == 4

    async def admit(self, scope: Scope, body: bytes | None) -> Response | None:
        """None: come in. With `body` None only the token is looked at."""
        headers = dict(scope["headers"])
        pair = self._authenticator.recognise(headers.get(b"x-agent-token", b""))
        if pair is None:
            return await self.refuse(scope, 401)
        if body is None:
            return None
        signature = headers.get(b"x-agent-signature")
        query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        verdict = self._authenticator.check_signature(
            None if signature is None else signature.decode("latin-1"), scope.get("method", "GET"), target, body, pair
        )
        if verdict is Verdict.OK:
            shown_pair.set(pair)
            note_trace(headers.get(b"traceparent"))
            return None
        if verdict is Verdict.CLOCK_SKEW:
            document = {"error": "clock_skew", "time": self._authenticator.now_s()}
            return Response(msgspec.json.encode(document), 401, media_type="application/json")
        return await self.refuse(scope, 401)

    async def refuse(self, scope: Scope, status: int) -> Response:
        """A bare answer, later and later for who keeps trying."""
        client = scope.get("client")
        await self._throttle.hold(client[0] if client else "")
        return Response(status_code=status)

    async def read_body(self, request: Request) -> bytes | None:
        """The body; None when it is larger than allowed."""
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._max_body_bytes:
            return None
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._max_body_bytes:
                return None
        return bytes(body)


class RpcEndpoint:
    """POST /{rpc_path}/rpc."""

    def __init__(self, doorman: Doorman, dispatcher: Dispatcher) -> None:
        self._doorman = doorman
        self._dispatcher = dispatcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._respond(Request(scope, receive))
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        scope = request.scope
        if scope["method"] != "POST":
            return await self._doorman.refuse(scope, 404)
        if (refusal := await self._doorman.admit(scope, None)) is not None:
            return refusal
        body = await self._doorman.read_body(request)
        if body is None:
            return Response(status_code=413, headers={"connection": "close"})
        if (refusal := await self._doorman.admit(scope, body)) is not None:
            return refusal
        answer = await self._dispatcher.handle(body)
        if answer is None:
            return Response(status_code=204)
        return Response(answer, media_type="application/json")


class LogEndpoint:
    """WebSocket GET /{rpc_path}/commands/{command_id}/log?offset=N&seq=M."""

    def __init__(self, doorman: Doorman, stream: LogStream) -> None:
        self._doorman = doorman
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        refusal = await self._doorman.admit(scope, None) or await self._doorman.admit(scope, b"")
        if refusal is not None:
            await websocket.send_denial_response(refusal)
            return
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        offset, seq = (query.get(name, ["0"])[-1] for name in ("offset", "seq"))
        await self._stream.serve(websocket, scope["path_params"]["command_id"], offset, seq)


def build(doorman: Doorman, dispatcher: Dispatcher, stream: LogStream) -> ASGIApp:
    """The application: two routes, and the bare 404 for everything else."""

    async def not_found(request: Request, _error: Exception) -> Response:
        return await doorman.refuse(request.scope, 404)

    handlers: dict[Any, Any] = {404: not_found, 405: not_found}
    app = Starlette(
        routes=[
            Route(doorman.rpc_path, RpcEndpoint(doorman, dispatcher)),
            WebSocketRoute(f"{doorman.log_prefix}{{command_id}}/log", LogEndpoint(doorman, stream)),
        ],
        exception_handlers=handlers,
    )
    app.router.redirect_slashes = False
    return app
