"""Who may do what on which servers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from myx.executor.v1 import command_service_pb2, deployment_service_pb2, job_service_pb2, schedule_service_pb2
from myx_gateway.access import hidden
from myx_gateway.access.fleet import Fleet
from myx_gateway.access.operation import On, Operation
from myx_gateway.access.principal import Principal
from myx_gateway.access.rights import Role
from myx_gateway.access.targets import JobTargets, ScheduledTargets
from myx_gateway.clients import Clients
from myx_kit.errors import DeadlineExceeded, NotFound, PermissionDenied, Unavailable

Params = Mapping[str, str]

# Needs no look at any server.
_ANYWHERE: Final = frozenset({On.ANY, On.BODY, On.LIST})
_OWN: Final = frozenset({On.PUBLIC, On.SELF})


@dataclass(frozen=True)
class Visible:
    """The servers that a role is held on: all there are, or those with these ids."""

    all: bool
    ids: frozenset[str] = frozenset()

    def __contains__(self, server_id: object) -> bool:
        return self.all or server_id in self.ids


class Guard:
    """Judges principals by their rights and by what the services say; keeps nothing that decides over an act."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self.fleet = Fleet(clients)
        self.jobs = JobTargets(clients)
        self._schedules = ScheduledTargets(self.fleet)
        self._places = {
            On.SERVER: self._server,
            On.COMMAND: self._command,
            On.DEPLOYMENT: self._deployment,
            On.JOB: self._job,
            On.SCHEDULE: self._schedule,
        }

    async def require(self, principal: Principal, operation: Operation, params: Params) -> dict[str, str]:
        """The parameters of the path, with the id in place of a name that was looked up.

        PermissionDenied `FORBIDDEN` without the operation's role; the NotFound of the thing itself for who may not see
        it. What a body names, or a list holds, is up to the handler.
        """
        rights, role, on = principal.rights, operation.role, operation.on
        # The trail names the server by its id, whoever acts on it.
        is_noted = on is On.SERVER and operation.audited
        if on in _OWN or (rights.everywhere(role) and not is_noted):
            return dict(params)
        if on is On.ALL or not rights.anywhere(role):
            raise forbidden(role, everywhere=on is On.ALL)
        if on in _ANYWHERE:
            return dict(params)
        return {**params, **await self._places[on](principal, role, params)}

    async def servers(
        self, principal: Principal, role: Role, references: Sequence[str], *, by_id: bool = False
    ) -> list[str]:
        """The ids of servers that are named, `role` being held on each of them.

        Where it is held on all they stay as they came, unless `by_id`: for what is kept, since a name may be another
        server's by the time. NotFound `SERVER_NOT_FOUND`, also for one that the principal may not see; PermissionDenied
        `FORBIDDEN`.
        """
        if principal.rights.everywhere(role) and not by_id:
            return list(references)
        if not principal.rights.anywhere(role):
            raise forbidden(role)
        ids = await self._seen(principal, references)
        if not (await self._held(principal, role, ids)).issuperset(ids):
            raise forbidden(role)
        return ids

    async def seen(self, principal: Principal, reference: str) -> str:
        """The id of a server that the principal may see. NotFound `SERVER_NOT_FOUND`."""
        return (await self._seen(principal, [reference]))[0]

    async def names(self, principal: Principal, ids: Collection[str]) -> Mapping[str, str]:
        """By id the names of those servers that the principal may see; of none while the registry is away."""
        try:
            return await self.fleet.names(principal.rights.selector(Role.VIEWER) or "not all", ids)
        except (Unavailable, DeadlineExceeded):
            return {}

    async def visible(self, principal: Principal, role: Role = Role.VIEWER, since: float = 0.0) -> Visible:
        """The servers that `role` is held on, as they were within the last two seconds, and not before `since` (of the
        monotonic clock): for reading.
        """
        held = principal.rights.selector(role)
        if held is None:
            return Visible(all=False)
        if principal.rights.everywhere(role):
            return Visible(all=True)
        return Visible(all=False, ids=await self.fleet.matching(held, fresh=False, since=since))

    async def refusal(self, principal: Principal, role: Role, server_ids: Sequence[str]) -> str | None:
        """Why `role` is not held on these servers (none: on anything at all), as a sentence; None when it is."""
        if principal.rights.everywhere(role):
            return None
        if not principal.rights.anywhere(role):
            return f"{principal.name} is no {role.name.lower()} (any more)"
        missing = set(server_ids) - await self._held(principal, role, server_ids)
        word = f"is no {role.name.lower()} on {len(missing)} of {len(set(server_ids))} servers"
        return f"{principal.name} {word}" if missing else None

    async def sees_schedule(self, principal: Principal, schedule: schedule_service_pb2.Schedule, role: Role) -> bool:
        """Whether it is the principal's own, or `role` is held on all that it would be about now."""
        return await self._schedules.within(principal, schedule, role)

    async def _server(self, principal: Principal, role: Role, params: Params) -> Params:
        return {"server": (await self.servers(principal, role, [params["server"]], by_id=True))[0]}

    async def _command(self, principal: Principal, role: Role, params: Params) -> Params:
        request = command_service_pb2.GetCommandRequest(command_id=params["command_id"])
        command = (await self._clients.commands.GetCommand(request)).command
        await self._judge(principal, role, {command.server_id}, hidden.command(command.id))
        return {"command_id": command.id}

    async def _deployment(self, principal: Principal, role: Role, params: Params) -> Params:
        asked = params["deployment_id"]
        request = deployment_service_pb2.GetDeploymentRequest(deployment_id=asked)
        deployment = (await self._clients.deployments.GetDeployment(request)).deployment
        await self._judge(principal, role, {deployment.server_id}, hidden.deployment(asked))
        return {"deployment_id": deployment.id}

    async def _job(self, principal: Principal, role: Role, params: Params) -> Params:
        asked = params["job_id"]
        job = (await self._clients.jobs.GetJob(job_service_pb2.GetJobRequest(job_id=asked))).job
        await self._judge(principal, role, await self.jobs.of(job.id), hidden.job(asked))
        return {"job_id": job.id}

    async def _schedule(self, principal: Principal, role: Role, params: Params) -> Params:
        asked = params["schedule"]
        request = schedule_service_pb2.GetScheduleRequest(schedule=asked)
        schedule = (await self._clients.schedules.GetSchedule(request)).schedule
        if not await self.sees_schedule(principal, schedule, role):
            may_see = role > Role.VIEWER and await self.sees_schedule(principal, schedule, Role.VIEWER)
            raise forbidden(role) if may_see else hidden.schedule(asked)
        return {"schedule": schedule.id}

    async def _judge(self, principal: Principal, role: Role, ids: Collection[str], not_found: NotFound) -> None:
        """NotFound for what is not seen, PermissionDenied for what is only seen; servers that are gone are not seen."""
        if ids and (await self._held(principal, role, ids)).issuperset(ids):
            return
        if not ids or role is Role.VIEWER or not (await self._held(principal, Role.VIEWER, ids)).issuperset(ids):
            raise not_found
        raise forbidden(role)

    async def _held(self, principal: Principal, role: Role, ids: Collection[str]) -> frozenset[str]:
        selector = principal.rights.selector(role)
        if selector is None:
            return frozenset()
        if principal.rights.everywhere(role):
            return frozenset(ids)
        return await self.fleet.within(selector, ids, fresh=role > Role.VIEWER)

    async def _seen(self, principal: Principal, references: Sequence[str]) -> list[str]:
        """The ids of servers that are named; NotFound for the first one that is not there or cannot be seen."""
        known = await self.fleet.named(principal.rights.selector(Role.VIEWER) or "not all", references)
        for reference in references:
            if reference not in known:
                raise hidden.server(reference)
        return [known[reference] for reference in references]


def forbidden(role: Role, *, everywhere: bool = False) -> PermissionDenied:
    """The principal may see it, but not do it."""
    word = role.name.lower()
    place = "on all servers" if everywhere else "there"
    return PermissionDenied("FORBIDDEN", f"this needs the role {word} {place}", role=word)
