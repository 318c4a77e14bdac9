"""`POST /rpc`: the operations as methods of JSON-RPC 2.0 (https://www.jsonrpc.org/specification).

Each call is a request to the very route of its operation, made inside the process with the caller's identity, so that
what is checked, allowed and recorded cannot differ from REST.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import isfinite
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Scope

from myx_gateway import openapi, openrpc
from myx_gateway.access.audit import Auditor
from myx_gateway.access.audit_details import bounded
from myx_gateway.openrpc import Method, Parameter, Place
from myx_gateway.problems import body_of, status_of
from myx_kit.errors import Internal, InvalidArgument, MyxError
from myx_kit.logging import get_logger

log = get_logger()

PATH: Final = "/rpc"
MAX_CALLS: Final = 50
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
_MESSAGES: Final = {
    PARSE_ERROR: "Parse error",
    INVALID_REQUEST: "Invalid Request",
    NO_METHOD: "Method not found",
    INVALID_PARAMS: "Invalid params",
    INTERNAL: "Internal error",
}
# Of the caller's headers: what is about its body, or is given by a parameter of the call.
_OWN_HEADERS: Final = frozenset(
    {b"content-length", b"content-type", b"transfer-encoding", b"idempotency-key", b"if-match", b"accept-encoding"}
)
# Of the caller's state: what is made anew for each call.
_OWN_STATE: Final = frozenset({"access", "audit_entry"})


class RpcError(Exception):
    """An error object."""

    def __init__(self, code: int, message: str = "", data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message or _MESSAGES[code]
        self.data = data

    def document(self) -> dict[str, Any]:
        """As it is sent."""
        said = {"code": self.code, "message": self.message}
        return said if self.data is None else {**said, "data": self.data}


@dataclass(frozen=True)
class Call:
    """One call. Without `answered` it is a notification, and nobody hears what became of it."""

    method: str
    params: Any
    id: Any
    answered: bool


class RpcDoor:
    """Answers requests with calls, one at a time: a batch is done in its order."""

    def __init__(self, app: ASGIApp, document: dict[str, Any], prefix: str) -> None:
        self._app = app
        self._methods = openrpc.methods_of(document)
        self._discovery = openrpc.document(document)
        self._prefix = prefix

    async def answer(self, request: Request) -> Response:
        """The response objects, or 204 when there is none to send."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            text = "the body must be application/json"
            raise InvalidArgument("MEDIA_TYPE_UNSUPPORTED", text, accept="application/json")
        try:
            sent = _parsed(await request.body())
        except (ValueError, RecursionError):
            return _answer(_rendered(_failure(None, RpcError(PARSE_ERROR))))
        if not isinstance(sent, list):
            said = await self._one(request, sent)
            return Response(status_code=204) if said is None else _answer(_rendered(said))
        if not 1 <= len(sent) <= MAX_CALLS:
            message = "" if not sent else f"Invalid Request: more than {MAX_CALLS} calls"
            return _answer(_rendered(_failure(None, RpcError(INVALID_REQUEST, message))))
        answers = [_rendered(said) for one in sent if (said := await self._one(request, one)) is not None]
        return _answer(b"[" + b",".join(answers) + b"]") if answers else Response(status_code=204)

    async def _one(self, request: Request, sent: Any) -> dict[str, Any] | None:
        """The response object to one request object; None to a notification."""
        try:
            call = _call(sent)
        except RpcError as error:
            return _failure(_id_in(sent), error)
        try:
            result = await self._result(request, call)
        except RpcError as error:
            return _failure(call.id, error) if call.answered else None
        except MyxError as error:
            return _failure(call.id, _said(error, request)) if call.answered else None
        except Exception as error:
            # The other calls of a batch, some of them done already, must not lose their answers.
            log.error("request_failed", request_id=request.state.request_id, exc_info=error)
            return _failure(call.id, RpcError(INTERNAL)) if call.answered else None
        return {"jsonrpc": "2.0", "result": result, "id": call.id} if call.answered else None

    async def _result(self, request: Request, call: Call) -> Any:
        method = self._methods.get(call.method)
        if method is None and call.method != openrpc.DISCOVER:
            raise RpcError(NO_METHOD)
        if method is None:
            if call.params:
                raise RpcError(INVALID_PARAMS, f"Invalid params: {openrpc.DISCOVER} takes none")
            return self._discovery
        params = _named(method, call.params) if isinstance(call.params, list) else call.params
        try:
            scope, body = _request_of(method, params, request.scope, self._prefix)
        except MyxError as error:
            await _note_refused(request, method, params, error)
            raise _said(error, request) from None
        status, answer = await self._ask(scope, body)
        log.info("rpc_call", request_id=request.state.request_id, operation=call.method, status=status)
        if status < 300:
            return json.loads(answer) if answer else None
        raise _problem_error(json.loads(answer))

    async def _ask(self, scope: Scope, body: bytes) -> tuple[int, bytes]:
        """The status and the body with which the route answers."""
        sent = False
        status, answer = 0, bytearray()

        async def receive() -> Message:
            nonlocal sent
            if sent:
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                answer.extend(message.get("body", b""))

        try:
            await self._app(scope, receive, send)
        except Exception as error:
            # The framework raises again what it has answered already.
            log.error("request_failed", request_id=scope["state"]["request_id"], exc_info=error)
            if not status:
                raise Internal("INTERNAL", "internal error") from error
        return status, bytes(answer)


async def _note_refused(request: Request, method: Method, params: Mapping[str, Any], error: MyxError) -> None:
    """The entry of a call that does not get as far as its route, where every other one leaves its own."""
    if not method.operation.audited:
        return
    auditor: Auditor = request.app.state.auditor
    places = {name: str(params[name]) for name, one in method.parameters.items() if _is_named(one, params.get(name))}
    async with auditor.entry(
        operation=method.operation.name,
        principal=request.state.principal,
        address=request.state.address,
        request_id=request.state.request_id,
        path_params=places,
        body=params,
    ) as entry:
        entry.result(status_of(error), error.reason)


def _is_named(parameter: Parameter, value: Any) -> bool:
    return parameter.place is Place.PATH and isinstance(value, str | int)


def _answer(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _rendered(said: dict[str, Any]) -> bytes:
    # What a caller has sent comes back in problems, also what no UTF-8 can say.
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _parsed(body: bytes) -> Any:
    return json.loads(body.decode(), parse_constant=_refuse_constant)


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _call(sent: Any) -> Call:
    """A request object; RpcError for what is none."""
    if not isinstance(sent, dict) or sent.get("jsonrpc") != "2.0" or not isinstance(sent.get("method"), str):
        raise RpcError(INVALID_REQUEST)
    if "id" in sent and not _is_id(sent["id"]):
        raise RpcError(INVALID_REQUEST, "Invalid Request: id must be a string in UTF-8, a finite number or null")
    params = sent.get("params", {})
    if not isinstance(params, dict | list):
        raise RpcError(INVALID_REQUEST, "Invalid Request: params must be an object or an array")
    return Call(sent["method"], params, sent.get("id"), answered="id" in sent)


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return _is_unicode(value)
    if isinstance(value, float):
        return isfinite(value)
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can say it: JSON can name half a pair of surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _id_in(sent: Any) -> Any:
    """The id of what is no right request object, as far as it has one that can be told."""
    found = sent.get("id") if isinstance(sent, dict) else None
    return found if _is_id(found) else None


def _failure(id_: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": error.document(), "id": id_}


def _said(error: MyxError, request: Request) -> RpcError:
    return _problem_error(json.loads(body_of(error, request.state.request_id)))


def _problem_error(problem: dict[str, Any]) -> RpcError:
    status = problem["status"]
    if status == HTTPStatus.BAD_REQUEST:
        code = INVALID_PARAMS
    elif status == HTTPStatus.INTERNAL_SERVER_ERROR:
        code = INTERNAL
    else:
        code = -32000 - (status - 400) if status < 500 else -32050 - (status - 500)
    return RpcError(code, problem["detail"], problem)


def _named(method: Method, values: list[Any]) -> dict[str, Any]:
    """Parameters that came by position; what is too much has its number, which is the name of none."""
    names = method.positions
    return dict(zip([*names, *map(str, range(len(names) + 1, len(values) + 1))], values, strict=False))


def _request_of(method: Method, params: Mapping[str, Any], outer: Scope, prefix: str) -> tuple[Scope, bytes]:
    """The request to the route of a method. InvalidArgument `REQUEST_INVALID` for parameters that cannot be put in."""
    wrong = {bounded(name, 100): "is not known here" for name in params if name not in method.parameters}
    wrong |= {
        name: "is required"
        for name, one in method.parameters.items()
        if one.required and one.place is not Place.BODY and params.get(name) is None
    }
    if wrong:
        text = "; ".join(f"{name} {said}" for name, said in wrong.items())
        raise InvalidArgument("REQUEST_INVALID", text, **dict(list(wrong.items())[:16]))
    path, query, headers, body = prefix + method.operation.path, list[tuple[str, str]](), [], {}
    for name, value in params.items():
        one = method.parameters[name]
        if one.place is Place.BODY:
            body[one.name] = value
        elif value is None:
            continue
        elif one.place is Place.PATH:
            path = path.replace(f"{{{one.name}}}", _segment(name, value))
        elif one.place is Place.QUERY:
            query.extend((one.name, text) for text in _texts(name, one, value))
        else:
            headers.append((one.name.lower().encode(), _header(name, value)))
    sent = json.dumps(body).encode() if body else b""
    if sent:
        headers.append((b"content-type", b"application/json"))
    scope = {
        **{name: value for name, value in outer.items() if name in {"type", "asgi", "http_version", "scheme"}},
        **{name: outer[name] for name in ("client", "server") if name in outer},
        "method": method.operation.verb,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(query).encode(),
        "headers": [*(pair for pair in outer["headers"] if pair[0] not in _OWN_HEADERS), *headers],
        "state": {name: value for name, value in outer["state"].items() if name not in _OWN_STATE},
    }
    return scope, sent


def _segment(name: str, value: Any) -> str:
    text = _text(name, value)
    # Else the path would be that of another route.
    if not text or "/" in text or "{" in text:
        raise _refused(name, "must not be empty, and be without / and {")
    return text


def _texts(name: str, parameter: Parameter, value: Any) -> list[str]:
    if isinstance(value, list):
        is_list = "array" in {choice.get("type") for choice in (parameter.schema, *parameter.schema.get("anyOf", ()))}
        if not is_list:
            raise _refused(name, "must be one value")
        return [_text(name, item) for item in value]
    return [_text(name, value)]


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise _refused(name, "must be a text, a number or a truth")
    text = str(value)
    if not _is_unicode(text):
        raise _refused(name, "must be valid Unicode")
    return text


def _header(name: str, value: Any) -> bytes:
    text = _text(name, value)
    if not text.isascii() or not text.isprintable():
        raise _refused(name, "must be printable ASCII")
    return text.encode()


def _refused(name: str, said: str) -> InvalidArgument:
    return InvalidArgument("REQUEST_INVALID", f"{name} {said}", **{name: said})


def rpc_route(app: FastAPI, prefix: str) -> Route:
    """The route. Its documents cost half a second and some megabytes: they are made when somebody calls."""
    made: list[RpcDoor] = []

    async def answer(request: Request) -> Response:
        if not made:
            made.append(RpcDoor(app, openapi.document(app), prefix))
        return await made[0].answer(request)

    return Route(PATH, answer, methods=["POST"], name="rpc")
