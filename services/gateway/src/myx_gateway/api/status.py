"""/status"""

import asyncio
from collections import Counter
from importlib.metadata import version
from typing import Final

from myx.registry.v1 import server_service_pb2 as registry
from myx_gateway.api.dependencies import AccessDep, ClientsDep
from myx_gateway.api.routes import OperationRouter
from myx_gateway.clients import Clients
from myx_gateway.convert.agents import agent_status
from myx_gateway.schemas.status import Status
from myx_kit.errors import MyxError

router = OperationRouter(tags=["status"])

VERSION: Final = version("myx-gateway")
_PAGE_SIZE = 1000
_MAX_PAGES = 100


@router.operation("status.get")
async def get_status(clients: ClientsDep, access: AccessDep) -> Status:
    """Whether the services answer, and how many servers are in which state."""
    names = list(clients.channels)
    selector = await access.narrow("")
    (counted, paused), healthy = await asyncio.gather(
        _count(clients, selector), asyncio.gather(*(clients.healthy(name) for name in names))
    )
    services = {name: "ok" if well else "unavailable" for name, well in zip(names, healthy, strict=True)}
    return Status.model_validate({"version": VERSION, "services": services, "servers": counted, "paused": paused})


async def _count(clients: Clients, selector: str) -> tuple[dict[str, int] | None, int | None]:
    """Servers by state, and how many of them are not checked for now."""
    counts: Counter[str] = Counter()
    paused = 0
    token = ""
    try:
        for _ in range(_MAX_PAGES):
            page = await clients.servers.ListServers(
                registry.ListServersRequest(page_size=_PAGE_SIZE, page_token=token, selector=selector), timeout=5
            )
            for server in page.servers:
                known = server.HasField("agent")
                counts[agent_status(server.agent.status) if known else "no_agent"] += 1
                paused += server.HasField("pause")
            token = page.next_page_token
            if not token:
                break
    except MyxError:
        return None, None
    return dict(counts), paused
