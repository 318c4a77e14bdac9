"""Deployments: accept, read, list; and the owner's writes beside the log."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from myx_executor.domain.command import Command
from myx_executor.domain.deployment import AGENT_KINDS, Deployment, Kind
from myx_executor.domain.states import Status
from myx_executor.models.commands import OPEN_STATUSES
from myx_executor.store.changes import first_change
from myx_executor.store.commands import policy_params
from myx_executor.store.deployment_rows import (
    DEPLOYMENT_COLUMNS,
    deployment_from_row,
    recap_to_json,
    steps_to_json,
)
from myx_executor.store.jobs_fragment import REVISION
from myx_executor.store.pool import Pool
from myx_executor.store.rows import COMMAND_COLUMNS, COMMAND_WIDTH, command_from_row, in_statuses

# A job's deployment is stored only while its id is reserved there.
_INSERT: LiteralString = f"""
with r as (
  update executor.job_target set reserved = false, revision = {REVISION}
  where command_id = %(id)s and reserved and status = 'running'
  returning command_id),
c as (
  insert into executor.command as c (
    id, kind, server_id, server_name, agent_id, command, args, env, secret_env_names, cwd, command_user, timeout_s,
    no_output_timeout_s, sealed, requested_by, request_id, sealed_request_digest, status, reason, message, ended_at,
    log_completeness, owner,
    lease_until, fence, dispatch_at, deadline_at, changes, offline_policy, queue_timeout_s, connect_timeout_s,
    lock_mode, job_id, schedule_id)
  select
    %(id)s, 'deployment', %(server_id)s, %(server_name)s, %(agent_id)s, '', '{{}}'::text[], '{{}}'::jsonb,
    '{{}}'::text[], '', '', %(timeout_s)s::float8, %(no_output_timeout_s)s::float8, %(sealed)s::bytea,
    %(requested_by)s, %(request_id)s::text,
    %(sealed_request_digest)s::bytea, %(status)s, %(reason)s,
    %(message)s, case when %(status)s::text = 'skipped' then now() end,
    case when %(status)s::text = 'skipped' then 'complete' else 'open' end, %(owner)s::text,
    case when %(owner)s::text is not null then now() + make_interval(secs => %(lease_s)s::float8) end,
    case when %(owner)s::text is not null then 1 else 0 end,
    case when %(owner)s::text is not null then now() end,
    case when %(status)s::text <> 'skipped' then now() + make_interval(secs => case when %(owner)s::text is null
      then %(queue_timeout_s)s::float8 else %(connect_timeout_s)s::float8 end) end,
    {first_change("%(status)s::text", "%(requested_by)s::text", "coalesce(nullif(%(reason)s::text, ''), 'accepted')")},
    %(offline_policy)s, %(queue_timeout_s)s::float8, %(connect_timeout_s)s::float8, %(lock_mode)s, %(job_id)s::uuid,
    %(schedule_id)s::uuid
  where %(job_id)s::uuid is null or exists (select 1 from r)
  on conflict (requested_by, request_id) where request_id is not null do nothing
  returning {COMMAND_COLUMNS}),
d as (
  insert into executor.deployment as d (
    id, server_id, kind, method, project, playbook, extra_vars, secret_var_names, check_mode, diff, tags, skip_tags,
    host_limit, force, new_port, new_path, artifact_sha256, retry_of, project_version, project_digest, cure, steps,
    details)
  select c.id, c.server_id, %(kind)s, %(method)s, %(project)s, %(playbook)s, %(extra_vars)s, %(secret_var_names)s,
    %(check)s, %(diff)s, %(tags)s, %(skip_tags)s, %(limit)s, %(force)s, %(new_port)s, %(new_path)s,
    %(artifact_sha256)s, %(retry_of)s::uuid, %(project_version)s, %(project_digest)s, %(cure)s, %(steps)s, %(details)s
  from c)
select * from c"""

_SELECT: LiteralString = (
    f"select {COMMAND_COLUMNS}, {DEPLOYMENT_COLUMNS} from executor.command c join executor.deployment d on d.id = c.id"
)

_BY_REQUEST: LiteralString = """
select c.id, c.kind, c.sealed_request_digest from executor.command c
where c.requested_by = %(requested_by)s and c.request_id = %(request_id)s and c.request_id is not null"""

# The row of `command` is locked, so that no other owner can begin between the look at the fence and the write.
_GUARD: LiteralString = f"""
with c as (
  select id, status from executor.command
  where id = %(id)s and fence = %(fence)s and status in {OPEN_STATUSES} for no key update)"""

_SAVE: LiteralString = (
    _GUARD
    + """
update executor.deployment d set steps = %(steps)s, state = %(state)s, details = %(details)s, recap = %(recap)s,
  method_used = %(method_used)s, project_version = %(project_version)s, project_digest = %(project_digest)s,
  cure = %(cure)s
from c where d.id = c.id returning c.status"""
)

_ADD_EVENTS: LiteralString = (
    _GUARD
    + """,
i as (
  insert into executor.play_event (deployment_id, seq, event)
  select c.id, e.seq, e.event from c, unnest(%(seqs)s::bigint[], %(events)s::jsonb[]) as e (seq, event)
  on conflict do nothing)
select status from c"""
)

_EVENTS: LiteralString = """
select seq, event from executor.play_event where deployment_id = %(id)s and seq > %(after)s order by seq
limit %(limit)s"""

_LAST_EVENT: LiteralString = "select coalesce(max(seq), 0) from executor.play_event where deployment_id = %(id)s"

_LAST_FAILURE: LiteralString = """
select event from executor.play_event
where deployment_id = %(id)s and event ->> 'type' = 'task_result' and event ->> 'status' in ('failed', 'unreachable')
  and event ->> 'ignored' is distinct from 'true'
order by seq desc limit 1"""

# What waits does not run. A change of the agent that is about to begin is in the way of another one all the same.
_UNDER_WAY: LiteralString = """
select distinct coalesce(d.kind, 'command') from executor.command c left join executor.deployment d on d.id = c.id
where c.server_id = %(server_id)s
  and (c.status in ('running', 'cancelling') or c.status = 'pending' and d.kind = any(%(agent_kinds)s))"""

# Calls of deployments have no row of `command`: they go with their deployment.
_NOT_ENDED: LiteralString = f"""
select told.id from unnest(%(ids)s::uuid[]) as told (id)
where not exists (select from executor.command c where c.id = told.id and c.status not in {OPEN_STATUSES})
  and not exists (
    select from executor.deployment d
    where d.server_id = %(server_id)s
      and jsonb_path_exists(d.state, '$.calls.*.id ? (@ == $id)', jsonb_build_object('id', told.id::text)))"""

_REPAIRS: LiteralString = """
select c.id, c.created_at, case when c.status = 'skipped' then c.reason else '' end
from executor.command c join executor.deployment d on d.id = c.id
where d.server_id = %(server_id)s and d.kind = 'repair_agent' and c.requested_by = %(requested_by)s
order by c.id desc limit 100"""

# Only an upgrade says of a release that it does not work: a repair may fail for what broke the agent.
_LAST_OF_RELEASE: LiteralString = """
select c.status, d.details from executor.command c join executor.deployment d on d.id = c.id
where d.server_id = %(server_id)s and d.kind in ('install_agent', 'repair_agent', 'upgrade_agent')
  and d.details ->> 'target_release' = %(release)s
  and (c.status = 'success' or c.status = 'failed' and d.kind = 'upgrade_agent' and d.details ? 'upgrade_state')
order by c.id desc limit 1"""

_IN_USE: LiteralString = f"""
select distinct d.project_digest from executor.command c join executor.deployment d on d.id = c.id
where d.project = %(project)s and c.status in {OPEN_STATUSES}"""


@dataclass(frozen=True, slots=True)
class NewDeployment:
    """A deployment to be accepted; one that is SKIPPED is final at once. `owner` None: it waits for a replica."""

    deployment: Deployment
    sealed: bytes | None
    request_id: str | None
    sealed_request_digest: bytes | None
    owner: str | None
    lease_s: float


@dataclass(frozen=True, slots=True)
class PastRepair:
    """A repair that was asked for. `skipped`: why it was only noted, empty when it was carried out."""

    id: UUID
    created_at: datetime
    skipped: str


class DeploymentStore:
    """Every statement about deployments that is not one about their row of `command`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def insert(self, new: NewDeployment) -> Command | None:
        """The row of `command`; None when the requester used the request id before, or its job reserves it no more."""
        one, plan = new.deployment, new.deployment.plan
        rows = await self._pool.rows(
            _INSERT,
            {
                "id": one.id,
                "server_id": one.row.server_id,
                "server_name": one.row.server_name,
                "agent_id": one.row.agent_id,
                "timeout_s": one.row.spec.timeout_s,
                "no_output_timeout_s": one.row.spec.no_output_timeout_s,
                "requested_by": one.row.requested_by,
                "status": str(one.row.status),
                "reason": one.row.reason,
                "message": one.row.message,
                "sealed": new.sealed,
                "request_id": new.request_id,
                "sealed_request_digest": new.sealed_request_digest,
                "owner": new.owner,
                "lease_s": new.lease_s,
                **policy_params(one.row),
                "kind": str(plan.kind),
                "method": str(plan.method),
                "project": plan.project,
                "playbook": plan.playbook,
                "extra_vars": Jsonb(dict(plan.extra_vars)),
                "secret_var_names": list(plan.secret_var_names),
                "check": plan.check,
                "diff": plan.diff,
                "tags": list(plan.tags),
                "skip_tags": list(plan.skip_tags),
                "limit": plan.limit,
                "force": plan.force,
                "new_port": plan.new_port,
                "new_path": plan.new_path,
                "artifact_sha256": plan.artifact_sha256,
                "retry_of": one.retry_of,
                "project_version": one.project_version,
                "project_digest": one.project_digest,
                "cure": one.cure,
                "steps": Jsonb(steps_to_json(one.steps)),
                "details": Jsonb(dict(one.details)),
            },
        )
        return command_from_row(rows[0]) if rows else None

    async def by_request(self, requested_by: str, request_id: str) -> tuple[UUID, bytes] | None:
        """The row of a request id, whatever kind it is, and the sealed digest of its content."""
        rows = await self._pool.rows(_BY_REQUEST, {"requested_by": requested_by, "request_id": request_id})
        return (rows[0][0], rows[0][2]) if rows else None

    async def get(self, deployment_id: UUID) -> Deployment | None:
        """One deployment."""
        rows = await self._pool.rows(f"{_SELECT} where c.id = %(id)s", {"id": deployment_id})
        return deployment_from_row(rows[0], COMMAND_WIDTH) if rows else None

    async def page(
        self,
        *,
        limit: int,
        before: UUID | None = None,
        server_id: str | None = None,
        server_name: str | None = None,
        kind: Kind | None = None,
        statuses: Sequence[Status] = (),
        within: Sequence[str] | None = None,
    ) -> Sequence[Deployment]:
        """Deployments by descending id, those before `before`; each filter that is given must match."""
        conditions: list[LiteralString] = ["true"]
        if before is not None:
            conditions.append("d.id < %(before)s")
        if server_id is not None:
            conditions.append("d.server_id = %(server_id)s")
        if server_name is not None:
            conditions.append("c.server_name = %(server_name)s")
        if kind is not None:
            conditions.append("d.kind = %(kind)s")
        if statuses:
            conditions.append(in_statuses(statuses))
        if within is not None:
            conditions.append("d.server_id = any(%(within)s::text[])")
        where: LiteralString = " and ".join(conditions)
        params: dict[str, Any] = {
            "before": before,
            "server_id": server_id,
            "server_name": server_name,
            "kind": str(kind),
            "within": None if within is None else list(within),
            "statuses": [str(status) for status in statuses],
            "limit": limit,
        }
        rows = await self._pool.rows(f"{_SELECT} where {where} order by d.id desc limit %(limit)s", params)
        return [deployment_from_row(row, COMMAND_WIDTH) for row in rows]

    async def save(self, fence: int, deployment: Deployment) -> Status | None:
        """Stores all that the owner changes beside log and state; None when the lease is lost."""
        recap = deployment.recap
        values = {
            "id": deployment.id,
            "fence": fence,
            "steps": Jsonb(steps_to_json(deployment.steps)),
            "state": Jsonb(dict(deployment.state)),
            "details": Jsonb(dict(deployment.details)),
            "recap": None if recap is None else Jsonb(recap_to_json(recap)),
            "method_used": str(deployment.method_used or ""),
            "project_version": deployment.project_version,
            "project_digest": deployment.project_digest,
            "cure": deployment.cure,
        }
        rows = await self._pool.rows(_SAVE, values)
        return Status(rows[0][0]) if rows else None

    async def add_events(
        self, deployment_id: UUID, fence: int, events: Sequence[tuple[int, Mapping[str, Any]]]
    ) -> bool:
        """Stores progress events (a repeat is harmless); false when the lease is lost."""
        values = {
            "id": deployment_id,
            "fence": fence,
            "seqs": [seq for seq, _ in events],
            "events": [Jsonb(dict(event)) for _, event in events],
        }
        return bool(await self._pool.rows(_ADD_EVENTS, values))

    async def events(self, deployment_id: UUID, after: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """Progress events in order."""
        rows = await self._pool.rows(_EVENTS, {"id": deployment_id, "after": after, "limit": limit})
        return [(row[0], row[1]) for row in rows]

    async def last_event(self, deployment_id: UUID) -> int:
        """The highest number of a progress event; 0: there is none."""
        rows = await self._pool.rows(_LAST_EVENT, {"id": deployment_id})
        return int(rows[0][0])

    async def last_failure(self, deployment_id: UUID) -> dict[str, Any]:
        """The event of the task that failed last; empty when none did."""
        rows = await self._pool.rows(_LAST_FAILURE, {"id": deployment_id})
        return rows[0][0] if rows else {}

    async def under_way(self, server_id: str) -> set[str]:
        """What runs on a server: `command`, and kinds of deployments; those of the agent also before they begin."""
        values = {"server_id": server_id, "agent_kinds": sorted(AGENT_KINDS)}
        return {row[0] for row in await self._pool.rows(_UNDER_WAY, values)}

    async def not_ended(self, server_id: str, command_ids: Sequence[UUID]) -> set[UUID]:
        """Of the commands that a server's agent has told of: those whose end is not known here."""
        values = {"server_id": server_id, "ids": list(command_ids)}
        return {row[0] for row in await self._pool.rows(_NOT_ENDED, values)}

    async def repairs(self, server_id: str, requested_by: str) -> list[PastRepair]:
        """Repairs of a server that this requester asked for, newest first, at most 100."""
        values = {"server_id": server_id, "requested_by": requested_by}
        return [PastRepair(*row) for row in await self._pool.rows(_REPAIRS, values)]

    async def last_of_release(self, server_id: str, release: str) -> tuple[Status, dict[str, str]] | None:
        """How it ended when a server was last given this release, and the details; only what tells whether it works."""
        rows = await self._pool.rows(_LAST_OF_RELEASE, {"server_id": server_id, "release": release})
        return (Status(rows[0][0]), rows[0][1]) if rows else None

    async def digests_in_use(self, project: str) -> set[str]:
        """Versions of a project that open deployments run."""
        return {row[0] for row in await self._pool.rows(_IN_USE, {"project": project})}
