"""/audit"""

from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import AfterValidator, AwareDatetime

from myx.registry.v1 import server_service_pb2 as registry
from myx_gateway.access import audit_check
from myx_gateway.api.audit_filters import check_operation, full_name
from myx_gateway.api.dependencies import ClientsDep, PageSize, PageToken
from myx_gateway.api.routes import OperationRouter
from myx_gateway.chain import Head, Result
from myx_gateway.clients import Clients
from myx_gateway.convert import audit as convert
from myx_gateway.schemas.audit import AuditPage, Verification, VerifyRequest
from myx_gateway.schemas.common import plain
from myx_gateway.store.audit import AuditStore, Filter
from myx_kit.errors import InvalidArgument, MyxError
from myx_kit.logging import get_logger
from myx_kit.pagination import decode_token, encode_token

log = get_logger()

router = OperationRouter(tags=["audit"])


async def _store(request: Request) -> AuditStore:
    store: AuditStore = request.app.state.audit_store
    return store


StoreDep = Annotated[AuditStore, Depends(_store)]
_Word = Annotated[str, Query(max_length=255), AfterValidator(plain)]


@router.operation("audit.list")
async def list_entries(
    *,
    store: StoreDep,
    clients: ClientsDep,
    principal: Annotated[_Word, Query(description="Only of this one, for example `user:alice`.")] = "",
    operation: Annotated[_Word, Query(description="Only these, for example `commands.run`.")] = "",
    target: Annotated[_Word, Query(description="A server by id or name, or the id of what was meant or made.")] = "",
    result: Annotated[Result | None, Query(description="Only with this result.")] = None,
    since: Annotated[AwareDatetime | None, Query(alias="from", description="Not before.")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="Before.")] = None,
    page_size: PageSize = 100,
    page_token: PageToken = "",
) -> AuditPage:
    """Who did what, newest first."""
    if operation:
        check_operation(operation)
    wanted = Filter(full_name(principal), operation, await _names(clients, target), result, since, until)
    entries = await store.page(wanted, _below(page_token), page_size + 1)
    more = entries[page_size:]
    items = [convert.entry(one) for one in entries[:page_size]]
    return AuditPage(items=items, next_page_token=encode_token(str(items[-1].seq)) if more else None)


@router.operation("audit.verify")
async def verify(store: StoreDep, body: VerifyRequest | None = None) -> Verification:
    """Check that the trail is what it was: nothing changed, removed, inserted or reordered.

    That its end was cut off, or all of it made anew, shows against a head that was kept elsewhere.
    """
    expected = body.expected if body is not None else None
    head = Head(expected.seq, expected.hash) if expected is not None else None
    return convert.verification(await audit_check.verify(store, head))


async def _names(clients: Clients, target: str) -> list[str]:
    """What callers may have called a target; a server by its id and by its name, whichever is given."""
    if not target:
        return []
    try:
        server = (await clients.servers.GetServer(registry.GetServerRequest(server=target))).server
    except MyxError as error:
        # It is no server, or one that is gone; or the registry is away, and the trail can be read all the same.
        log.debug("audit_target_not_resolved", reason=error.reason)
        return [target]
    return list(dict.fromkeys([target, server.id, server.name]))


def _below(page_token: str) -> int | None:
    if not page_token:
        return None
    (seq,) = decode_token(page_token, 1)
    if not seq.isascii() or not seq.isdigit() or len(seq) > 18:
        raise InvalidArgument("PAGE_TOKEN_INVALID", "page_token is not one that MyX gave", field="page_token")
    return int(seq)
