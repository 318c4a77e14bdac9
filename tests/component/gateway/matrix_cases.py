"""What is asked of every operation of the table, about a server that lies inside a grant and one that lies outside."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from myx_gateway.access.operation import On
from myx_gateway.access.rights import Role
from myx_testkit.rest import Rest

# Selectors of grants and the zones that they match: `local` is in the zone `in`, `elsewhere` in `other`.
ZONES: Mapping[str, frozenset[str]] = {
    "all": frozenset({"in", "other"}),
    "zone=in": frozenset({"in"}),
    "zone=other": frozenset({"other"}),
    "name ~ 'loc*'": frozenset({"in"}),
}


@dataclass(frozen=True)
class Person:
    """Somebody with grants and a token, whose cap may be narrower."""

    name: str
    grants: tuple[tuple[Role, str], ...] = ()
    cap: tuple[Role, str] = (Role.ADMIN, "all")

    @property
    def is_narrowed(self) -> bool:
        """Whether the token is less than its user."""
        return self.cap != (Role.ADMIN, "all")

    def anywhere(self, role: Role) -> bool:
        """Whether the role is held at all."""
        return self.cap[0] >= role and any(held >= role for held, _ in self.grants)

    def everywhere(self, role: Role) -> bool:
        """Whether it is held on `all`."""
        has_all = any(held >= role and where == "all" for held, where in self.grants)
        return self.cap[0] >= role and self.cap[1] == "all" and has_all

    def on(self, role: Role, zone: str) -> bool:
        """Whether it is held on the servers of a zone."""
        has_it = any(held >= role and zone in ZONES[where] for held, where in self.grants)
        return self.cap[0] >= role and zone in ZONES[self.cap[1]] and has_it


PEOPLE = (
    Person("nobody"),
    *(
        Person(f"{role.name.lower()}-{number}", ((role, where),))
        for role in Role
        for number, where in enumerate(("all", "zone=in", "zone=other"))
    ),
    Person("mixed", ((Role.VIEWER, "all"), (Role.OPERATOR, "zone=in"))),
    Person("pattern", ((Role.ADMIN, "name ~ 'loc*'"),)),
    Person("capped-viewer", ((Role.ADMIN, "all"),), (Role.VIEWER, "all")),
    Person("capped-place", ((Role.ADMIN, "all"),), (Role.OPERATOR, "zone=in")),
    Person("capped-apart", ((Role.OPERATOR, "zone=in"),), (Role.ADMIN, "zone=other")),
)


@dataclass(frozen=True)
class Case:
    """One request. `zone`: where the server lies that it is about; None: it is about none."""

    zone: str | None = None
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    raw: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    # Makes what the call removes; its path parameters.
    prepare: Callable[[], Mapping[str, str]] | None = None
    # The id that a list holds for who may see it.
    listed: str = ""


_GONE = "00000000-0000-7000-8000-000000000000"
# Why somebody is kept out.
DENIED = {
    On.SERVER: "SERVER_NOT_FOUND",
    On.BODY: "SERVER_NOT_FOUND",
    On.COMMAND: "COMMAND_NOT_FOUND",
    On.DEPLOYMENT: "DEPLOYMENT_NOT_FOUND",
    On.JOB: "JOB_NOT_FOUND",
    On.SCHEDULE: "SCHEDULE_NOT_FOUND",
}


@dataclass(frozen=True)
class World:
    """What there is. `root` may do everything."""

    root: Rest
    command: str
    job: str
    schedule: str
    deployment: str

    def new_schedule(self) -> str:
        """The id of a schedule of `local`."""
        return str(self.root.post("/schedules", schedule_body("local"))["id"])


SERVER_OF = {"in": "local", "other": "elsewhere"}


def schedule_body(server: str) -> dict[str, Any]:
    """A new schedule that never fires."""
    work = {"command": {"server": server, "command": "true"}}
    return {"name": f"s-{secrets.token_hex(6)}", "cron": "0 0 1 1 *", "paused": True, "work": work}


def _on_servers(**fields: Any) -> list[Case]:
    return [Case(zone, {"server": server}, **fields) for zone, server in SERVER_OF.items()]


def _bodies(make: Callable[[str], Any]) -> list[Case]:
    return [Case(zone, body=make(server)) for zone, server in SERVER_OF.items()]


def cases(world: World) -> dict[str, list[Case]]:
    """By operation. A new operation has none, and the test says so."""
    command, job = {"command_id": world.command}, {"job_id": world.job}
    deployment, schedule = {"deployment_id": world.deployment}, {"schedule": world.schedule}
    stale = {"If-Match": '"stale"'}
    targets = {"command": {"command": "true"}}

    def new_server(zone: str) -> Case:
        body = {"name": "", "address": "192.0.2.7", "labels": {"zone": zone}}
        return Case(zone, body=body)

    return {
        "session.get": [Case()],
        "session.delete": [Case()],
        "session.change_password": [Case(body={"old_password": "x" * 20, "new_password": "y" * 20})],
        "sessions.list": [Case()],
        "sessions.delete": [Case(path={"session_id": _GONE})],
        "tokens.list": [Case()],
        "tokens.create": [Case(body={"name": ""})],
        "tokens.delete": [Case(path={"token_id": _GONE})],
        "users.list": [Case()],
        "users.create": [Case(body={"name": "!"})],
        "users.get": [Case(path={"user": "no-such"})],
        "users.update": [Case(path={"user": "no-such"}, body={"disabled": True})],
        "users.delete": [Case(path={"user": "no-such"})],
        "audit.list": [Case()],
        "audit.export": [Case()],
        "audit.verify": [Case()],
        "events.stream": [Case()],
        "servers.list": [Case(zone, listed=server) for zone, server in SERVER_OF.items()],
        "servers.count": [Case()],
        "servers.create": [new_server(zone) for zone in SERVER_OF],
        "servers.pause": _bodies(lambda server: {"servers": [server], "for_s": 1}),
        "servers.resume": _bodies(lambda server: {"servers": [server]}),
        "servers.get": _on_servers(),
        "servers.update": _on_servers(body={"repair_policy": "off"}, headers=stale),
        "servers.delete": _on_servers(headers=stale),
        "servers.check": _on_servers(),
        "servers.accept_machine": _on_servers(),
        "servers.get_host_key": _on_servers(),
        "servers.trust_host_key": _on_servers(body={"fingerprint": "none"}),
        "servers.history": _on_servers(),
        "servers.fact_history": _on_servers(),
        "servers.series": _on_servers(),
        "agents.list": [Case("in", listed="agent of local")],
        "agents.get": _on_servers(),
        "credentials.list": [Case()],
        "credentials.create": [Case(body={"name": "c", "secret": {}})],
        "credentials.get": [Case(path={"credential": "no-such"})],
        "credentials.update": [Case(path={"credential": "no-such"}, body={"name": "d"})],
        "credentials.delete": [Case(path={"credential": "no-such"})],
        "commands.run": _bodies(lambda server: {"server": server, "command": "true"}),
        "commands.list": [Case("in", listed=world.command)],
        "commands.get": [Case("in", command)],
        "commands.cancel": [Case("in", command)],
        "commands.log": [Case("in", command)],
        "commands.search_log": [Case("in", command, {"pattern": "x"})],
        "commands.stream_log": [Case("in", command)],
        "jobs.create": _bodies(lambda server: {"servers": [server], "work": targets}),
        "jobs.preview": _bodies(lambda server: {"servers": [server]}),
        "jobs.list": [Case("in", listed=world.job)],
        "jobs.get": [Case("in", job)],
        "jobs.update": [Case("in", job, body={"concurrency": "1"})],
        "jobs.targets": [Case("in", job)],
        "jobs.pause": [Case("in", job)],
        "jobs.resume": [Case("in", job)],
        "jobs.cancel": [Case("in", job)],
        "jobs.retry": [Case("in", job)],
        "jobs.stream": [Case("in", job)],
        "deployments.create": _bodies(
            lambda server: {"server": server, "kind": "playbook", "project": "none", "playbook": "none.yml"}
        ),
        "deployments.list": [Case("in", listed=world.deployment)],
        "deployments.get": [Case("in", deployment)],
        "deployments.cancel": [Case("in", deployment)],
        "deployments.retry": [Case("in", deployment)],
        "deployments.events": [Case("in", deployment)],
        "deployments.log": [Case("in", deployment)],
        "deployments.search_log": [Case("in", deployment, {"pattern": "x"})],
        "deployments.stream_log": [Case("in", deployment)],
        "schedules.create": _bodies(schedule_body),
        "schedules.preview": [Case(body={"cron": "0 0 1 1 *"})],
        "schedules.list": [Case("in", listed=world.schedule)],
        "schedules.get": [Case("in", schedule)],
        "schedules.update": [Case("in", schedule, body={"paused": True}, headers=stale)],
        "schedules.delete": [Case("in", prepare=lambda: {"schedule": world.new_schedule()})],
        "schedules.fires": [Case("in", schedule)],
        "playbooks.list": [Case()],
        "playbooks.push": [Case(path={"name": "p"}, raw=b"nonsense", headers={"Content-Type": "application/gzip"})],
        "playbooks.delete": [Case(path={"name": "no-such"})],
        "artifacts.list": [Case()],
        "artifacts.push": [Case(query={"name": "x"}, raw=b"x", headers={"Content-Type": "application/octet-stream"})],
        "artifacts.delete": [Case(path={"sha256": "0" * 64})],
        "status.get": [Case()],
        "heartbeat.get": [Case()],
    }
