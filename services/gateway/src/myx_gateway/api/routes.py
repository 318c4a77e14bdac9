"""Routers whose routes are rows of the table of operations."""

import inspect
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.responses import Response
from starlette.routing import BaseRoute

from myx_gateway.api.performing import perform
from myx_gateway.operations import BY_NAME, OPERATIONS
from myx_kit.errors import Internal

# Not operations: probes and the documents themselves.
BESIDE: Final = frozenset({"/healthz", "/readyz", "/rpc", "/api/v1/openapi.json"})
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


class OperationRoute(APIRoute):
    """The HTTP route of one operation."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind all that holds for every operation."""
        operation, handle = BY_NAME[self.name], super().get_route_handler()

        async def answer(request: Request) -> Response:
            return await perform(operation, request, handle)

        return answer


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
                summary=inspect.cleandoc(handler.__doc__ or name).partition("\n")[0].rstrip("."),
                **options,
            )
            return handler

        return bind


def disagreements(routes: Iterable[BaseRoute], prefix: str, beside: frozenset[str]) -> list[str]:
    """Where routes and the table differ, as sentences: an operation has one handler, and nothing else is routed.

    `beside`: paths that are no operations and are known to be there.
    """
    handled: Counter[str] = Counter()
    said = []
    for route in iter_route_contexts(list(routes)):
        operation = BY_NAME.get(route.name or "")
        if route.path in beside:
            continue
        if operation is None or route.path != prefix + operation.path:
            said.append(f"{route.path} is routed and is no operation")
        elif route.methods is not None:
            handled[operation.name] += 1
            if not isinstance(route.original_route, OperationRoute) or route.methods != {operation.verb}:
                said.append(f"{operation.name} is not routed by an OperationRouter")
    wrong = [operation.name for operation in OPERATIONS if handled[operation.name] != 1]
    return said + [f"{name} has {handled[name]} handlers" for name in wrong]


def check_agreement(routes: Iterable[BaseRoute], prefix: str) -> None:
    """Internal `TABLE_DISAGREES` when routes and the table of operations differ: then nothing is served."""
    said = disagreements(routes, prefix, BESIDE)
    if said:
        raise Internal("TABLE_DISAGREES", "; ".join(said))
