"""SSH connections to hosts: typed errors, checked host keys, root by sudo, no file of the user's."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from myx_executor.domain.ssh import Hop, RunResult, ShownKey

# Hears of a host key before anything secret is sent to its host: first contact that is accepted by policy, or a trusted
# fingerprint whose whole key was seen now. What it raises ends the connect.
NewHostKey = Callable[[Hop, ShownKey], Awaitable[None]]


class SshConnector:
    """Opens sessions. One is enough for a process."""

    def __init__(self, *, connect_timeout_s: float = 10.0, login_timeout_s: float = 20.0) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._login_timeout_s = login_timeout_s

    async def connect(self, hops: Sequence[Hop], *, on_new_host_key: NewHostKey | None = None) -> "SshSession":
        """A session on the last hop, through the others, that is root or can be. SshError and its kinds; bounded."""
        raise NotImplementedError

    def session(
        self, hops: Sequence[Hop], *, on_new_host_key: NewHostKey | None = None
    ) -> AbstractAsyncContextManager["SshSession"]:
        """As `connect`, closed at the end."""
        raise NotImplementedError

    async def scan_host_key(self, hops: Sequence[Hop]) -> ShownKey:
        """The key that the last hop shows; it gets no secret, the hops before it are logged in to as ever."""
        raise NotImplementedError


class SshSession:
    """One connection to a host."""

    @property
    def hop(self) -> Hop:
        """The host's login."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether the connection is gone."""
        raise NotImplementedError

    async def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes = b"",
        timeout_s: float = 60.0,
        as_root: bool = True,
        max_output: int = 1 << 20,
    ) -> RunResult:
        """Runs a program (argv) or a shell script (str), as root unless told otherwise; output beyond the bound is dropped.

        RemoteTimeout (it is killed), SessionLost, RootRefused.
        """
        raise NotImplementedError

    async def put(self, source: bytes | Path, remote: str, *, mode: int = 0o600, timeout_s: float = 600.0) -> None:
        """Makes `remote` (absolute; parents 755 root) that file, owned by root, in one rename, with its digest checked.

        An interrupted upload of the same content goes on where it was. RemoteFailed, RemoteTimeout, SessionLost.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Ends commands that run, and the connections of all hops."""
        raise NotImplementedError


def fingerprint(public_key: str) -> str:
    """`SHA256:…` of an OpenSSH line. ValueError when it is none."""
    raise NotImplementedError
