"""How hosts are reached over SSH."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from myx_kit.errors import FailedPrecondition, InvalidArgument
from myx_registry.domain.credentials import CredentialSecret, checked_login
from myx_registry.domain.host_keys import HostKey
from myx_registry.domain.names import is_id, is_name

DEFAULT_PORT: Final = 22
# The host itself is one of them.
MAX_HOPS: Final = 5


class SudoMode(StrEnum):
    """How a login becomes root. AUTO: root without sudo, everybody else with it."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class RepairPolicy(StrEnum):
    """What happens when an agent is broken on a host that is well."""

    AUTOMATIC = "automatic"
    ASK = "ask"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class SshSettings:
    """Settings as they are kept: others are meant by their ids. An empty `address` is the server's, an empty `user` the
    credential's; without a credential the server's own is used, if it has one."""

    address: str = ""
    port: int = DEFAULT_PORT
    user: str = ""
    credential_id: UUID | None = None
    sudo: SudoMode = SudoMode.AUTO
    jump_server_ids: Sequence[UUID] = ()


@dataclass(frozen=True, slots=True)
class SshDraft:
    """Settings as a caller gives them: others are meant by id or name. Always valid (`checked_ssh` makes it)."""

    address: str = ""
    port: int = DEFAULT_PORT
    user: str = ""
    credential: str = ""
    sudo: SudoMode = SudoMode.AUTO
    jump_servers: Sequence[str] = ()

    def settled(self, credential_id: UUID | None, jump_server_ids: Sequence[UUID]) -> SshSettings:
        """The settings, once it is known who is meant."""
        return SshSettings(
            address=self.address,
            port=self.port,
            user=self.user,
            credential_id=credential_id,
            sudo=self.sudo,
            jump_server_ids=tuple(jump_server_ids),
        )


def checked_ssh(
    *, address: str, port: int, user: str, credential: str, sudo: SudoMode, jump_servers: Sequence[str]
) -> SshDraft:
    """Valid settings; `address` has been checked before. Raises InvalidArgument `SSH_INVALID`, naming the field."""
    if not 0 <= port <= 65535:
        raise ssh_invalid("An SSH port lies between 1 and 65535.", "ssh.port")
    if credential and not _is_reference(credential):
        raise ssh_invalid("A credential is meant by its name or id.", "ssh.credential")
    if len(jump_servers) >= MAX_HOPS:
        raise ssh_invalid(f"A way has at most {MAX_HOPS - 1} jump servers.", "ssh.jump_servers")
    if not all(map(_is_reference, jump_servers)):
        raise ssh_invalid("Jump servers are meant by their names or ids.", "ssh.jump_servers")
    return SshDraft(
        address=address,
        port=port or DEFAULT_PORT,
        user=checked_login(user, "SSH_INVALID", "ssh.user"),
        credential=credential,
        sudo=sudo,
        jump_servers=tuple(jump_servers),
    )


def ssh_invalid(why: str, field: str) -> InvalidArgument:
    """The SSH settings cannot be meant."""
    return InvalidArgument("SSH_INVALID", why, field=field)


def check_way(way: Sequence[UUID], server: str) -> None:
    """Raises FailedPrecondition `JUMP_LOOP` for a way that comes by one server twice or has more than MAX_HOPS hops."""
    if len(set(way)) < len(way):
        raise FailedPrecondition("JUMP_LOOP", f"The way to {server} leads through one server twice.", server=server)
    if len(way) > MAX_HOPS:
        raise FailedPrecondition(
            "JUMP_LOOP", f"The way to {server} has more than {MAX_HOPS} hops, the host itself included.", server=server
        )


def _is_reference(text: str) -> bool:
    return is_id(text) or is_name(text)


@dataclass(frozen=True, slots=True)
class SshHop:
    """One login on the way to a host. Secret."""

    server_id: UUID
    server_name: str
    address: str
    port: int
    user: str
    secret: CredentialSecret
    sudo: SudoMode
    host_key: HostKey | None
    accept_new_host_key: bool
