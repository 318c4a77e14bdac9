"""Servers, their SSH settings, host keys and leases."""

from collections.abc import Mapping
from typing import Final

from myx.registry.v1 import server_pb2, server_service_pb2
from myx_kit.errors import InvalidArgument
from myx_kit.wire_time import timestamp
from myx_registry.convert.agents import agent_message, wire_status
from myx_registry.convert.credentials import secret, secret_message
from myx_registry.convert.wire import seconds
from myx_registry.domain.host_keys import HostKey, checked_fingerprint
from myx_registry.domain.maintenance import Claim, Maintenance, checked_claim
from myx_registry.domain.pauses import CheckPause
from myx_registry.domain.servers import (
    Match,
    ServerChange,
    ServerCounts,
    ServerDraft,
    ServerView,
    checked_address,
    checked_draft,
)
from myx_registry.domain.ssh import RepairPolicy, SshDraft, SshHop, SudoMode, checked_ssh, ssh_invalid

_POLICIES: Final[Mapping[RepairPolicy, server_pb2.RepairPolicy.ValueType]] = {
    RepairPolicy.AUTOMATIC: server_pb2.REPAIR_POLICY_AUTOMATIC,
    RepairPolicy.ASK: server_pb2.REPAIR_POLICY_ASK,
    RepairPolicy.OFF: server_pb2.REPAIR_POLICY_OFF,
}
_SUDO: Final[Mapping[SudoMode, server_pb2.SudoMode.ValueType]] = {
    SudoMode.AUTO: server_pb2.SUDO_MODE_AUTO,
    SudoMode.ALWAYS: server_pb2.SUDO_MODE_ALWAYS,
    SudoMode.NEVER: server_pb2.SUDO_MODE_NEVER,
}
# Unset means the default.
_POLICY_OF: Final = {number: policy for policy, number in _POLICIES.items()} | {0: RepairPolicy.AUTOMATIC}
_SUDO_OF: Final = {number: mode for mode, number in _SUDO.items()} | {0: SudoMode.AUTO}
_CHANGEABLE: Final = ("name", "address", "labels", "ssh", "own_credential", "repair_policy", "accept_new_host_key")
_DEFAULT_TTL_S: Final = 60.0


def match_message(match: Match) -> server_service_pb2.ResolvedServer:
    """A server in a list of targets."""
    return server_service_pb2.ResolvedServer(
        id=str(match.id),
        name=match.name,
        agent_id="" if match.agent_id is None else str(match.agent_id),
        labels=match.labels,
        status=match.status,
        address=match.address,
    )


def counts_message(counts: ServerCounts) -> server_service_pb2.CountServersResponse:
    """The fleet, or a part of it, in numbers."""
    response = server_service_pb2.CountServersResponse(
        total=counts.total, without_agent=counts.without_agent, paused=counts.paused
    )
    for status, number in counts.by_status.items():
        response.by_status.add(status=wire_status(status), servers=number)
    return response


def server_message(view: ServerView) -> server_pb2.Server:
    """A server as callers see it."""
    server, held = view.server, view.maintenance
    return server_pb2.Server(
        id=str(server.id),
        name=server.spec.name,
        address=server.spec.address,
        labels=server.spec.labels,
        created_at=timestamp(server.created_at),
        updated_at=timestamp(server.updated_at),
        etag=server.etag,
        agent=None if view.agent is None else agent_message(view.agent),
        ssh=_ssh_message(view),
        repair_policy=_POLICIES[server.spec.repair_policy],
        host_key=None if server.host_key is None else host_key_message(server.host_key),
        accept_new_host_key=server.spec.accept_new_host_key,
        maintenance=None if held is None else maintenance_message(held),
        pause=None if view.pause is None else _pause_message(view.pause),
    )


def _pause_message(pause: CheckPause) -> server_pb2.CheckPause:
    return server_pb2.CheckPause(
        since=timestamp(pause.since), until=timestamp(pause.until), reason=pause.reason, actor=pause.actor
    )


def host_key_message(key: HostKey) -> server_pb2.HostKey:
    """A host key that is trusted."""
    return server_pb2.HostKey(
        fingerprint=key.fingerprint,
        public_key=key.public_key,
        accepted_at=timestamp(key.accepted_at),
        accepted_by=key.accepted_by,
        how=key.how,
    )


def maintenance_message(held: Maintenance) -> server_pb2.Maintenance:
    """A lease that is held."""
    return server_pb2.Maintenance(
        holder=held.holder,
        kind=held.kind,
        actor=held.actor,
        since=timestamp(held.since),
        expires_at=timestamp(held.expires_at),
    )


def hop_message(hop: SshHop) -> server_service_pb2.SshHop:
    """One login, secrets included."""
    return server_service_pb2.SshHop(
        server_id=str(hop.server_id),
        server_name=hop.server_name,
        address=hop.address,
        port=hop.port,
        user=hop.user,
        secret=secret_message(hop.secret),
        sudo=_SUDO[hop.sudo],
        host_key=None if hop.host_key is None else host_key_message(hop.host_key),
        accept_new_host_key=hop.accept_new_host_key,
    )


def server_draft(request: server_service_pb2.CreateServerRequest) -> ServerDraft:
    """A server to add.

    Raises InvalidArgument `SERVER_NAME_INVALID`, `ADDRESS_INVALID`, `LABEL_INVALID`, `SSH_INVALID`,
    `CREDENTIAL_INVALID`, `HOST_KEY_INVALID`, `REPAIR_POLICY_INVALID`, naming the field.
    """
    own = request.own_credential if request.HasField("own_credential") else None
    given = request.host_key_fingerprint
    return checked_draft(
        request.name,
        request.address,
        request.labels,
        ssh=_ssh(request.ssh),
        own_credential=None if own is None else secret(own, "own_credential"),
        repair_policy=_policy(request.repair_policy),
        host_key_fingerprint=checked_fingerprint(given, "host_key_fingerprint") if given else "",
        accept_new_host_key=request.accept_new_host_key,
    )


def server_change(request: server_service_pb2.UpdateServerRequest) -> ServerChange:
    """The fields that the mask names. Raises InvalidArgument `UPDATE_MASK_INVALID`, and as `server_draft`."""
    paths = set(request.update_mask.paths)
    if not paths or not paths <= set(_CHANGEABLE):
        raise InvalidArgument(
            "UPDATE_MASK_INVALID", f"Name one or more of {', '.join(_CHANGEABLE)}.", field="update_mask"
        )
    gives_own = "own_credential" in paths and request.HasField("own_credential")
    return ServerChange(
        name=request.name if "name" in paths else None,
        address=request.address if "address" in paths else None,
        labels=dict(request.labels) if "labels" in paths else None,
        ssh=_ssh(request.ssh) if "ssh" in paths else None,
        repair_policy=_policy(request.repair_policy) if "repair_policy" in paths else None,
        accept_new_host_key=request.accept_new_host_key if "accept_new_host_key" in paths else None,
        own_credential=secret(request.own_credential, "own_credential") if gives_own else None,
        sets_own_credential="own_credential" in paths,
    )


def claim(request: server_service_pb2.AcquireMaintenanceRequest) -> Claim:
    """Who wants a lease; for a minute when no time is given. Raises InvalidArgument `MAINTENANCE_INVALID`."""
    ttl_s = seconds(request.ttl) if request.HasField("ttl") else _DEFAULT_TTL_S
    return checked_claim(request.holder, request.kind, request.actor, ttl_s)


def _ssh_message(view: ServerView) -> server_pb2.SshSettings:
    ssh = view.server.spec.ssh
    return server_pb2.SshSettings(
        address=ssh.address,
        port=ssh.port,
        user=ssh.user,
        credential=view.credential_name,
        sudo=_SUDO[ssh.sudo],
        jump_servers=view.jump_server_names,
        has_credential=view.has_credential,
    )


def _ssh(message: server_pb2.SshSettings) -> SshDraft:
    sudo = _SUDO_OF.get(message.sudo)
    if sudo is None:
        raise ssh_invalid("The sudo mode is AUTO, ALWAYS or NEVER.", "ssh.sudo")
    return checked_ssh(
        address=checked_address(message.address, "ssh.address") if message.address else "",
        port=message.port,
        user=message.user,
        credential=message.credential,
        sudo=sudo,
        jump_servers=message.jump_servers,
    )


def _policy(number: int) -> RepairPolicy:
    policy = _POLICY_OF.get(number)
    if policy is None:
        raise InvalidArgument(
            "REPAIR_POLICY_INVALID", "A repair policy is AUTOMATIC, ASK or OFF.", field="repair_policy"
        )
    return policy
