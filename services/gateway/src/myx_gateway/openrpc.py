"""The methods of `POST /rpc` and their OpenRPC document: made of the OpenAPI document, so that none says more."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from myx_gateway.access.operation import On, Operation
from myx_gateway.operations import OPERATIONS

DISCOVER: Final = "rpc.discover"
_HEADERS: Final = {"Idempotency-Key": "idempotency_key", "If-Match": "if_match"}
_REF: Final = "#/components/schemas/"
_CODES: Final = """\
`-32602`: the parameters are wrong (400). `-32603`: a fault of MyX (500). Else the problem's status from 400 on is \
`-32000 - (status - 400)` and from 500 on `-32050 - (status - 500)`; `data` is the problem itself."""


class Place(Enum):
    """Where a parameter travels in the REST request."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    BODY = "body"


@dataclass(frozen=True)
class Parameter:
    """One member of `params`. `name` is what the REST request calls it."""

    name: str
    place: Place
    required: bool
    schema: dict[str, Any]
    description: str = ""


@dataclass(frozen=True)
class Method:
    """An operation as a method, with its parameters by their names in `params`."""

    operation: Operation
    parameters: dict[str, Parameter]
    summary: str
    tag: str
    result: dict[str, Any]

    @property
    def positions(self) -> list[str]:
        """The names of the parameters in the order of the document: what is required first."""
        return sorted(self.parameters, key=lambda name: not self.parameters[name].required)


def is_method(operation: Operation) -> bool:
    """What comes and goes as JSON and needs a login is a method; a login sets a cookie."""
    return not operation.bytes and operation.on is not On.PUBLIC


def methods_of(openapi: dict[str, Any]) -> dict[str, Method]:
    """All methods by name, from the OpenAPI document."""
    stated = {one["operationId"]: one for ways in openapi["paths"].values() for one in ways.values()}
    return {
        operation.name: _method(operation, stated[operation.name], openapi["components"]["schemas"])
        for operation in OPERATIONS
        if is_method(operation) and operation.name in stated
    }


def _method(operation: Operation, stated: dict[str, Any], schemas: dict[str, Any]) -> Method:
    given = [*_parameters(stated), *_body(stated, schemas)]
    names = [_HEADERS.get(one.name, one.name) for one in given]
    if len(set(names)) != len(names):
        raise ValueError(f"{operation.name} has two parameters of one name: {', '.join(sorted(names))}")
    answer = stated["responses"][str(operation.status)]
    result = answer.get("content", {}).get("application/json", {}).get("schema", {"type": "null"})
    parameters = dict(zip(names, given, strict=True))
    return Method(operation, parameters, stated["summary"], stated["tags"][0], result)


def _parameters(stated: dict[str, Any]) -> list[Parameter]:
    return [
        Parameter(one["name"], Place(one["in"]), one.get("required", False), one["schema"], one.get("description", ""))
        for one in stated.get("parameters", ())
    ]


def _body(stated: dict[str, Any], schemas: dict[str, Any]) -> list[Parameter]:
    body = stated.get("requestBody")
    if body is None:
        return []
    schema = _resolved(body["content"]["application/json"]["schema"], schemas)
    needed = set(schema.get("required", ())) if body.get("required") else set()
    return [
        Parameter(name, Place.BODY, name in needed, field, field.get("description", ""))
        for name, field in schema["properties"].items()
    ]


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The object that a body is, also of one that may be left out."""
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            return _resolved(choice, schemas)
    if "$ref" in schema:
        found: dict[str, Any] = schemas[schema["$ref"].removeprefix(_REF)]
        return found
    return schema


def document(openapi: dict[str, Any]) -> dict[str, Any]:
    """The OpenRPC 1.3 document, the answer to `rpc.discover`."""
    return {
        "openrpc": "1.3.2",
        "info": {
            "title": openapi["info"]["title"],
            "version": openapi["info"]["version"],
            "description": f"The operations of the REST interface as JSON-RPC 2.0 methods. Errors: {_CODES}",
        },
        "methods": [_described(method) for method in methods_of(openapi).values()],
        "components": {
            "schemas": openapi["components"]["schemas"],
            "errors": {"Problem": {"code": -32000, "message": "The detail of the problem.", "data": _problem()}},
        },
    }


def _described(method: Method) -> dict[str, Any]:
    ordered = [(name, method.parameters[name]) for name in method.positions]
    return {
        "name": method.operation.name,
        "summary": method.summary,
        "tags": [{"name": method.tag}],
        "paramStructure": "either",
        "params": [
            {"name": name, "required": one.required, "description": one.description, "schema": one.schema}
            for name, one in ordered
        ],
        "result": {"name": "result", "schema": method.result},
        "errors": [{"$ref": "#/components/errors/Problem"}],
        "x-myx-role": method.operation.role.name.lower(),
        "x-myx-on": method.operation.on.value,
    }


def _problem() -> dict[str, Any]:
    return {"$ref": f"{_REF}Problem"}
