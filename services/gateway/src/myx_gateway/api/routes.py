"""Routers whose routes are rows of the table of operations."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from myx_gateway.operations import BY_NAME

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


class OperationRoute(APIRoute):
    """The HTTP route of one operation."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind all that holds for every operation."""
        return super().get_route_handler()


class OperationRouter(APIRouter):
    """Binds handlers to operations: verb, path, status and the name come from the table."""

    def __init__(self, *, tags: list[str]) -> None:
        super().__init__(tags=list(tags), route_class=OperationRoute)

    def operation(self, name: str, **options: Any) -> Callable[[_Handler], _Handler]:
        """Let the decorated function handle the operation `name`; `options` are those of a FastAPI route."""
        operation = BY_NAME[name]

        def bind(handler: _Handler) -> _Handler:
            self.add_api_route(
                operation.path,
                handler,
                methods=[operation.verb],
                status_code=operation.status,
                name=name,
                operation_id=name,
                **options,
            )
            return handler

        return bind
