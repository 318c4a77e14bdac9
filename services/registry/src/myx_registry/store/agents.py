"""Statements on agents. All run in the caller's transaction."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_registry.domain.agents import Agent, AgentFacts, AgentHealth, AgentStatus
from myx_registry.domain.heartbeats import AgentRecord
from myx_registry.models import agent, check_pause, server
from myx_registry.store.documents import attempts_document, attempts_of, facts_document, facts_of

_STATUSES = ("status", "definite_status", "announced_status")
_HEALTH_COLUMNS = (
    agent.c.status,
    agent.c.status_since,
    agent.c.status_reason,
    agent.c.status_message,
    agent.c.version,
    agent.c.rpc_supported,
    agent.c.rpc_last_check,
    agent.c.rpc_last_success,
    agent.c.last_heartbeat,
    agent.c.latency_s,
    agent.c.failure_streak,
    agent.c.definite_status,
    agent.c.announced_status,
    agent.c.changes,
    agent.c.flapping_since,
    agent.c.machine_id,
    agent.c.found_machine_id,
    agent.c.quarantined_at,
    agent.c.boot_id,
    agent.c.rebooted_at,
    agent.c.facts_digest,
)
_HEALTH_NAMES = tuple(column.name for column in _HEALTH_COLUMNS)
_HEALTH_TIMES = tuple(column.name for column in _HEALTH_COLUMNS if isinstance(column.type, sa.DateTime))
# `agent_of` reads rows of exactly these columns, in this order.
AGENT_COLUMNS = (
    agent.c.id,
    agent.c.server_id,
    agent.c.rpc_port,
    agent.c.certificate_sha256,
    agent.c.revision,
    agent.c.created_at,
    agent.c.rotation_id,
    *_HEALTH_COLUMNS,
    agent.c.last_attempts,
    agent.c.facts,
)


@dataclass(frozen=True, slots=True)
class SealedSecrets:
    """The secrets of one agent as SecretBox envelopes."""

    agent_token: bytes
    secret_key: bytes
    rpc_path: bytes
    private_key: bytes


@dataclass(frozen=True, slots=True)
class SealedEndpoint:
    """Connection data of one agent, its secrets sealed."""

    agent_id: UUID
    server_id: UUID
    server_name: str
    address: str
    rpc_port: int
    certificate_sha256: str
    status: AgentStatus
    revision: int
    agent_token: bytes
    secret_key: bytes
    rpc_path: bytes
    next_certificate_sha256: str
    ssh_address: str = ""
    ssh_port: int = 0
    is_quarantined: bool = False
    paused_until: datetime | None = None
    machine_id: str = ""
    boot_id: str = ""


@dataclass(frozen=True, slots=True)
class StoredIdentity:
    """An allocated agent with its sealed secrets and its certificate."""

    agent: Agent
    secrets: SealedSecrets
    certificate_pem: str


async def insert_on_free_port(
    connection: AsyncConnection, new: Agent, secrets: SealedSecrets, certificate_pem: str, ports: Iterable[int]
) -> Agent | None:
    """The agent as stored, on the first of the ports that no other agent has; None when all are taken."""
    for port in ports:
        placed = replace(new, rpc_port=port)
        if await _insert_agent(connection, placed, secrets, certificate_pem):
            return placed
    return None


async def _insert_agent(connection: AsyncConnection, new: Agent, secrets: SealedSecrets, certificate_pem: str) -> bool:
    health = new.health
    result = await connection.execute(
        insert(agent)
        .values(
            id=new.id,
            server_id=new.server_id,
            rpc_port=new.rpc_port,
            certificate_sha256=new.certificate_sha256,
            certificate_pem=certificate_pem,
            sealed_agent_token=secrets.agent_token,
            sealed_secret_key=secrets.secret_key,
            sealed_rpc_path=secrets.rpc_path,
            sealed_private_key=secrets.private_key,
            revision=new.revision,
            created_at=new.created_at,
            last_attempts=attempts_document(health.last_attempts),
            facts=None if health.facts is None else facts_document(health.facts),
            **_health_values(health),
        )
        .on_conflict_do_nothing(index_elements=[agent.c.rpc_port])
        .returning(agent.c.id)
    )
    return result.first() is not None


async def find_identity(connection: AsyncConnection, server_id: UUID) -> StoredIdentity | None:
    """The identity that was allocated for a server."""
    query = sa.select(
        *AGENT_COLUMNS,
        agent.c.certificate_pem,
        agent.c.sealed_agent_token,
        agent.c.sealed_secret_key,
        agent.c.sealed_rpc_path,
        agent.c.sealed_private_key,
    ).where(agent.c.server_id == server_id)
    row = (await connection.execute(query)).first()
    if row is None:
        return None
    count = len(AGENT_COLUMNS)
    certificate_pem, *sealed = row[count:]
    return StoredIdentity(agent=agent_of(row[:count]), secrets=SealedSecrets(*sealed), certificate_pem=certificate_pem)


async def ports_in_use(connection: AsyncConnection) -> set[int]:
    """Every allocated port, and those that are kept for agents that are to move."""
    given = set((await connection.execute(sa.select(agent.c.rpc_port))).scalars())
    return given | await kept_ports(connection)


async def kept_ports(connection: AsyncConnection) -> set[int]:
    """Ports to which agents are to move."""
    query = sa.select(agent.c.next_rpc_port).where(agent.c.next_rpc_port.is_not(None))
    return set((await connection.execute(query)).scalars())


async def find_agent(connection: AsyncConnection, server_id: UUID) -> Agent | None:
    """The agent of a server."""
    row = (await connection.execute(sa.select(*AGENT_COLUMNS).where(agent.c.server_id == server_id))).first()
    return None if row is None else agent_of(row)


async def list_agents(connection: AsyncConnection, *, after_name: str, limit: int) -> list[tuple[str, Agent]]:
    """Up to `limit` agents after a server name, by server name, each with that name."""
    query = (
        sa.select(*AGENT_COLUMNS, server.c.name)
        .join_from(agent, server, agent.c.server_id == server.c.id)
        .where(server.c.name > after_name)
        .order_by(server.c.name)
        .limit(limit)
    )
    return [(row[-1], agent_of(row[:-1])) for row in (await connection.execute(query)).all()]


async def find_endpoint(connection: AsyncConnection, server_id: UUID) -> SealedEndpoint | None:
    """Connection data of a server's agent."""
    row = (await connection.execute(_endpoints().where(server.c.id == server_id))).first()
    return None if row is None else _endpoint_of(row)


async def find_endpoints(
    connection: AsyncConnection, ids: Iterable[UUID], names: Iterable[str]
) -> list[SealedEndpoint]:
    """Connection data of the agents of the servers of these ids and names, as far as there are any."""
    rows = (await connection.execute(_endpoints().where(_is_one_of(ids, names)))).all()
    return [_endpoint_of(row) for row in rows]


async def find_names(connection: AsyncConnection, ids: Iterable[UUID], names: Iterable[str]) -> list[tuple[UUID, str]]:
    """(id, name) of the servers of these ids and names that exist."""
    rows = (await connection.execute(sa.select(server.c.id, server.c.name).where(_is_one_of(ids, names)))).all()
    return [(row[0], row[1]) for row in rows]


def _is_one_of(ids: Iterable[UUID], names: Iterable[str]) -> sa.ColumnElement[bool]:
    return sa.or_(
        server.c.id == sa.any_(sa.bindparam("ids", list(ids), type_=sa.ARRAY(sa.Uuid))),
        server.c.name == sa.any_(sa.bindparam("names", list(names), type_=sa.ARRAY(sa.Text))),
    )


async def list_endpoints(connection: AsyncConnection, *, after_id: UUID | None, limit: int) -> list[SealedEndpoint]:
    """Up to `limit` endpoints after an agent id, by agent id (which no change of a server can move)."""
    query = _endpoints().order_by(agent.c.id).limit(limit)
    if after_id is not None:
        query = query.where(agent.c.id > after_id)
    return [_endpoint_of(row) for row in (await connection.execute(query)).all()]


async def advance_revision(connection: AsyncConnection, server_id: UUID) -> None:
    """Marks cached endpoints of a server's agent as stale, if it has one."""
    await connection.execute(
        sa.update(agent).where(agent.c.server_id == server_id).values(revision=agent.c.revision + 1)
    )


async def lock_records(connection: AsyncConnection, agent_ids: Iterable[UUID]) -> list[AgentRecord]:
    """The records of those of the agents that exist, by id, locked until the transaction ends.

    They are locked in this order, so that two batches never wait for each other in a circle. Attempts and facts are
    left out: a report replaces them or leaves them alone.
    """
    query = (
        sa.select(agent.c.id, agent.c.server_id, agent.c.revision, *_HEALTH_COLUMNS)
        .where(agent.c.id == sa.any_(sa.bindparam("ids", list(agent_ids), type_=sa.ARRAY(sa.Uuid))))
        .order_by(agent.c.id)
        .with_for_update(key_share=True)
    )
    return [
        AgentRecord(id=row[0], server_id=row[1], revision=row[2], health=_health_of(row[3:]))
        for row in (await connection.execute(query)).all()
    ]


_UPDATE_RECORDS = sa.text(
    """
    UPDATE registry.agent AS a SET
        revision = r.revision, status = r.status, status_since = r.status_since, status_reason = r.status_reason,
        status_message = r.status_message, version = r.version, rpc_supported = r.rpc_supported,
        rpc_last_check = r.rpc_last_check, rpc_last_success = r.rpc_last_success, last_heartbeat = r.last_heartbeat,
        latency_s = r.latency_s, failure_streak = r.failure_streak, definite_status = r.definite_status,
        announced_status = r.announced_status, changes = r.changes, flapping_since = r.flapping_since,
        machine_id = r.machine_id, found_machine_id = r.found_machine_id, quarantined_at = r.quarantined_at,
        boot_id = r.boot_id, rebooted_at = r.rebooted_at, facts_digest = r.facts_digest,
        last_attempts = r.last_attempts, facts = coalesce(r.facts, a.facts)
    FROM jsonb_to_recordset(CAST(:records AS jsonb)) AS r (
        id uuid, revision bigint, status text, status_since timestamptz, status_reason text, status_message text,
        version text, rpc_supported boolean, rpc_last_check timestamptz, rpc_last_success timestamptz,
        last_heartbeat timestamptz, latency_s double precision, failure_streak integer, definite_status text,
        announced_status text, changes jsonb, flapping_since timestamptz, machine_id text, found_machine_id text,
        quarantined_at timestamptz, boot_id text, rebooted_at timestamptz, facts_digest text, last_attempts jsonb,
        facts jsonb)
    WHERE a.id = r.id
    """
)


async def update_records(connection: AsyncConnection, records: Sequence[AgentRecord]) -> None:
    """Stores records that `lock_records` locked, in one statement. Facts that are None are left as they are.

    They go as one document: arrays of 25 columns take the client three times as long.
    """
    if records:
        await connection.execute(_UPDATE_RECORDS, {"records": json.dumps([_record_document(one) for one in records])})


def _record_document(record: AgentRecord) -> dict[str, Any]:
    health = record.health
    document = _health_values(health)
    for name in _HEALTH_TIMES:
        if document[name] is not None:
            document[name] = document[name].isoformat()
    document["id"] = record.id.hex
    document["revision"] = record.revision
    document["last_attempts"] = attempts_document(health.last_attempts)
    document["facts"] = None if health.facts is None else facts_document(health.facts)
    return document


def agent_of(row: Sequence[Any]) -> Agent:
    """The agent in a row of AGENT_COLUMNS."""
    agent_id, server_id, rpc_port, certificate_sha256, revision, created_at, rotation_id, *health, attempts, facts = row
    return Agent(
        id=agent_id,
        server_id=server_id,
        rpc_port=rpc_port,
        certificate_sha256=certificate_sha256,
        revision=revision,
        created_at=created_at,
        health=_health_of(health, attempts=attempts, facts=facts),
        is_rotating=rotation_id is not None,
    )


def _health_of(
    row: Sequence[Any], *, attempts: list[dict[str, Any]] | None = None, facts: dict[str, Any] | None = None
) -> AgentHealth:
    values = dict(zip(_HEALTH_NAMES, row, strict=True))
    for name in _STATUSES:
        values[name] = AgentStatus(values[name])
    values["changes"] = tuple(datetime.fromtimestamp(one, UTC) for one in values["changes"])
    return AgentHealth(
        **values,
        last_attempts=attempts_of(attempts or ()),
        facts=None if facts is None else facts_of(facts),
    )


def _health_values(health: AgentHealth) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(health, name) for name in _HEALTH_NAMES}
    for name in _STATUSES:
        values[name] = values[name].value
    values["changes"] = [one.timestamp() for one in health.changes]
    return values


async def facts_by_id(connection: AsyncConnection, agent_ids: Iterable[UUID]) -> dict[UUID, AgentFacts]:
    """The stored facts of agents, of those that have some."""
    wanted = sa.any_(sa.bindparam("ids", list(agent_ids), type_=sa.ARRAY(sa.Uuid)))
    query = sa.select(agent.c.id, agent.c.facts).where(agent.c.id == wanted, agent.c.facts.is_not(None))
    return {row[0]: facts_of(row[1]) for row in (await connection.execute(query)).all()}


async def accept_machine(connection: AsyncConnection, server_id: UUID) -> None:
    """Whatever machine answers next is the right one."""
    values = {"machine_id": "", "found_machine_id": "", "quarantined_at": None, "boot_id": ""}
    await connection.execute(
        sa.update(agent).where(agent.c.server_id == server_id).values(revision=agent.c.revision + 1, **values)
    )


def _endpoints() -> sa.Select[Any]:
    return sa.select(
        agent.c.id,
        agent.c.server_id,
        server.c.name,
        server.c.address,
        agent.c.rpc_port,
        agent.c.certificate_sha256,
        agent.c.status,
        agent.c.revision,
        agent.c.sealed_agent_token,
        agent.c.sealed_secret_key,
        agent.c.sealed_rpc_path,
        agent.c.next_certificate_sha256,
        server.c.ssh_address,
        sa.case((sa.func.cardinality(server.c.ssh_jump_server_ids) > 0, 0), else_=server.c.ssh_port),
        agent.c.quarantined_at.is_not(None),
        check_pause.c.until,
        agent.c.machine_id,
        agent.c.boot_id,
    ).select_from(
        sa.join(agent, server, agent.c.server_id == server.c.id).outerjoin(
            check_pause, sa.and_(check_pause.c.server_id == server.c.id, check_pause.c.until > sa.func.now())
        )
    )


def _endpoint_of(row: Sequence[Any]) -> SealedEndpoint:
    agent_id, server_id, server_name, address, rpc_port, certificate_sha256, status, revision, *rest = row
    agent_token, secret_key, rpc_path, next_certificate_sha256, *more = rest
    ssh_address, ssh_port, is_quarantined, paused_until, machine_id, boot_id = more
    return SealedEndpoint(
        agent_id=agent_id,
        server_id=server_id,
        server_name=server_name,
        address=address,
        rpc_port=rpc_port,
        certificate_sha256=certificate_sha256,
        status=AgentStatus(status),
        revision=revision,
        agent_token=agent_token,
        secret_key=secret_key,
        rpc_path=rpc_path,
        next_certificate_sha256=next_certificate_sha256 or "",
        ssh_address=ssh_address,
        ssh_port=ssh_port,
        is_quarantined=is_quarantined,
        paused_until=paused_until,
        machine_id=machine_id,
        boot_id=boot_id,
    )
