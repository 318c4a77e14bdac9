"""The OpenAPI 3.1 document: FastAPI's, with our errors, our security and the roles of the table instead of its own."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from myx_gateway.access.operation import On, Operation
from myx_gateway.operations import BY_NAME
from myx_gateway.problems import MEDIA_TYPE
from myx_gateway.schemas.problem import Problem

PATH: Final = "/api/v1/openapi.json"
_DESCRIPTION: Final = """\
Everything that MyX can do for a user: people, programs, the dashboard and the command line use nothing else.

Every error is a problem (RFC 9457) whose `reason` is a stable name. Programs send an API token as a bearer token; a
browser has a session cookie, and with it must send `X-CSRF-Token` on whatever is not a GET. `x-myx-role` is the role
that an operation needs, `x-myx-on` what it must be held on. The same operations are methods of `POST /rpc`
(JSON-RPC 2.0), under the same names.
"""
TAGS: Final = {
    "session": "Logging in and out, and who one is.",
    "users": "People and programs, and what they may do.",
    "tokens": "API tokens of people and programs.",
    "audit": "Who did what, in a chain that shows every change of it.",
    "events": "What happens in the fleet, as it happens.",
    "servers": "Managed hosts, and how they are reached.",
    "agents": "The programs on the hosts that MyX talks to.",
    "watching": "How agents fared over time, and pauses of their checks.",
    "credentials": "SSH logins that servers share.",
    "commands": "One program on one server.",
    "jobs": "One thing on many servers.",
    "logs": "What commands and deployments printed: live, searched, as a file.",
    "deployments": "Playbooks with steps, progress and a way back.",
    "schedules": "Work that starts by the clock.",
    "playbooks": "Playbooks and files that deployments use.",
    "status": "MyX itself.",
}
# What a problem with a status tells; the statuses are those of `problems.STATUS_OF_CODE` and `STATUS_OF_REASON`.
_TOLD: Final = {
    400: "Something in the request is wrong; `fields` names what.",
    401: "Nobody is logged in, or the login is over.",
    403: "The principal may see it, but not do it; or the proof against forged requests is missing.",
    404: "There is no such thing, or none that the principal may see.",
    408: "The body did not arrive in time.",
    409: "What it is about stands so that this cannot be done now.",
    410: "It was there and is not kept any more.",
    412: "It was changed since: `If-Match` names another state.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    416: "Nothing lies at this place.",
    422: "The `Idempotency-Key` was used for something else.",
    429: "Too much at once; come back after `Retry-After`.",
    500: "A fault of MyX; its log has more under `request_id`.",
    503: "MyX, or a service behind it, is not there now; come back after `Retry-After`.",
    504: "A service behind did not answer in time.",
}
_ALWAYS: Final = (429, 500, 503, 504)
_RETRIED: Final = frozenset({429, 503})
_NAMING: Final = frozenset({On.BODY, On.SERVER, On.COMMAND, On.DEPLOYMENT, On.JOB, On.SCHEDULE})
_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API token."},
    "session": {"type": "apiKey", "in": "cookie", "name": "myx_session", "description": "Of a browser, after a login."},
}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of the routes of `app`; it is made once."""
    known: dict[str, Any] | None = getattr(app.state, "openapi", None)
    if known is None:
        known = app.state.openapi = _made(app)
    return known


def _made(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    used: set[int] = set()
    for ways in schema["paths"].values():
        for stated in ways.values():
            used |= _state(stated, BY_NAME[stated["operationId"]], schema["components"]["schemas"])
    components = schema["components"]
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    components["schemas"]["Problem"] = Problem.model_json_schema()
    components["schemas"] = dict(sorted(components["schemas"].items()))
    components["responses"] = {_problem_name(status): _problem(status) for status in sorted(used)}
    components["securitySchemes"] = _SCHEMES
    schema["security"] = [{name: []} for name in _SCHEMES]
    schema["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    return schema


def _state(stated: dict[str, Any], operation: Operation, schemas: dict[str, Any]) -> set[int]:
    """Add what the table says to an operation of the document; the statuses of its problems."""
    stated["x-myx-role"] = None if operation.on is On.PUBLIC else operation.role.name.lower()
    stated["x-myx-on"] = operation.on.value
    if operation.on is On.PUBLIC:
        stated["security"] = []
    stated["responses"].pop("422", None)
    statuses = _problems_of(stated, operation, schemas)
    for status in sorted(statuses):
        stated["responses"][str(status)] = {"$ref": f"#/components/responses/{_problem_name(status)}"}
    return statuses


def _problems_of(stated: dict[str, Any], operation: Operation, schemas: dict[str, Any]) -> set[int]:
    """The statuses with which an operation can fail."""
    statuses = {*_ALWAYS, 401}
    named = {parameter["name"] for parameter in stated.get("parameters", ())}
    has_body = "requestBody" in stated
    if named or has_body:
        statuses.add(400)
    if operation.on is not On.SELF or operation.verb != "GET":
        statuses.add(403)
    if has_body:
        statuses |= {408, 413}
    if operation.on in _NAMING or "{" in operation.path:
        statuses.add(404)
    if "user" in named | _fields(stated, schemas):
        # That of somebody else is for administrators.
        statuses |= {403, 404}
    if operation.verb != "GET" or "scan" in named:
        statuses.add(409)
    if "/log" in operation.path:
        statuses |= {410, 416}
    if has_body and operation.bytes:
        statuses.add(415)
    if "If-Match" in named:
        statuses.add(412)
    if "Idempotency-Key" in named:
        statuses.add(422)
    return statuses


def _fields(stated: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """Names of the fields of the body."""
    content = stated.get("requestBody", {}).get("content", {}).get("application/json", {})
    reference = content.get("schema", {}).get("$ref", "")
    return set(schemas.get(reference.rpartition("/")[2], {}).get("properties", ()))


def _problem_name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "").replace("-", "")


def _problem(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": _TOLD[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in _RETRIED:
        response["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return response
