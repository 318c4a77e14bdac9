"""What every operation goes through, whichever way it is asked for: rights, the act, and an entry about it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from myx_gateway.access.access import Access
from myx_gateway.access.audit import Auditor, Entry
from myx_gateway.access.guard import Guard, Params
from myx_gateway.access.operation import On, Operation
from myx_gateway.access.principal import Principal
from myx_gateway.access.standing import Standing, Watched
from myx_gateway.api.answers import note_targets
from myx_gateway.errors import translated
from myx_gateway.problems import status_of
from myx_kit.errors import Internal, Unauthenticated
from myx_kit.logging import get_logger

log = get_logger()

Handle = Callable[[Request], Awaitable[Response]]


async def perform(operation: Operation, request: Request, handle: Handle) -> Response:
    """The answer to an operation, or what is raised instead of one."""
    if not operation.audited:
        return await _permitted(operation, request, handle)
    async with _audited(operation, request) as entry:
        response = await _permitted(operation, request, handle)
        entry.result(response.status_code)
        entry.made(response.headers.get("location", ""))
        await note_targets(entry, operation, response, request.app.state.guard.jobs)
        return response


async def _permitted(operation: Operation, request: Request, handle: Handle) -> Response:
    principal = _principal(operation, request)
    if principal is None:
        return await handle(request)
    guard: Guard = request.app.state.guard
    access = request.state.access = Access(guard, principal, operation)
    params = request.scope["path_params"] = await guard.require(principal, operation, request.path_params)
    if operation.on is On.SERVER:
        access.meant.append(params["server"])
    response = await handle(request)
    if isinstance(response, Watched):
        response.standing = standing_of(request.app.state, access, params)
    if operation.on in {On.BODY, On.LIST} and not access.used and not access.everywhere:
        log.error("right_not_asked_for", operation=operation.name)
        raise Internal("RIGHT_NOT_ASKED_FOR", f"the handler of {operation.name} did not ask what may be touched")
    return response


def standing_of(state: Any, access: Access, params: Params) -> Standing:
    """For a stream that was let in; `state` is the application's."""
    return Standing(state.guard, state.renew, access, params, state.recheck_s)


def _principal(operation: Operation, request: Request) -> Principal | None:
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None and operation.on is not On.PUBLIC:
        raise Unauthenticated("UNAUTHENTICATED", "log in first")
    return principal


@asynccontextmanager
async def _audited(operation: Operation, request: Request) -> AsyncIterator[Entry]:
    auditor: Auditor = request.app.state.auditor
    async with auditor.entry(
        operation=operation.name,
        principal=getattr(request.state, "principal", None),
        address=getattr(request.state, "address", "") or (request.client.host if request.client else ""),
        request_id=request.state.request_id,
        path_params=dict(request.path_params),
        body=await _asked(operation, request),
    ) as entry:
        request.state.audit_entry = entry
        try:
            yield entry
        except Exception as error:
            said = translated(error)
            entry.result(status_of(said), said.reason)
            raise
        finally:
            access: Access | None = getattr(request.state, "access", None)
            entry.meant(access.meant if access else ())


async def _asked(operation: Operation, request: Request) -> dict[Any, Any]:
    """Query and body as they were sent, the body if it is a JSON object; that they are right is seen later."""
    asked: dict[Any, Any] = dict(request.query_params)
    with suppress(ValueError, RecursionError, HTTPException):
        body = None if operation.bytes else await request.json()
        asked |= body if isinstance(body, dict) else {}
    return asked
