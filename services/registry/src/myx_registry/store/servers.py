"""Statements on servers. All run in the caller's transaction."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_registry.domain.agents import AgentStatus
from myx_registry.domain.host_keys import HostKey
from myx_registry.domain.names import is_id, is_name
from myx_registry.domain.selector import All, Selector
from myx_registry.domain.servers import Match, Server, ServerCounts, ServerSpec, ServerView
from myx_registry.domain.ssh import RepairPolicy, SshSettings, SudoMode
from myx_registry.models import agent, check_pause, credential, maintenance, server
from myx_registry.store.agents import AGENT_COLUMNS, agent_of
from myx_registry.store.maintenance import MAINTENANCE_COLUMNS, is_held, maintenance_of
from myx_registry.store.pauses import PAUSE_COLUMNS, is_paused, pause_of
from myx_registry.store.selectors import condition

SERVER_COLUMNS = (
    server.c.id,
    server.c.name,
    server.c.address,
    server.c.labels,
    server.c.revision,
    server.c.created_at,
    server.c.updated_at,
    server.c.ssh_address,
    server.c.ssh_port,
    server.c.ssh_user,
    server.c.ssh_credential_id,
    server.c.ssh_sudo,
    server.c.ssh_jump_server_ids,
    server.c.repair_policy,
    server.c.accept_new_host_key,
    server.c.host_key_fingerprint,
    server.c.host_key_public_key,
    server.c.host_key_accepted_at,
    server.c.host_key_accepted_by,
    server.c.host_key_how,
)

_EVERY = All()


async def insert_server(
    connection: AsyncConnection,
    new: Server,
    *,
    request_id: str | None = None,
    request_digest: bytes | None = None,
    sealed_request_digest: bytes | None = None,
) -> bool:
    """False when a server of this name or of this request id exists; it is visible to the next statement then."""
    result = await connection.execute(
        insert(server)
        .values(
            id=new.id,
            request_id=request_id,
            request_digest=request_digest,
            sealed_request_digest=sealed_request_digest,
            created_at=new.created_at,
            **_changing_values(new),
            **_host_key_values(new.host_key),
        )
        .on_conflict_do_nothing()
        .returning(server.c.id)
    )
    return result.first() is not None


async def find_request(connection: AsyncConnection, request_id: str) -> tuple[UUID, bytes, bytes | None] | None:
    """Server id, content digest and sealed digest of the secret of the request that created a server."""
    columns = (server.c.id, server.c.request_digest, server.c.sealed_request_digest)
    row = (await connection.execute(sa.select(*columns).where(server.c.request_id == request_id))).first()
    return None if row is None else (row[0], row[1], row[2])


async def find_server(connection: AsyncConnection, reference: str, *, lock: bool = False) -> Server | None:
    """The server of an id or name. With `lock` nobody else changes it until the transaction ends."""
    query = sa.select(*SERVER_COLUMNS).where(_matches(reference))
    row = (await connection.execute(query.with_for_update() if lock else query)).first()
    return None if row is None else server_of(row)


async def keep_server(connection: AsyncConnection, reference: str) -> tuple[UUID, str] | None:
    """Id and name of a server that is not deleted until the transaction ends."""
    query = sa.select(server.c.id, server.c.name).where(_matches(reference)).with_for_update(read=True, key_share=True)
    row = (await connection.execute(query)).first()
    return None if row is None else (row[0], row[1])


async def keep_servers(connection: AsyncConnection, server_ids: Sequence[UUID]) -> list[UUID]:
    """Those of the servers that there are; they are not deleted until the transaction ends."""
    wanted = sa.any_(sa.bindparam("ids", list(server_ids), type_=sa.ARRAY(sa.Uuid)))
    query = sa.select(server.c.id).where(server.c.id == wanted).order_by(server.c.id)
    return list((await connection.execute(query.with_for_update(read=True, key_share=True))).scalars())


async def find_view(connection: AsyncConnection, reference: str) -> ServerView | None:
    """A server with all that callers see of it, by id or name."""
    row = (await connection.execute(_views().where(_matches(reference)))).first()
    return None if row is None else _view_of(row)


async def list_views(
    connection: AsyncConnection, *, after_name: str, limit: int, selector: Selector = _EVERY
) -> list[ServerView]:
    """Up to `limit` servers after a name that the selector matches, by name."""
    query = _views().where(server.c.name > after_name, condition(selector)).order_by(server.c.name).limit(limit)
    return [_view_of(row) for row in (await connection.execute(query)).all()]


async def count_servers(connection: AsyncConnection, selector: Selector) -> ServerCounts:
    """The servers that the selector matches, in numbers."""
    query = (
        sa.select(agent.c.status, sa.func.count(), sa.func.count(check_pause.c.server_id))
        .select_from(server)
        .outerjoin(agent, agent.c.server_id == server.c.id)
        .outerjoin(check_pause, sa.and_(check_pause.c.server_id == server.c.id, is_paused()))
        .where(condition(selector))
        .group_by(agent.c.status)
    )
    rows = (await connection.execute(query)).all()
    by_status = {AgentStatus(status): number for status, number, _ in rows if status is not None}
    without_agent = sum(number for status, number, _ in rows if status is None)
    return ServerCounts(by_status, without_agent, paused=sum(row[2] for row in rows))


async def matches(connection: AsyncConnection, server_id: UUID, selector: Selector) -> bool:
    """Whether the selector matches a server, as it stands in this transaction."""
    return bool(await _matches_where(connection, sa.and_(server.c.id == server_id, condition(selector))))


async def select_matches(connection: AsyncConnection, selector: Selector) -> list[Match]:
    """All servers that the selector matches, as they are at one moment, by name."""
    return await _matches_where(connection, condition(selector))


async def named_matches(connection: AsyncConnection, references: Sequence[str]) -> list[Match]:
    """The servers of these ids or names that there are, as they are at one moment, each once, by name."""
    ids = sa.literal([UUID(one) for one in references if is_id(one)], ARRAY(sa.Uuid))
    names = sa.literal([one for one in references if is_name(one)], ARRAY(sa.Text))
    return await _matches_where(connection, sa.or_(server.c.id == sa.any_(ids), server.c.name == sa.any_(names)))


async def _matches_where(connection: AsyncConnection, wanted: sa.ColumnElement[bool]) -> list[Match]:
    columns = (server.c.id, server.c.name, server.c.address, server.c.labels, agent.c.id, agent.c.status)
    joined = server.outerjoin(agent, agent.c.server_id == server.c.id)
    query = sa.select(*columns).select_from(joined).where(wanted).order_by(server.c.name)
    rows = (await connection.execute(query)).all()
    return [Match(*row[:5], status=row[5] or "") for row in rows]


async def update_server(connection: AsyncConnection, changed: Server) -> bool:
    """Stores a server that `find_server` locked; False, and nothing changed, when another server has its name."""
    statement = (
        sa.update(server)
        .where(server.c.id == changed.id, server.c.revision == changed.revision - 1)
        .values(**_changing_values(changed))
    )
    try:
        async with connection.begin_nested():
            return (await connection.execute(statement)).rowcount == 1
    except IntegrityError:
        return False


async def update_host_key(connection: AsyncConnection, server_id: UUID, key: HostKey) -> None:
    """Trusts a key from now on. The caller has locked the server."""
    await connection.execute(sa.update(server).where(server.c.id == server_id).values(**_host_key_values(key)))


async def delete_server(connection: AsyncConnection, server_id: UUID) -> bool:
    """Deletes a server with its agent and its own credential; False when there is none."""
    return (await connection.execute(sa.delete(server).where(server.c.id == server_id))).rowcount == 1


async def reached_through(connection: AsyncConnection, server_id: UUID, limit: int) -> list[str]:
    """Names of up to `limit` servers that have this one among their jump servers."""
    query = (
        sa.select(server.c.name)
        .where(server.c.ssh_jump_server_ids.contains([server_id]))
        .order_by(server.c.name)
        .limit(limit)
    )
    return list((await connection.execute(query)).scalars())


def server_of(row: Sequence[Any]) -> Server:
    """The server in a row of SERVER_COLUMNS."""
    server_id, name, address, labels, revision, created_at, updated_at, *more = row
    ssh_address, port, user, credential_id, sudo, jump_server_ids, repair_policy, accept_new, *key = more
    return Server(
        id=server_id,
        spec=ServerSpec(
            name=name,
            address=address,
            labels=dict(sorted(labels.items())),
            ssh=SshSettings(ssh_address, port, user, credential_id, SudoMode(sudo), tuple(jump_server_ids)),
            repair_policy=RepairPolicy(repair_policy),
            accept_new_host_key=accept_new,
        ),
        revision=revision,
        created_at=created_at,
        updated_at=updated_at,
        host_key=None if key[0] is None else HostKey(*key),
    )


def _changing_values(changed: Server) -> dict[str, object]:
    spec, ssh = changed.spec, changed.spec.ssh
    return {
        "name": spec.name,
        "address": spec.address,
        "labels": dict(spec.labels),
        "revision": changed.revision,
        "updated_at": changed.updated_at,
        "ssh_address": ssh.address,
        "ssh_port": ssh.port,
        "ssh_user": ssh.user,
        "ssh_credential_id": ssh.credential_id,
        "ssh_sudo": ssh.sudo.value,
        "ssh_jump_server_ids": list(ssh.jump_server_ids),
        "repair_policy": spec.repair_policy.value,
        "accept_new_host_key": spec.accept_new_host_key,
    }


def _host_key_values(key: HostKey | None) -> dict[str, object]:
    if key is None:
        return {}
    return {
        "host_key_fingerprint": key.fingerprint,
        "host_key_public_key": key.public_key,
        "host_key_accepted_at": key.accepted_at,
        "host_key_accepted_by": key.accepted_by,
        "host_key_how": key.how,
    }


def _matches(reference: str) -> sa.ColumnElement[bool]:
    if is_id(reference):
        return server.c.id == UUID(reference)
    return server.c.name == reference if is_name(reference) else sa.false()


def _views() -> sa.Select[Any]:
    shared, own = credential.alias("shared"), credential.alias("own")
    agent_columns = (column.label(f"agent_{column.name}") for column in AGENT_COLUMNS)
    held_columns = (column.label(f"held_{column.name}") for column in MAINTENANCE_COLUMNS)
    return (
        sa.select(
            *SERVER_COLUMNS,
            shared.c.name,
            own.c.id,
            _jump_server_names(),
            *held_columns,
            *(column.label(f"pause_{column.name}") for column in PAUSE_COLUMNS),
            *agent_columns,
        )
        .select_from(server)
        .outerjoin(agent, agent.c.server_id == server.c.id)
        .outerjoin(shared, shared.c.id == server.c.ssh_credential_id)
        .outerjoin(own, own.c.server_id == server.c.id)
        .outerjoin(maintenance, sa.and_(maintenance.c.server_id == server.c.id, is_held()))
        .outerjoin(check_pause, sa.and_(check_pause.c.server_id == server.c.id, is_paused()))
    )


def _jump_server_names() -> sa.ColumnElement[list[str]]:
    jump = server.alias("jump")
    place = sa.func.unnest(server.c.ssh_jump_server_ids).table_valued("id", with_ordinality="n").render_derived()
    names = (
        sa.select(jump.c.name)
        .select_from(sa.join(place, jump, jump.c.id == place.c.id))
        .order_by(place.c.n)
        .correlate(server)
    )
    return sa.func.array(names.scalar_subquery(), type_=sa.ARRAY(sa.Text))


def _view_of(row: Sequence[Any]) -> ServerView:
    head, rest = row[: len(SERVER_COLUMNS)], row[len(SERVER_COLUMNS) :]
    credential_name, own_id, jump_server_names, *more = rest
    held, more = more[: len(MAINTENANCE_COLUMNS)], more[len(MAINTENANCE_COLUMNS) :]
    pause, agent_row = more[: len(PAUSE_COLUMNS)], more[len(PAUSE_COLUMNS) :]
    return ServerView(
        server=server_of(head),
        agent=None if agent_row[0] is None else agent_of(agent_row),
        maintenance=None if held[0] is None else maintenance_of(held),
        credential_name=credential_name or "",
        jump_server_names=tuple(jump_server_names),
        has_own_credential=own_id is not None,
        pause=None if pause[0] is None else pause_of(pause),
    )
