"""What a host is, and what is in the way of an agent on it, before anything of it is touched."""

from myx_executor.adapters.ssh import SshSession
from myx_executor.domain.ssh import PreflightResult


async def preflight(session: SshSession, *, address: str, port: int, has_uv_python: bool = False) -> PreflightResult:
    """One script over SSH, and a TCP connect from here to a listener there. SshError only when the session fails.

    `address`: under which the control plane will call the agent. Problems: `PYTHON_MISSING`, `DISK_FULL`, `CLOCK_SKEW`,
    `SYSTEMD_MISSING`, `ARCH_UNSUPPORTED`, `LIBC_UNSUPPORTED`, `PORT_TAKEN`, `PORT_BLOCKED`,
    `PORT_UNCHECKED` (not fatal).
    """
    raise NotImplementedError
