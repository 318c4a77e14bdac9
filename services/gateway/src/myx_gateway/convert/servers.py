"""Servers and how they are reached over SSH."""

from collections import Counter

from myx.registry.v1 import credential_pb2, server_pb2, server_service_pb2
from myx_gateway.convert.agents import agent, agent_status
from myx_gateway.convert.wire import moment_of
from myx_gateway.schemas.credentials import NewSecret
from myx_gateway.schemas.servers import CheckPause, Maintenance, RepairPolicy, Server, ServerCounts
from myx_gateway.schemas.ssh import HostKey, NewSsh, Ssh, SudoMode

_REPAIR = {
    RepairPolicy.AUTOMATIC: server_pb2.REPAIR_POLICY_AUTOMATIC,
    RepairPolicy.ASK: server_pb2.REPAIR_POLICY_ASK,
    RepairPolicy.OFF: server_pb2.REPAIR_POLICY_OFF,
}
_REPAIR_NAME = {number: name for name, number in _REPAIR.items()}
_SUDO = {
    SudoMode.AUTO: server_pb2.SUDO_MODE_AUTO,
    SudoMode.ALWAYS: server_pb2.SUDO_MODE_ALWAYS,
    SudoMode.NEVER: server_pb2.SUDO_MODE_NEVER,
}
_SUDO_NAME = {number: name for name, number in _SUDO.items()}


def wire_repair(policy: RepairPolicy | None) -> server_pb2.RepairPolicy.ValueType:
    """The wire form of a repair policy; unset for none."""
    return server_pb2.REPAIR_POLICY_UNSPECIFIED if policy is None else _REPAIR[policy]


def wire_ssh(ssh: NewSsh) -> server_pb2.SshSettings:
    """The wire form of SSH settings."""
    return server_pb2.SshSettings(
        address=ssh.address,
        port=ssh.port,
        user=ssh.user,
        credential=ssh.credential,
        sudo=_SUDO[ssh.sudo],
        jump_servers=ssh.jump_servers,
    )


def wire_secret(secret: NewSecret) -> credential_pb2.CredentialSecret:
    """The wire form of a login's secrets."""
    return credential_pb2.CredentialSecret(
        password=secret.password or "",
        private_key=secret.private_key or "",
        passphrase=secret.passphrase or "",
        sudo_password=secret.sudo_password or "",
        user=secret.user,
    )


def counts(answer: server_service_pb2.CountServersResponse) -> ServerCounts:
    """Servers in numbers."""
    by_status = Counter({"no_agent": answer.without_agent})
    for one in answer.by_status:
        by_status[agent_status(one.status)] += one.servers
    return ServerCounts(total=answer.total, by_status=dict(+by_status), paused=answer.paused)


def host_key(message: server_pb2.HostKey) -> HostKey:
    """A trusted host key."""
    return HostKey(
        fingerprint=message.fingerprint,
        public_key=message.public_key,
        accepted_at=moment_of(message, "accepted_at"),
        accepted_by=message.accepted_by,
        how=message.how,
    )


def trusted_key(message: server_pb2.Server) -> HostKey | None:
    """The host key that is trusted for a server, if any."""
    return host_key(message.host_key) if message.HasField("host_key") else None


def _ssh(message: server_pb2.SshSettings) -> Ssh:
    return Ssh(
        address=message.address,
        port=message.port or 22,
        user=message.user,
        credential=message.credential,
        sudo=_SUDO_NAME.get(message.sudo, SudoMode.AUTO),
        jump_servers=list(message.jump_servers),
        has_credential=message.has_credential,
    )


def _maintenance(message: server_pb2.Maintenance) -> Maintenance:
    return Maintenance(
        holder=message.holder,
        kind=message.kind,
        actor=message.actor,
        since=moment_of(message, "since"),
        expires_at=moment_of(message, "expires_at"),
    )


def _pause(message: server_pb2.CheckPause) -> CheckPause:
    return CheckPause(
        since=moment_of(message, "since"),
        until=moment_of(message, "until"),
        reason=message.reason,
        actor=message.actor,
    )


def server(message: server_pb2.Server) -> Server:
    """A server with its agent, if there is one."""
    return Server(
        id=message.id,
        name=message.name,
        address=message.address,
        labels=dict(message.labels),
        ssh=_ssh(message.ssh),
        host_key=trusted_key(message),
        accept_new_host_key=message.accept_new_host_key,
        repair_policy=_REPAIR_NAME.get(message.repair_policy, RepairPolicy.AUTOMATIC),
        maintenance=_maintenance(message.maintenance) if message.HasField("maintenance") else None,
        pause=_pause(message.pause) if message.HasField("pause") else None,
        created_at=moment_of(message, "created_at"),
        updated_at=moment_of(message, "updated_at"),
        etag=message.etag,
        agent=agent(message.agent) if message.HasField("agent") else None,
    )
