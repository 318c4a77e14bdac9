"""Managed hosts: add, read, change, remove."""

from collections.abc import Callable
from datetime import datetime

from myx_kit.db.outbox import Outbox
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import Aborted, AlreadyExists, NotFound
from myx_kit.ids import new_id
from myx_kit.pagination import clamp
from myx_registry.domain.agents import Agent
from myx_registry.domain.servers import Server, ServerChange, ServerSpec
from myx_registry.store import agents, servers
from myx_registry.usecases import events
from myx_registry.usecases.pages import Page, cursor

_KIND = "servers"


class Servers:
    """The use cases on servers. A server is named by id or name everywhere."""

    def __init__(self, uow: UnitOfWork, outbox: Outbox, now: Callable[[], datetime]) -> None:
        self._uow = uow
        self._outbox = outbox
        self._now = now

    async def create(self, spec: ServerSpec, request_id: str | None) -> tuple[Server, Agent | None]:
        """The new server, or the one that the same request created before, as it is now.

        Raises AlreadyExists `SERVER_NAME_TAKEN`, Aborted `REQUEST_ID_REUSED`.
        """
        now = self._now()
        server = Server(id=new_id(), spec=spec, revision=1, created_at=now, updated_at=now)
        async with self._uow.begin() as connection:
            digest = None if request_id is None else spec.digest()
            if await servers.insert_server(connection, server, request_id=request_id, request_digest=digest):
                await self._outbox.add(connection, "server", "created", str(server.id), events.server_created(server))
                return server, None
            earlier = None if request_id is None else await servers.find_request(connection, request_id)
            if earlier is None:
                raise _name_taken(spec.name)
            if earlier[1] != digest:
                raise Aborted(
                    "REQUEST_ID_REUSED",
                    "This request id was used for a server with other content; choose a new one.",
                    field="request_id",
                )
            found = await servers.find_server_with_agent(connection, str(earlier[0]))
        if found is None:
            raise server_not_found(spec.name)
        return found

    async def get(self, reference: str) -> tuple[Server, Agent | None]:
        """A server and its agent. Raises NotFound `SERVER_NOT_FOUND`."""
        async with self._uow.begin() as connection:
            found = await servers.find_server_with_agent(connection, reference)
        if found is None:
            raise server_not_found(reference)
        return found

    async def list(self, page_size: int, page_token: str) -> Page[tuple[Server, Agent | None]]:
        """A page of all servers with their agents, by name. Raises InvalidArgument `PAGE_TOKEN_INVALID`."""
        after = cursor(page_token, _KIND)
        limit = clamp(page_size, 100, 1000)
        async with self._uow.begin() as connection:
            found = await servers.list_servers_with_agents(connection, after_name=after, limit=limit + 1)
        items = found[:limit]
        return Page(_KIND, items, [server.spec.name for server, _ in items], more=len(found) > limit)

    async def update(self, reference: str, change: ServerChange, etag: str) -> tuple[Server, Agent | None]:
        """The server after the change; a change to the same values changes nothing. Empty etag: last writer wins.

        Raises NotFound `SERVER_NOT_FOUND`, Aborted `ETAG_MISMATCH`, AlreadyExists `SERVER_NAME_TAKEN`, and
        InvalidArgument as `ServerChange.apply`.
        """
        async with self._uow.begin() as connection:
            before = await servers.find_server(connection, reference, lock=True)
            if before is None:
                raise server_not_found(reference)
            if etag and etag != before.etag:
                raise _changed_meanwhile(before)
            server = before.changed(change.apply(before.spec), self._now())
            if server is not before:
                if not await servers.update_server(connection, server):
                    raise _name_taken(server.spec.name)
                if (server.spec.name, server.spec.address) != (before.spec.name, before.spec.address):
                    await agents.advance_revision(connection, server.id)
                await self._outbox.add(connection, "server", "updated", str(server.id), events.server_updated(server))
            return server, await agents.find_agent(connection, server.id)

    async def delete(self, reference: str) -> None:
        """Removes a server and its agent identity. Raises NotFound `SERVER_NOT_FOUND`."""
        async with self._uow.begin() as connection:
            server = await servers.find_server(connection, reference, lock=True)
            if server is None:
                raise server_not_found(reference)
            await servers.delete_server(connection, server.id)
            await self._outbox.add(
                connection, "server", "deleted", str(server.id), events.server_deleted(server, self._now())
            )


def server_not_found(reference: str) -> NotFound:
    """No server has this id or name."""
    return NotFound("SERVER_NOT_FOUND", "There is no server of this id or name.", server=reference[:80])


def _name_taken(name: str) -> AlreadyExists:
    return AlreadyExists("SERVER_NAME_TAKEN", f"Another server is named {name}.", field="name", server=name)


def _changed_meanwhile(server: Server) -> Aborted:
    return Aborted(
        "ETAG_MISMATCH", "The server was changed meanwhile; read it again.", field="etag", server=server.spec.name
    )
