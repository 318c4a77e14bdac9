"""The one table of operations.

From it come the REST routes, the methods of `POST /rpc`, both documents, the permission checks and the audit entries:
what is not in it cannot be reached, and nobody reaches it without the role that stands here.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from myx_gateway.access.rights import Role


class On(Enum):
    """What the role of an operation must be held on."""

    # Needs no login.
    PUBLIC = "public"
    # Whoever is logged in, on what is their own; for that of others the handler asks for ADMIN on all.
    SELF = "self"
    # On some selector.
    ANY = "any"
    # On `all`: it belongs to no server, or to every one.
    ALL = "all"
    # On the server (of the command, deployment, job, schedule) that the path names; without VIEWER there: not found.
    SERVER = "server"
    COMMAND = "command"
    DEPLOYMENT = "deployment"
    JOB = "job"
    SCHEDULE = "schedule"
    # On every server that the body names; a selector in the body is narrowed to those. The handler does it.
    BODY = "body"
    # Only what the role is held on is in the answer. The handler does it.
    LIST = "list"


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked for."""

    name: str
    verb: str
    # Below /api/v1.
    path: str
    role: Role
    on: On
    status: int = 200
    # A POST that changes nothing leaves no audit entry.
    reads: bool = False
    # Not a method of `POST /rpc`: its body or answer is no JSON document.
    bytes: bool = False

    @property
    def audited(self) -> bool:
        """Whether each call leaves an audit entry."""
        return self.verb != "GET" and not self.reads


V, O, A = Role.VIEWER, Role.OPERATOR, Role.ADMIN  # noqa: E741

OPERATIONS: Final = (
    Operation("session.create", "POST", "/session", V, On.PUBLIC),
    Operation("session.get", "GET", "/session", V, On.SELF),
    Operation("session.delete", "DELETE", "/session", V, On.SELF, 204),
    Operation("session.change_password", "POST", "/session/password", V, On.SELF, 204),
    Operation("sessions.list", "GET", "/sessions", V, On.SELF),
    Operation("sessions.delete", "DELETE", "/sessions/{session_id}", V, On.SELF, 204),
    Operation("tokens.list", "GET", "/tokens", V, On.SELF),
    Operation("tokens.create", "POST", "/tokens", V, On.SELF, 201),
    Operation("tokens.delete", "DELETE", "/tokens/{token_id}", V, On.SELF, 204),
    Operation("users.list", "GET", "/users", A, On.ALL),
    Operation("users.create", "POST", "/users", A, On.ALL, 201),
    Operation("users.get", "GET", "/users/{user}", A, On.ALL),
    Operation("users.update", "PATCH", "/users/{user}", A, On.ALL),
    Operation("users.delete", "DELETE", "/users/{user}", A, On.ALL, 204),
    Operation("audit.list", "GET", "/audit", A, On.ALL),
    Operation("audit.export", "GET", "/audit/export", A, On.ALL, bytes=True),
    Operation("audit.verify", "POST", "/audit/verify", A, On.ALL, reads=True),
    Operation("events.stream", "GET", "/events", V, On.LIST, bytes=True),
    Operation("servers.list", "GET", "/servers", V, On.LIST),
    Operation("servers.create", "POST", "/servers", A, On.BODY, 201),
    Operation("servers.pause", "POST", "/servers/pause", O, On.BODY),
    Operation("servers.resume", "POST", "/servers/resume", O, On.BODY),
    Operation("servers.get", "GET", "/servers/{server}", V, On.SERVER),
    Operation("servers.update", "PATCH", "/servers/{server}", A, On.SERVER),
    Operation("servers.delete", "DELETE", "/servers/{server}", A, On.SERVER, 204),
    Operation("servers.check", "POST", "/servers/{server}/check", O, On.SERVER),
    Operation("servers.accept_machine", "POST", "/servers/{server}/accept-machine", A, On.SERVER),
    Operation("servers.get_host_key", "GET", "/servers/{server}/host-key", V, On.SERVER),
    Operation("servers.trust_host_key", "PUT", "/servers/{server}/host-key", A, On.SERVER),
    Operation("servers.history", "GET", "/servers/{server}/history", V, On.SERVER),
    Operation("servers.fact_history", "GET", "/servers/{server}/facts/history", V, On.SERVER),
    Operation("servers.series", "GET", "/servers/{server}/series", V, On.SERVER),
    Operation("agents.list", "GET", "/agents", V, On.LIST),
    Operation("agents.get", "GET", "/servers/{server}/agent", V, On.SERVER),
    Operation("credentials.list", "GET", "/credentials", A, On.ALL),
    Operation("credentials.create", "POST", "/credentials", A, On.ALL, 201),
    Operation("credentials.get", "GET", "/credentials/{credential}", A, On.ALL),
    Operation("credentials.update", "PATCH", "/credentials/{credential}", A, On.ALL),
    Operation("credentials.delete", "DELETE", "/credentials/{credential}", A, On.ALL, 204),
    Operation("commands.run", "POST", "/commands", O, On.BODY, 201),
    Operation("commands.list", "GET", "/commands", V, On.LIST),
    Operation("commands.get", "GET", "/commands/{command_id}", V, On.COMMAND),
    Operation("commands.cancel", "POST", "/commands/{command_id}/cancel", O, On.COMMAND, 202),
    Operation("commands.log", "GET", "/commands/{command_id}/log", V, On.COMMAND, bytes=True),
    Operation("commands.search_log", "GET", "/commands/{command_id}/log/search", V, On.COMMAND),
    Operation("commands.stream_log", "GET", "/commands/{command_id}/log/stream", V, On.COMMAND, bytes=True),
    Operation("jobs.create", "POST", "/jobs", O, On.BODY, 201),
    Operation("jobs.preview", "POST", "/jobs/preview", O, On.BODY, reads=True),
    Operation("jobs.list", "GET", "/jobs", V, On.LIST),
    Operation("jobs.get", "GET", "/jobs/{job_id}", V, On.JOB),
    Operation("jobs.update", "PATCH", "/jobs/{job_id}", O, On.JOB),
    Operation("jobs.targets", "GET", "/jobs/{job_id}/targets", V, On.JOB),
    Operation("jobs.pause", "POST", "/jobs/{job_id}/pause", O, On.JOB),
    Operation("jobs.resume", "POST", "/jobs/{job_id}/resume", O, On.JOB),
    Operation("jobs.cancel", "POST", "/jobs/{job_id}/cancel", O, On.JOB, 202),
    Operation("jobs.retry", "POST", "/jobs/{job_id}/retry", O, On.JOB, 201),
    Operation("jobs.stream", "GET", "/jobs/{job_id}/stream", V, On.JOB, bytes=True),
    Operation("deployments.create", "POST", "/deployments", O, On.BODY, 201),
    Operation("deployments.list", "GET", "/deployments", V, On.LIST),
    Operation("deployments.get", "GET", "/deployments/{deployment_id}", V, On.DEPLOYMENT),
    Operation("deployments.cancel", "POST", "/deployments/{deployment_id}/cancel", O, On.DEPLOYMENT, 202),
    Operation("deployments.retry", "POST", "/deployments/{deployment_id}/retry", O, On.DEPLOYMENT, 201),
    Operation("deployments.events", "GET", "/deployments/{deployment_id}/events", V, On.DEPLOYMENT),
    Operation("deployments.log", "GET", "/deployments/{deployment_id}/log", V, On.DEPLOYMENT, bytes=True),
    Operation("deployments.search_log", "GET", "/deployments/{deployment_id}/log/search", V, On.DEPLOYMENT),
    Operation("deployments.stream_log", "GET", "/deployments/{deployment_id}/log/stream", V, On.DEPLOYMENT, bytes=True),
    Operation("schedules.create", "POST", "/schedules", O, On.BODY, 201),
    Operation("schedules.preview", "POST", "/schedules/preview", V, On.ANY, reads=True),
    Operation("schedules.list", "GET", "/schedules", V, On.LIST),
    Operation("schedules.get", "GET", "/schedules/{schedule}", V, On.SCHEDULE),
    Operation("schedules.update", "PATCH", "/schedules/{schedule}", O, On.SCHEDULE),
    Operation("schedules.delete", "DELETE", "/schedules/{schedule}", O, On.SCHEDULE, 204),
    Operation("schedules.fires", "GET", "/schedules/{schedule}/fires", V, On.SCHEDULE),
    Operation("playbooks.list", "GET", "/playbooks", V, On.ANY),
    Operation("playbooks.push", "PUT", "/playbooks/{name}", O, On.ALL, bytes=True),
    Operation("playbooks.delete", "DELETE", "/playbooks/{name}", O, On.ALL, 204),
    Operation("artifacts.list", "GET", "/artifacts", V, On.ANY),
    Operation("artifacts.push", "POST", "/artifacts", O, On.ANY, 201, bytes=True),
    Operation("artifacts.delete", "DELETE", "/artifacts/{sha256}", A, On.ALL, 204),
    Operation("status.get", "GET", "/status", V, On.LIST),
    Operation("heartbeat.get", "GET", "/heartbeat", V, On.ANY),
)

BY_NAME: Final = {operation.name: operation for operation in OPERATIONS}
