"""What asyncssh and the system raise, in our words."""

import errno
import socket

import asyncssh

from myx_executor.domain.ssh import Hop, HostUnreachable, LoginRefused, RemoteFailed, SessionLost, SshError
from myx_executor.domain.text import clean

_CURES = {
    "dns": "correct the address, or the name service of the control plane",
    "refused": "start sshd there, or correct the SSH port",
    "no_route": "correct the address, or the network between the control plane and the host",
    "timeout": "see whether the host is up, and whether a firewall drops the SSH port",
    "not_ssh": "correct the SSH port: another program answers there",
    "closed": "look into the host's log of sshd; it may limit logins (MaxStartups, fail2ban, AllowUsers)",
    "algorithms": "update the host's SSH server; the control plane takes no outdated algorithms",
    "other": "look into the host's log of sshd",
}
_NO_ROUTE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}


def unreachable(hop: Hop, cause: str, detail: str) -> HostUnreachable:
    """`SSH_UNREACHABLE` with the cause's cure."""
    message = f"{where(hop)} cannot be reached over SSH: {clean(detail)}"
    return HostUnreachable("SSH_UNREACHABLE", message, _CURES[cause], cause=cause, host=hop.name)


def lost(hop: Hop) -> SessionLost:
    """`SSH_CONNECTION_LOST`."""
    return SessionLost(
        "SSH_CONNECTION_LOST",
        f"the SSH connection to {where(hop)} broke",
        "see whether the host restarted or lost its network, then run it again",
        host=hop.name,
    )


def no_channel(hop: Hop) -> RemoteFailed:
    """The host lets nothing more be started on the connection."""
    return RemoteFailed(
        "SSH_COMMAND_FAILED",
        f"{where(hop)} opens no session for another command",
        "raise MaxSessions of its sshd (10 by default)",
        host=hop.name,
    )


def where(hop: Hop) -> str:
    """How messages call a hop."""
    address = f"[{hop.address}]" if ":" in hop.address else hop.address
    place = f"{address}:{hop.port}"
    return place if not hop.name or hop.name == hop.address else f"{hop.name} ({place})"


def connect_failed(hop: Hop, error: BaseException) -> SshError:
    """Any failure until the login is through."""
    match error:
        case SshError():
            return error
        case asyncssh.PermissionDenied():
            return _refused(hop)
        case TimeoutError():
            return unreachable(hop, "timeout", "no answer in time")
        case socket.gaierror():
            return unreachable(hop, "dns", f"the name {hop.address} is not known")
        case ConnectionRefusedError():
            return unreachable(hop, "refused", "the connection was refused")
        case asyncssh.KeyExchangeFailed():
            return unreachable(hop, "algorithms", error.reason)
        case asyncssh.ChannelOpenError():
            return unreachable(hop, _tunnel_cause(error), f"the jump host said: {error.reason}")
        case asyncssh.ProtocolNotSupported() | asyncssh.ProtocolError():
            return unreachable(hop, "not_ssh", error.reason or "what answers does not speak SSH")
        case asyncssh.ConnectionLost() | ConnectionResetError() | BrokenPipeError():
            return unreachable(hop, "closed", "the host closed the connection")
        case asyncssh.DisconnectError():
            return _disconnected(hop, error)
        case OSError() if error.errno in _NO_ROUTE:
            return unreachable(hop, "no_route", error.strerror or "no route")
        case _:
            return unreachable(hop, "other", str(error) or type(error).__name__)


def _disconnected(hop: Hop, error: asyncssh.DisconnectError) -> SshError:
    if "authentication failures" in error.reason.lower():
        return _refused(hop)
    return unreachable(hop, "closed", error.reason or "the host ended the connection")


def _refused(hop: Hop) -> LoginRefused:
    tried = " and ".join(name for name, there in (("key", hop.private_key), ("password", hop.password)) if there)
    cure = "correct the credential, or see what the host lets in"
    if tried == "password":
        cure = "correct user or password; sshd must allow logins with one (PasswordAuthentication, PermitRootLogin)"
    elif tried == "key":
        cure = f"put the key's public half into ~{hop.user}/.ssh/authorized_keys on the host, or use another credential"
    message = f"{where(hop)} does not let {hop.user} in with this {tried or 'credential'}"
    return LoginRefused("SSH_AUTH_FAILED", message, cure, tried=tried, user=hop.user, host=hop.name)


def _tunnel_cause(error: asyncssh.ChannelOpenError) -> str:
    reason = error.reason.lower()
    if "refused" in reason:
        return "refused"
    if "timed out" in reason or "timeout" in reason:
        return "timeout"
    if "resolution" in reason or "name" in reason or "unknown host" in reason:
        return "dns"
    return "no_route"
