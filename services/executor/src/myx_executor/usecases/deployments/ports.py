"""What deployments need from outside; adapters fit these."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self
from uuid import UUID

from myx_executor.domain.log import LogItem
from myx_executor.domain.ssh import PlayItem, PlaySpec, PreflightResult, RunResult, ShownKey
from myx_executor.usecases.ports import Agents

ONLINE = "online"


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server as the registry knows it; `agent_id` is empty while it has no agent."""

    server_id: str
    name: str
    address: str
    has_credential: bool = False
    repair_policy: str = "automatic"
    host_key_fingerprint: str = ""
    agent_id: str = ""
    agent_status: str = ""
    agent_reason: str = ""
    # Since when it has its status.
    agent_since: datetime | None = None
    agent_version: str = ""
    bundle_digest: str = ""
    rpc_port: int = 0
    running_command_ids: tuple[str, ...] = ()
    machine_id: str = ""
    ssh_address: str = ""
    ssh_port: int = 22
    has_jump_host: bool = False
    # Another machine answers for its agent.
    quarantined: bool = False
    # Somebody works on it: it is not checked now.
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agent listens. The path is secret."""

    rpc_port: int
    rpc_path: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """What an agent is installed with. Secret."""

    agent_id: str
    rpc_port: int
    rpc_path: str = field(repr=False)
    agent_token: str = field(repr=False)
    secret_key: str = field(repr=False)
    certificate_pem: str = field(repr=False)
    private_key_pem: str = field(repr=False)
    certificate_sha256: str = ""


@dataclass(frozen=True, slots=True)
class NextIdentity:
    """The other half of a rotation. Secret."""

    rotation_id: str
    agent_token: str = field(repr=False)
    secret_key: str = field(repr=False)
    certificate_pem: str = field(repr=False)
    private_key_pem: str = field(repr=False)
    certificate_sha256: str = ""


class Registry(Protocol):
    """Servers, identities and the maintenance lease. Its errors are MyxErrors as the registry gave them."""

    async def server(self, server: str) -> ServerFacts:
        """By id or name. NotFound `SERVER_NOT_FOUND`."""
        ...

    async def allocate(self, server_id: str) -> Identity:
        """Create-or-get of the agent's identity."""
        ...

    async def reallocate(self, server_id: str, *, new_port: bool, new_path: bool, request_id: str) -> Place:
        """Where the agent is to be: the same place until it is committed or given up. It stays in force where it is."""
        ...

    async def commit_reallocation(self, server_id: str, request_id: str) -> None:
        """That place is where the agent is; harmless to repeat with the same request id."""
        ...

    async def abort_reallocation(self, server_id: str) -> None:
        """Forgets that place."""
        ...

    async def begin_rotation(self, server_id: str) -> NextIdentity:
        """The next identity, the same until it is committed or given up."""
        ...

    async def commit_rotation(self, server_id: str, rotation_id: str) -> None:
        """The next identity becomes the present one; harmless to repeat."""
        ...

    async def abort_rotation(self, server_id: str, rotation_id: str) -> None:
        """Forgets the next identity."""
        ...

    async def accept_machine(self, server_id: str) -> None:
        """The machine that answers next is the right one; harmless to repeat. NotFound `AGENT_NOT_FOUND`."""
        ...

    async def remove_agent(self, server_id: str) -> None:
        """Forgets the agent."""
        ...

    async def acquire_maintenance(self, server_id: str, holder: str, kind: str, actor: str, ttl_s: float) -> None:
        """Takes or renews the lease. FailedPrecondition `MAINTENANCE_HELD`."""
        ...

    async def release_maintenance(self, server_id: str, holder: str) -> None:
        """Gives the lease back."""
        ...

    async def check_now(self, server_id: str) -> None:
        """Has the agent's state looked at at once; best effort, never an error."""
        ...

    def offline_agents(self) -> AsyncIterator[tuple[str, str]]:
        """Server id and cause of every agent that is offline."""
        ...


@dataclass(frozen=True, slots=True)
class PlayRequest:
    """One run of one playbook. `project` empty: the shipped tool."""

    playbook: str
    project: str = ""
    digest: str = ""
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    secret_vars: Mapping[str, str] = field(default_factory=dict, repr=False)
    trusted_vars: Mapping[str, Any] = field(default_factory=dict, repr=False)
    check: bool = False
    diff: bool = False
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    limit: str = ""
    timeout_s: float = 0.0
    no_output_timeout_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PlayEvent:
    """One progress event as it came; numbers of one play begin at 1."""

    seq: int
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that goes to a host."""

    path: Path
    sha256: str


class Fleet(Agents, Protocol):
    """Calls to agents that only deployments make; failures as in `Agents`."""

    def at(self, place: Place) -> "Fleet":
        """The same calls to agents that listen at another place than the registry says."""
        ...

    async def status(self, server_id: str, *, identity: NextIdentity | None = None) -> dict[str, Any]:
        """`get_status`; with `identity` as the agent is after a rotation."""
        ...

    async def heartbeat(self, server_id: str) -> dict[str, Any]:
        """`heartbeat`."""
        ...

    async def put_file(
        self, server_id: str, source: Upload, *, root: str, path: str, extract: bool = False, mode: int = 0o600
    ) -> None:
        """Sends a file in pieces; what is there with that digest is not sent again."""
        ...

    async def execute_ansible(
        self, server_id: str, command_id: UUID, request: PlayRequest, *, wait_s: float
    ) -> list[LogItem]:
        """As `execute`, of a play."""
        ...

    async def play_events(
        self, server_id: str, command_id: UUID, after: int, *, wait_s: float
    ) -> tuple[list[PlayEvent], bool]:
        """Events after `after`, and whether nothing follows them."""
        ...

    async def rotate(self, server_id: str, identity: NextIdentity) -> None:
        """`rotate_credentials`."""
        ...

    async def finish_rotation(self, server_id: str, rotation_id: str) -> None:
        """`finish_rotation`."""
        ...

    async def get_upgrade(self, server_id: str, upgrade_id: str) -> dict[str, Any]:
        """`get_upgrade`: the state file."""
        ...

    async def confirm_upgrade(self, server_id: str, upgrade_id: str) -> None:
        """`confirm_upgrade`."""
        ...


class Session(Protocol):
    """One SSH connection, as root. Its failures are SshErrors."""

    async def run(self, command: Sequence[str] | str, *, stdin: bytes = b"", timeout_s: float = 60.0) -> RunResult:
        """Runs a program, or a shell script."""
        ...

    async def put(self, source: bytes | Path, remote: str, *, mode: int = 0o600, timeout_s: float = 600.0) -> None:
        """Writes a file, its folders made."""
        ...

    async def end(self, *, everything: bool) -> bool:
        """Ends what was broken off here (`everything`: also what commands left behind); whether that is proved."""
        ...


class HostPlay(Protocol):
    """A play over SSH, as a context: nothing of it is left behind."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    def items(self) -> AsyncIterator[PlayItem]:
        """Output and events as they come, PlayEnd last."""
        ...

    async def cancel(self, grace_s: float = 10.0) -> None:
        """Ends it: TERM, then KILL, of all its processes."""
        ...


class Hosts(Protocol):
    """Hosts over SSH. Failures are SshErrors with a cure."""

    def connect(self, server_id: str) -> AbstractAsyncContextManager[Session]:
        """Logs in, through the jump hosts, with the host key checked."""
        ...

    async def preflight(self, session: Session, *, address: str, rpc_port: int) -> PreflightResult:
        """Looks whether an agent can be installed and reached."""
        ...

    async def play(self, session: Session, spec: PlaySpec) -> HostPlay:
        """Starts a play beside us whose host is that of the session."""
        ...

    async def scan(self, server_id: str) -> ShownKey:
        """The host key that the server shows; nothing is stored."""
        ...


@dataclass(frozen=True, slots=True)
class Release:
    """The agent's bundle that is there; `name` is that of its folder on a host."""

    version: str
    digest: str

    @property
    def name(self) -> str:
        """`<version>-<12 hex>`."""
        return f"{self.version}-{self.digest[:12]}"


class Bundles(Protocol):
    """The agent's bundle."""

    async def release(self) -> Release:
        """What `make agent-bundle` made. FailedPrecondition `NO_AGENT_BUNDLE`, `AGENT_BUNDLE_INVALID`."""
        ...

    async def pack(self, content: str, arch: str, python: str) -> Upload:
        """The archive of `agent` or `ansible` for a host; FailedPrecondition when the bundle has nothing for it."""
        ...


@dataclass(frozen=True, slots=True)
class PythonBuild:
    """A relocatable CPython: a tar.gz whose folder is `python`; `name` is that of its folder on a host."""

    name: str
    path: Path


class Pythons(Protocol):
    """Interpreters for hosts that have none that fits."""

    async def build_for(self, arch: str) -> PythonBuild | None:
        """The one for hosts of this kind (x86_64, aarch64); None: there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Project:
    """A project that can be run: the shipped tool or a pushed one."""

    name: str
    version: str
    digest: str
    playbooks: tuple[str, ...]
    size_bytes: int = 0


class Tool(Protocol):
    """The deployment tool that ships with MyX, and archives of the same form."""

    async def shipped(self) -> Project:
        """The tool. FailedPrecondition `NO_DEPLOYMENT_TOOL` when its folder is not there."""
        ...

    async def shipped_archive(self) -> Upload:
        """Its archive, the same bytes each time."""
        ...

    def shipped_folder(self) -> Path:
        """Where it lies here."""
        ...

    async def check(self, archive: Path) -> tuple[str, ...]:
        """The playbooks of a pushed archive; InvalidArgument `PROJECT_INVALID`, `PROJECT_TOO_LARGE`."""
        ...

    async def unpack(self, archive: Path, folder: Path) -> None:
        """Unpacks a checked archive into an empty folder."""
        ...


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why an agent does not answer. `agent_is_broken`: the host is there and the agent is what is wrong."""

    cause: str
    message: str
    answers: bool = False
    agent_is_broken: bool = False


class Doctor(Protocol):
    """The cause ladder."""

    async def diagnose(self, server_id: str) -> Diagnosis:
        """Looks rung by rung."""
        ...
