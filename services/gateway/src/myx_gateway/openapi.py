"""The OpenAPI 3.1 document: FastAPI's, with our errors and our security instead of its own."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from myx_gateway.problems import MEDIA_TYPE
from myx_gateway.schemas.problem import Problem

PATH: Final = "/api/v1/openapi.json"
_DESCRIPTION: Final = "Every error is a problem (RFC 9457); every request needs the API token as a bearer token."
_PROBLEM: Final = {
    "description": "Anything else is an error.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of the routes of `app`."""
    schema = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _PROBLEM
    components = schema["components"]
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    components["schemas"]["Problem"] = Problem.model_json_schema()
    components["schemas"] = dict(sorted(components["schemas"].items()))
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{"token": []}]
    return schema
