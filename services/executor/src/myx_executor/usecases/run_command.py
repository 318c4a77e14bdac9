"""RunCommand: check, store once, begin."""

import base64
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from myx_executor.domain.command import (
    DEFAULT_CONNECT_TIMEOUT_S,
    DEFAULT_QUEUE_TIMEOUT_S,
    Command,
    CommandSpec,
    Completeness,
    LockMode,
    OfflinePolicy,
    Secrets,
)
from myx_executor.domain.states import Status
from myx_executor.store.commands import CommandStore, NewCommand
from myx_executor.usecases.ports import Servers
from myx_executor.usecases.runner import Runner
from myx_executor.usecases.sealing import content_digest, open_digest, seal_digest, seal_secrets
from myx_kit.errors import Aborted, Internal, InvalidArgument, NotFound
from myx_kit.ids import new_id
from myx_kit.secretbox import SecretBox

# What the agent and the kernel take.
MAX_STDIN_BYTES = 4 * 1024 * 1024
MAX_ARGUMENT_BYTES = 128 * 1024 - 1
MAX_ARGUMENTS_BYTES = 1024 * 1024
MAX_ARGUMENTS = 4096
MAX_REQUEST_ID = 200
MAX_QUEUE_TIMEOUT_S = 30 * 86_400.0
MAX_CONNECT_TIMEOUT_S = 86_400.0
_LONGEST_S = 10.0 * 365 * 86400


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A request as it came; times in seconds, `timeout_s` None: the default."""

    server: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secret_env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str = ""
    user: str = ""
    stdin: bytes = field(default=b"", repr=False)
    timeout_s: float | None = None
    no_output_timeout_s: float | None = None
    request_id: str = ""
    requested_by: str = ""
    offline: OfflinePolicy = OfflinePolicy.FAIL
    # None: the default.
    queue_timeout_s: float | None = None
    connect_timeout_s: float | None = None
    lock: LockMode = LockMode.NONE
    schedule_id: UUID | None = None


class RunCommand:
    """Accepts commands."""

    def __init__(
        self,
        store: CommandStore,
        servers: Servers,
        runner: Runner,
        box: SecretBox,
        *,
        default_timeout_s: float,
        on_waiting: Callable[[], Awaitable[None]],
        connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S,
    ) -> None:
        self._store = store
        self._servers = servers
        self._runner = runner
        self._box = box
        self._default_timeout_s = default_timeout_s
        self._on_waiting = on_waiting
        self._connect_timeout_s = connect_timeout_s

    async def run(self, request: RunRequest) -> Command:
        """The stored command, new or that of the first call with this request id.

        InvalidArgument with the field; NotFound `SERVER_NOT_FOUND`; FailedPrecondition `AGENT_NOT_FOUND`; Aborted
        `REQUEST_ID_REUSED`; Unavailable when registry or database are away (repeated, the call finds what was stored).
        """
        check(request)
        try:
            server = await self._servers.resolve(request.server)
        except NotFound:
            known = await self._earlier(request)
            if known is None:
                raise
            return known
        spec = CommandSpec(
            command=request.command,
            args=request.args,
            env=request.env,
            cwd=request.cwd,
            user=request.user,
            timeout_s=self._default_timeout_s if request.timeout_s is None else request.timeout_s,
            no_output_timeout_s=request.no_output_timeout_s or None,
        )
        command = Command(
            id=new_id(),
            server_id=server.server_id,
            server_name=server.server_name,
            agent_id=server.agent_id,
            spec=spec,
            secret_env_names=tuple(sorted(request.secret_env)),
            status=Status.PENDING,
            reason="",
            message="",
            exit_code=None,
            signal="",
            created_at=datetime.now(UTC),
            dispatch_at=None,
            started_at=None,
            ended_at=None,
            cancel_requested_at=None,
            cancel_grace_s=None,
            log_size=0,
            completeness=Completeness.OPEN,
            result=None,
            attempts=(),
            requested_by=request.requested_by,
            fence=0,
            revision=0,
            offline_policy=request.offline,
            queue_timeout_s=or_default(request.queue_timeout_s, DEFAULT_QUEUE_TIMEOUT_S),
            connect_timeout_s=or_default(request.connect_timeout_s, self._connect_timeout_s),
            lock_mode=request.lock,
            schedule_id=request.schedule_id,
        )
        return await self._store_and_start(request, command)

    async def _store_and_start(self, request: RunRequest, command: Command) -> Command:
        sealed = seal_secrets(self._box, command.id, Secrets(request.secret_env, request.stdin))
        digest = seal_digest(self._box, command.id, _digest(request)) if request.request_id else None

        def insert(owner: str | None) -> Awaitable[Command | None]:
            return self._store.insert(
                NewCommand(
                    command=command,
                    sealed=sealed,
                    request_id=request.request_id or None,
                    sealed_request_digest=digest,
                    owner=owner,
                    lease_s=self._runner.lease_s,
                )
            )

        stored = await self._runner.accept(insert, sealed, self._on_waiting) or await self._earlier(request)
        if stored is None:
            raise Internal("REQUEST_ID_VANISHED", "the first command of this request id is gone")
        return stored

    async def _earlier(self, request: RunRequest) -> Command | None:
        if not request.request_id:
            return None
        found = await self._store.by_request(request.requested_by, request.request_id)
        if found is None:
            return None
        command, sealed = found
        if open_digest(self._box, command.id, sealed) != _digest(request):
            raise Aborted(
                "REQUEST_ID_REUSED",
                "the request id was used before for another command",
                field="request_id",
                command_id=str(command.id),
            )
        return command


def or_default(value: float | None, default: float) -> float:
    """What was asked for, or else the default."""
    return default if value is None else value


def policy_content(
    offline: OfflinePolicy, lock: LockMode, queue_timeout_s: float | None, connect_timeout_s: float | None = None
) -> dict[str, Any]:
    """What of it is part of a request's content: only what was asked for, as releases before knew none of it."""
    asked = {
        "offline": None if offline is OfflinePolicy.FAIL else str(offline),
        "lock": None if lock is LockMode.NONE else str(lock),
        "queue_timeout_s": queue_timeout_s,
        "connect_timeout_s": connect_timeout_s,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _digest(request: RunRequest) -> bytes:
    return content_digest(
        policy_content(request.offline, request.lock, request.queue_timeout_s, request.connect_timeout_s)
        | {
            "server": request.server,
            "command": request.command,
            "args": list(request.args),
            "env": dict(request.env),
            "secret_env": dict(request.secret_env),
            "cwd": request.cwd,
            "user": request.user,
            "stdin": base64.b64encode(request.stdin).decode(),
            "timeout_s": request.timeout_s,
            "no_output_timeout_s": request.no_output_timeout_s,
        }
    )


def check(request: RunRequest) -> None:
    """InvalidArgument naming the field that cannot be."""
    if not request.server:
        raise InvalidArgument("ARGUMENT_INVALID", "server must be an id or a name", field="server")
    if not request.command.strip():
        raise InvalidArgument("COMMAND_EMPTY", "command must name a program", field="command")
    texts = {"command": request.command, "cwd": request.cwd, "user": request.user, "request_id": request.request_id}
    for name, text in texts.items():
        if "\0" in text:
            raise InvalidArgument("ARGUMENT_INVALID", f"{name} must not hold a NUL byte", field=name)
    if any("\0" in argument for argument in request.args):
        raise InvalidArgument("ARGUMENT_INVALID", "args must not hold a NUL byte", field="args")
    if request.cwd and not request.cwd.startswith("/"):
        raise InvalidArgument("ARGUMENT_INVALID", "cwd must be an absolute path", field="cwd")
    if len(request.request_id) > MAX_REQUEST_ID:
        raise InvalidArgument(
            "ARGUMENT_INVALID", f"request_id must not be longer than {MAX_REQUEST_ID} characters", field="request_id"
        )
    _check_env(request)
    _check_times(request)
    _check_sizes(request)


def _check_env(request: RunRequest) -> None:
    for name, variables in (("env", request.env), ("secret_env", request.secret_env)):
        for key, value in variables.items():
            if not key or "=" in key or "\0" in key or "\0" in value:
                message = f"{name}: a variable needs a name without '=' and NUL, and a value without NUL"
                raise InvalidArgument("ENV_INVALID", message, field=name)
    if not request.env.keys().isdisjoint(request.secret_env):
        raise InvalidArgument("ENV_INVALID", "a variable is both in env and in secret_env", field="secret_env")


def _check_times(request: RunRequest) -> None:
    check_limit("timeout", request.timeout_s)
    check_limit("no_output_timeout", request.no_output_timeout_s)
    check_waits(request.queue_timeout_s, request.connect_timeout_s)


def check_limit(name: str, value: float | None) -> None:
    """InvalidArgument `TIMEOUT_INVALID` unless it is a limit, or none."""
    if value is not None and not (math.isfinite(value) and 0 <= value <= _LONGEST_S):
        message = f"{name} must be from 0 to {_LONGEST_S:.0f} seconds"
        raise InvalidArgument("TIMEOUT_INVALID", message, field=name)


def check_waits(queue_timeout_s: float | None, connect_timeout_s: float | None) -> None:
    """InvalidArgument `TIMEOUT_INVALID` unless both are limits that end."""
    limits = (
        ("queue_timeout", queue_timeout_s, MAX_QUEUE_TIMEOUT_S),
        ("connect_timeout", connect_timeout_s, MAX_CONNECT_TIMEOUT_S),
    )
    for name, value, most in limits:
        if value is not None and not (math.isfinite(value) and 0 < value <= most):
            message = f"{name} must be more than 0 and at most {most:.0f} seconds"
            raise InvalidArgument("TIMEOUT_INVALID", message, field=name)


def _check_sizes(request: RunRequest) -> None:
    if len(request.stdin) > MAX_STDIN_BYTES:
        raise InvalidArgument(
            "REQUEST_TOO_LARGE", f"stdin must not be larger than {MAX_STDIN_BYTES} bytes", field="stdin"
        )
    strings = [request.command, *request.args, request.cwd, request.user]
    strings += [f"{key}={value}" for key, value in (*request.env.items(), *request.secret_env.items())]
    sizes = [len(text.encode()) for text in strings]
    if len(request.args) > MAX_ARGUMENTS or sum(sizes) > MAX_ARGUMENTS_BYTES or max(sizes) > MAX_ARGUMENT_BYTES:
        message = (
            f"command, args and env may have {MAX_ARGUMENTS_BYTES} bytes together, {MAX_ARGUMENT_BYTES} each,"
            f" and args {MAX_ARGUMENTS} items"
        )
        raise InvalidArgument("REQUEST_TOO_LARGE", message, field="args")
