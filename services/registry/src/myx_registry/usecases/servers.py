"""Managed hosts: add, read, change, remove."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from myx_kit.db.outbox import Outbox
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import Aborted, AlreadyExists, FailedPrecondition
from myx_kit.ids import new_id
from myx_kit.pagination import clamp
from myx_registry.domain import host_keys
from myx_registry.domain.maintenance import maintenance_held
from myx_registry.domain.selector import All, Selector
from myx_registry.domain.selector_parser import parse
from myx_registry.domain.servers import Server, ServerChange, ServerCounts, ServerDraft, ServerView
from myx_registry.domain.ssh import SshSettings
from myx_registry.store import agents, maintenance, servers
from myx_registry.store.database import Connection
from myx_registry.usecases import events
from myx_registry.usecases.own_credentials import OwnCredentials
from myx_registry.usecases.pages import Page, cursor
from myx_registry.usecases.references import request_id_reused, server_not_found, settle, the_server
from myx_registry.usecases.territory import Territory
from myx_registry.usecases.vault import Vault
from myx_registry.usecases.ways import way_to

_KIND = "servers"
_OWN = "own_credential"
_NAMED_USERS = 5


class Servers:
    """The use cases on servers. A server is named by id or name everywhere."""

    def __init__(
        self, uow: UnitOfWork, outbox: Outbox, vault: Vault, own: OwnCredentials, now: Callable[[], datetime]
    ) -> None:
        self._uow = uow
        self._outbox = outbox
        self._vault = vault
        self._own = own
        self._now = now

    async def create(
        self, draft: ServerDraft, request_id: str | None, requested_by: str, required: str = ""
    ) -> ServerView:
        """The new server, or the one that the same request created before, as it is now.

        Raises AlreadyExists `SERVER_NAME_TAKEN`, Aborted `REQUEST_ID_REUSED`, NotFound `CREDENTIAL_NOT_FOUND`,
        `JUMP_SERVER_NOT_FOUND`, InvalidArgument `CREDENTIAL_INVALID`, PermissionDenied `FORBIDDEN` for a server that
        the selector `required` does not match.
        """
        territory = Territory(required)
        checked = None if draft.own_credential is None else await self._own.check(draft.own_credential, _OWN)
        async with self._uow.begin() as connection:
            earlier = await self._earlier(connection, draft, request_id)
            if earlier is None:
                server = self._new(draft, await settle(connection, draft.ssh), requested_by)
                territory.allows_way(None, server.spec)
                if not await self._insert(connection, server, draft, request_id):
                    earlier = await self._earlier(connection, draft, request_id)
                    if earlier is None:
                        raise _name_taken(draft.name)
            if earlier is not None:
                await territory.holds(connection, earlier.server.id)
                return earlier
            await territory.holds(connection, server.id)
            if checked is not None:
                await self._own.put(connection, server.id, checked, self._now())
            await self._outbox.add(connection, "server", "created", str(server.id), events.server_created(server))
            return await _view(connection, server.id)

    async def get(self, reference: str) -> ServerView:
        """A server. Raises NotFound `SERVER_NOT_FOUND`."""
        async with self._uow.begin() as connection:
            return await _view(connection, reference)

    async def list(self, page_size: int, page_token: str, selector: str = "") -> Page[ServerView]:
        """A page of the servers that a selector matches, of all without one, by name.

        Raises InvalidArgument `PAGE_TOKEN_INVALID`, `SELECTOR_INVALID`.
        """
        tree = _tree(selector)
        # A page is of one list.
        kind = f"{_KIND}:{hashlib.sha256(selector.encode()).hexdigest()[:12]}" if selector else _KIND
        after = cursor(page_token, kind)
        limit = clamp(page_size, 100, 1000)
        async with self._uow.begin() as connection:
            found = await servers.list_views(connection, after_name=after, limit=limit + 1, selector=tree)
        items = found[:limit]
        return Page(kind, items, [view.server.spec.name for view in items], more=len(found) > limit)

    async def count(self, selector: str) -> ServerCounts:
        """How many servers a selector matches, all without one. Raises InvalidArgument `SELECTOR_INVALID`."""
        tree = _tree(selector)
        async with self._uow.begin() as connection:
            return await servers.count_servers(connection, tree)

    async def update(self, reference: str, change: ServerChange, etag: str, required: str = "") -> ServerView:
        """The server after the change; a change to the same values changes nothing. Empty etag: last writer wins.

        Raises NotFound `SERVER_NOT_FOUND`, Aborted `ETAG_MISMATCH`, AlreadyExists `SERVER_NAME_TAKEN`,
        FailedPrecondition `JUMP_LOOP`, InvalidArgument as `ServerChange.apply`, PermissionDenied `FORBIDDEN` for a
        server that the selector `required` does not match before and after the change, and as `create`.
        """
        territory = Territory(required)
        checked = None if change.own_credential is None else await self._own.check(change.own_credential, _OWN)
        async with self._uow.begin() as connection:
            ssh = None if change.ssh is None else await settle(connection, change.ssh)
            before = await the_server(connection, reference, lock=True)
            await territory.holds(connection, before.id)
            if etag and etag != before.etag:
                raise _changed_meanwhile(before)
            now = self._now()
            touched = False
            if checked is not None:
                touched = await self._own.put(connection, before.id, checked, now)
            elif change.sets_own_credential:
                touched = await self._own.remove(connection, before.id)
            server = before.changed(change.apply(before.spec, ssh), now, touched=touched)
            await territory.allows_change(connection, before, server, other_login=touched)
            if server is not before:
                await self._store(connection, before, server)
                await territory.holds(connection, server.id)
            return await _view(connection, server.id)

    async def delete(self, reference: str, etag: str = "", required: str = "") -> None:
        """Removes a server, its agent identity and its own credential; nothing is done on the host.

        Raises NotFound `SERVER_NOT_FOUND`, Aborted `ETAG_MISMATCH`, FailedPrecondition `JUMP_SERVER_IN_USE`,
        `MAINTENANCE_HELD`, PermissionDenied `FORBIDDEN` for a server that the selector `required` does not match.
        """
        territory = Territory(required)
        async with self._uow.begin() as connection:
            server = await the_server(connection, reference, lock=True)
            await territory.holds(connection, server.id)
            if etag and etag != server.etag:
                raise _changed_meanwhile(server)
            users = await servers.reached_through(connection, server.id, _NAMED_USERS + 1)
            if users:
                raise _is_jump_server(server, [] if territory.restricted else users)
            held = await maintenance.find_lease(connection, server.id)
            if held is not None:
                raise maintenance_held(server.spec.name, held)
            await servers.delete_server(connection, server.id)
            event = events.server_deleted(server, self._now())
            await self._outbox.add(connection, "server", "deleted", str(server.id), event)

    def _new(self, draft: ServerDraft, ssh: SshSettings, requested_by: str) -> Server:
        now = self._now()
        given = draft.host_key_fingerprint
        key = host_keys.trust(None, given, requested_by, now, host_keys.HOW_GIVEN) if given else None
        return Server(new_id(), draft.settled(ssh), revision=1, created_at=now, updated_at=now, host_key=key)

    async def _insert(self, connection: Connection, server: Server, draft: ServerDraft, request_id: str | None) -> bool:
        if request_id is None:
            return await servers.insert_server(connection, server)
        secret = draft.own_credential
        sealed = None if secret is None else self._vault.seal_digest("server", server.id, secret.digest())
        return await servers.insert_server(
            connection,
            server,
            request_id=request_id,
            request_digest=draft.digest(),
            sealed_request_digest=sealed,
        )

    async def _earlier(self, connection: Connection, draft: ServerDraft, request_id: str | None) -> ServerView | None:
        found = None if request_id is None else await servers.find_request(connection, request_id)
        if found is None:
            return None
        server_id, digest, sealed = found
        secret = draft.own_credential
        asked = None if secret is None else secret.digest()
        stored = None if sealed is None else self._vault.open_digest("server", server_id, sealed)
        if (digest, stored) != (draft.digest(), asked):
            raise request_id_reused("server")
        return await _view(connection, server_id)

    async def _store(self, connection: Connection, before: Server, server: Server) -> None:
        if not await servers.update_server(connection, server):
            raise _name_taken(server.spec.name)
        if server.spec.ssh.jump_server_ids != before.spec.ssh.jump_server_ids:
            await way_to(connection, server)
        if (server.spec.name, server.spec.address) != (before.spec.name, before.spec.address):
            await agents.advance_revision(connection, server.id)
        await self._outbox.add(connection, "server", "updated", str(server.id), events.server_updated(server))


def _tree(selector: str) -> Selector:
    return parse(selector) if selector else All()


async def _view(connection: Connection, reference: str | UUID) -> ServerView:
    found = await servers.find_view(connection, str(reference))
    if found is None:
        raise server_not_found(str(reference))
    return found


def _name_taken(name: str) -> AlreadyExists:
    return AlreadyExists("SERVER_NAME_TAKEN", f"Another server is named {name}.", field="name", server=name)


def _changed_meanwhile(server: Server) -> Aborted:
    return Aborted(
        "ETAG_MISMATCH", "The server was changed meanwhile; read it again.", field="etag", server=server.spec.name
    )


def _is_jump_server(server: Server, users: list[str]) -> FailedPrecondition:
    """`users` are named, as far as they may be known."""
    named = ", ".join(users[:_NAMED_USERS]) + (" and others" if len(users) > _NAMED_USERS else "")
    name = server.spec.name
    if not users:
        message = f"Other servers are reached through {name}."
        return FailedPrecondition("JUMP_SERVER_IN_USE", message, server=name)
    message = f"{named} are reached through {name}: give them another way first."
    return FailedPrecondition("JUMP_SERVER_IN_USE", message, server=name, used_by=named)
