"""What an operation is; all of them stand in the table of `myx_gateway.operations`."""

from dataclasses import dataclass
from enum import Enum

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
