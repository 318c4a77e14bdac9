"""/status"""

import asyncio
from importlib.metadata import version
from typing import Final

from myx.registry.v1 import server_service_pb2 as registry
from myx_gateway.api.dependencies import AccessDep, ClientsDep
from myx_gateway.api.routes import OperationRouter
from myx_gateway.clients import Clients
from myx_gateway.convert import servers as convert
from myx_gateway.schemas.servers import ServerCounts
from myx_gateway.schemas.status import Status
from myx_kit.errors import MyxError

router = OperationRouter(tags=["status"])

VERSION: Final = version("myx-gateway")
# Whether MyX is well is asked when it may not be: rather no numbers than a late answer.
_COUNT_DEADLINE_S: Final = 5.0


@router.operation("status.get")
async def get_status(clients: ClientsDep, access: AccessDep) -> Status:
    """Whether the services answer, and how many servers are in which state."""
    names = list(clients.channels)
    selector = await access.narrow("")
    counted, healthy = await asyncio.gather(
        _count(clients, selector), asyncio.gather(*(clients.healthy(name) for name in names))
    )
    services = {name: "ok" if well else "unavailable" for name, well in zip(names, healthy, strict=True)}
    return Status.model_validate(
        {
            "version": VERSION,
            "services": services,
            "servers": counted and counted.by_status,
            "paused": counted and counted.paused,
        }
    )


async def _count(clients: Clients, selector: str) -> ServerCounts | None:
    request = registry.CountServersRequest(selector=selector)
    try:
        return convert.counts(await clients.servers.CountServers(request, timeout=_COUNT_DEADLINE_S))
    except MyxError:
        return None
