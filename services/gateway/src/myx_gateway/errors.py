"""What the framework raises, said as our errors, and how errors of a route become its answer."""

from collections.abc import Sequence
from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.websockets import WebSocket

from myx_gateway.problems import response_for
from myx_kit.errors import Internal, InvalidArgument, MyxError, NotFound

_MAX_FIELDS = 16
_WORDS = {"missing": "is required", "extra_forbidden": "is not known here"}
_MALFORMED = InvalidArgument("BODY_MALFORMED", "the body is not valid JSON in UTF-8")


def install(app: FastAPI) -> None:
    """Have `app` answer every error as a problem."""

    async def on_error(connection: HTTPConnection, error: Exception) -> Response | None:
        said, headers = _answer(app, connection, error)
        response = response_for(said, connection.state.request_id, headers)
        if isinstance(connection, WebSocket):
            await connection.send_denial_response(response)
            return None
        return response

    for kind in (MyxError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, cast("Any", on_error))


def _answer(app: FastAPI, connection: HTTPConnection, error: Exception) -> tuple[MyxError, dict[str, str]]:
    if isinstance(error, HTTPException) and error.status_code == 405:
        allow = ", ".join(_methods(app, connection.scope["path"]))
        return InvalidArgument("METHOD_NOT_ALLOWED", f"this address knows {allow}", allow=allow), {"Allow": allow}
    return translated(error), {}


def translated(error: Exception) -> MyxError:
    """What was raised, said as one of our errors."""
    if isinstance(error, MyxError):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 400:
        return _MALFORMED
    if status == 404:
        return NotFound("ROUTE_NOT_FOUND", "there is no such address")
    return Internal("INTERNAL", "internal error")


def _methods(app: FastAPI, path: str) -> list[str]:
    methods: set[str] = set()
    for route in iter_route_contexts(app.routes):
        if route.path and route.methods and compile_path(route.path)[0].match(path):
            methods |= route.methods
    return sorted(methods)


def _invalid(problems: Sequence[Any]) -> InvalidArgument:
    if any(problem["type"] == "json_invalid" for problem in problems):
        position = problems[0]["loc"][-1]
        return InvalidArgument("BODY_MALFORMED", f"the body is not valid JSON: error at character {position}")
    fields = {_name(problem["loc"]): _say(problem) for problem in problems[:_MAX_FIELDS]}
    text = "; ".join(f"{name} {said}" for name, said in fields.items())
    return InvalidArgument("REQUEST_INVALID", text, **fields)


def _name(location: tuple[int | str, ...]) -> str:
    names = [str(part)[:100] for part in location]
    return ".".join(names[1:] if len(names) > 1 else names)


def _say(problem: dict[str, Any]) -> str:
    word = _WORDS.get(problem["type"])
    if word is not None:
        return word
    if problem["type"] in {"too_short", "string_too_short"} and problem.get("ctx", {}).get("min_length") == 1:
        return "must not be empty"
    return str(problem["msg"]).removeprefix("Value error, ").replace("Input should", "should", 1)
