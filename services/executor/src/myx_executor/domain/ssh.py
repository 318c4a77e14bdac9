"""Logins over SSH, what goes wrong with them, and what was found on a host."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from myx_kit.errors import Code, MyxError


class SudoMode(StrEnum):
    """How a login becomes root."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A host key that is trusted: `SHA256:…`, and its OpenSSH line once it was seen."""

    fingerprint: str
    public_key: str = ""


@dataclass(frozen=True, slots=True)
class Hop:
    """One login on the way to a host; `name` is how messages call it. Its secrets never appear in a repr."""

    name: str
    address: str
    port: int = 22
    user: str = "root"
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    # Empty: the login's password is tried.
    sudo_password: str = field(default="", repr=False)
    sudo: SudoMode = SudoMode.AUTO
    host_key: TrustedKey | None = None
    accept_new: bool = False
    server_id: str = ""


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A host key as a host shows it."""

    public_key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a command on a host ended. `code` is −1 when it was killed, with the signal's name in `signal`."""

    code: int
    stdout: bytes
    stderr: bytes
    signal: str = ""

    @property
    def text(self) -> str:
        """Standard output, decoded."""
        return self.stdout.decode(errors="replace")


class SshError(MyxError):
    """A host cannot be worked on: a stable reason, a sentence, and in `cure` what an operator can do about it."""

    code: ClassVar[Code] = Code.FAILED_PRECONDITION

    def __init__(self, reason: str, message: str, cure: str, /, **fields: str) -> None:
        super().__init__(reason, message, **fields)
        self.cure = cure

    @property
    def sentence(self) -> str:
        """Message and cure."""
        return f"{self.message}; {self.cure}" if self.cure else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_again, (type(self), self.reason, self.message, self.cure, self.fields))


def _again(kind: type[SshError], reason: str, message: str, cure: str, fields: dict[str, str]) -> SshError:
    return kind(reason, message, cure, **fields)


class HostUnreachable(SshError):
    """`SSH_UNREACHABLE`, worth a retry.

    Field `cause`: dns, refused, no_route, timeout, not_ssh, closed, algorithms, other.
    """

    code = Code.UNAVAILABLE


class HostKeyUnknown(SshError):
    """`HOST_KEY_UNKNOWN`: none is trusted. Fields `fingerprint` and `public_key`: what was shown."""


class HostKeyChanged(SshError):
    """`HOST_KEY_CHANGED`: fields `fingerprint` and `public_key` shown, `trusted_fingerprint` expected."""


class LoginRefused(SshError):
    """`SSH_AUTH_FAILED` (field `tried`: password, key, key and password), or nothing could be tried.

    Then `SSH_CREDENTIAL_MISSING`, `SSH_KEY_INVALID`, `SSH_PASSPHRASE_WRONG`.
    """


class RootRefused(SshError):
    """The login is not root and cannot become it.

    `SUDO_MISSING`, `SUDO_PASSWORD_NEEDED`, `SUDO_PASSWORD_WRONG`, `SUDO_NOT_ALLOWED`, `SUDO_NEEDS_TTY`, `SUDO_FAILED`,
    `ROOT_NEEDED` (sudo is off for this login).
    """


class SessionLost(SshError):
    """`SSH_CONNECTION_LOST`: what ran may have run. Worth a retry of what may be repeated."""

    code = Code.UNAVAILABLE


class RemoteTimeout(SshError):
    """`SSH_TIMEOUT`: a command or upload took longer than it may; the message says whether it was killed."""

    code = Code.DEADLINE_EXCEEDED


class RemoteFailed(SshError):
    """`SSH_UPLOAD_FAILED`, `SSH_COMMAND_FAILED`: the host said no; its words are in the message."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a host cannot be used as it is (`fatal`) or what should be looked at."""

    reason: str
    message: str
    cure: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What preflight found: `python` is the path of an interpreter ≥ 3.11 or empty, `python_version` as `3.11`."""

    arch: str = ""
    system: str = ""
    libc: str = ""
    python: str = ""
    python_version: str = ""
    systemd_version: str = ""
    clock_offset_s: float = 0.0
    free_mb: Mapping[str, int] = field(default_factory=dict)
    agent_release: str = ""
    machine_id: str = ""
    boot_id: str = ""
    raw: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PreflightResult:
    """Facts, and problems in the order in which they should be cured; `ok` when none is fatal."""

    facts: HostFacts
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the host can be installed."""
        return not any(problem.fatal for problem in self.problems)


@dataclass(frozen=True, slots=True)
class PlaySpec:
    """A play over SSH: `project_dir` is an unpacked tool or pushed project; `pushed`: users wrote it.

    Secrets are only ever on the child's standard input. `timeout_s`, `no_output_timeout_s` 0: no limit.
    """

    project_dir: str
    playbook: str
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    secret_vars: Mapping[str, Any] = field(default_factory=dict, repr=False)
    trusted_vars: Mapping[str, Any] = field(default_factory=dict, repr=False)
    check: bool = False
    diff: bool = False
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    limit: str = ""
    verbosity: int = 0
    timeout_s: float = 0.0
    no_output_timeout_s: float = 0.0
    python_interpreter: str = ""
    pushed: bool = False


@dataclass(frozen=True, slots=True)
class PlayText:
    """Bytes of the play's output, as they were written."""

    stream: str
    data: bytes


@dataclass(frozen=True, slots=True)
class PlayEvent:
    """One progress event, as run_play.py wrote it (`seq`, `at`, `type`, …)."""

    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlayEnd:
    """Always the last item. `code` is run_play.py's exit code (0 ok, 2 failed task, 4 unreachable, 64.., 124 timeout).

    `lost`: set when the connection to the host went away under the play; `cancelled`: cancel() ended it; `silent`: the
    timeout was that of its output.
    """

    code: int
    recap: Mapping[str, Any] = field(default_factory=dict)
    lost: SshError | None = None
    cancelled: bool = False
    duration_s: float = 0.0
    silent: bool = False


PlayItem = PlayText | PlayEvent | PlayEnd
