"""Managed hosts: their form, and the rules for name, address and labels."""

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from myx_kit.errors import InvalidArgument
from myx_registry.domain.agents import Agent, AgentStatus
from myx_registry.domain.credentials import CredentialSecret
from myx_registry.domain.host_keys import HostKey
from myx_registry.domain.maintenance import Maintenance
from myx_registry.domain.names import is_id, is_name
from myx_registry.domain.pauses import CheckPause
from myx_registry.domain.ssh import RepairPolicy, SshDraft, SshSettings

MAX_LABELS = 64
_HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_LABEL_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)


_DEFAULT_SETTINGS = SshSettings()
_DEFAULT_DRAFT = SshDraft()


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What a caller decides about a server; always valid."""

    name: str
    address: str
    labels: Mapping[str, str]
    ssh: SshSettings = _DEFAULT_SETTINGS
    repair_policy: RepairPolicy = RepairPolicy.AUTOMATIC
    accept_new_host_key: bool = False


@dataclass(frozen=True, slots=True)
class ServerDraft:
    """A server to add, its credential and jump servers meant by id or name; always valid (`checked_draft` makes it)."""

    name: str
    address: str
    labels: Mapping[str, str]
    ssh: SshDraft = _DEFAULT_DRAFT
    own_credential: CredentialSecret | None = None
    repair_policy: RepairPolicy = RepairPolicy.AUTOMATIC
    host_key_fingerprint: str = ""
    accept_new_host_key: bool = False

    def digest(self) -> bytes:
        """32 bytes that are equal for equal content: tells a repeated request from a reused request id.

        The own credential is left out: its digest is guessable, and kept sealed.
        """
        form: list[object] = [self.name, self.address, sorted(self.labels.items())]
        ssh = [*(getattr(self.ssh, name) for name in ("address", "port", "user", "credential", "sudo"))]
        more = [*ssh, list(self.ssh.jump_servers), self.repair_policy, self.host_key_fingerprint]
        # A request of a version that knew only the first three has the digest that it had then.
        if (self.ssh, self.repair_policy, self.host_key_fingerprint, self.accept_new_host_key) != _PLAIN:
            form += [*more, self.accept_new_host_key]
        return hashlib.sha256(json.dumps(form, separators=(",", ":")).encode()).digest()

    def settled(self, ssh: SshSettings) -> ServerSpec:
        """The spec, once it is known who is meant."""
        return ServerSpec(self.name, self.address, self.labels, ssh, self.repair_policy, self.accept_new_host_key)


_PLAIN = (_DEFAULT_DRAFT, RepairPolicy.AUTOMATIC, "", False)


@dataclass(frozen=True, slots=True)
class Server:
    """A managed host. `revision` grows with each change of its spec or of its own credential."""

    id: UUID
    spec: ServerSpec
    revision: int
    created_at: datetime
    updated_at: datetime
    host_key: HostKey | None = None

    @property
    def etag(self) -> str:
        """Opaque to callers. It carries the random end of the id too: a server made anew under an old name differs."""
        return f"{self.id.hex[-12:]}-{self.revision}"

    def changed(self, spec: ServerSpec, now: datetime, *, touched: bool = False) -> "Server":
        """The server with another spec; itself when the spec is the same and nothing else was `touched`."""
        if spec == self.spec and not touched:
            return self
        return replace(self, spec=spec, revision=self.revision + 1, updated_at=now)


@dataclass(frozen=True, slots=True)
class Match:
    """What a list of targets holds of a server. `agent_id` is None and `status` empty without an agent."""

    id: UUID
    name: str
    address: str
    labels: Mapping[str, str]
    agent_id: UUID | None
    status: str


@dataclass(frozen=True, slots=True)
class ServerView:
    """A server with all that callers see of it. `credential_name` is that of the named one in its SSH settings."""

    server: Server
    agent: Agent | None
    maintenance: Maintenance | None
    credential_name: str
    jump_server_names: Sequence[str]
    has_own_credential: bool
    pause: CheckPause | None = None

    @property
    def has_credential(self) -> bool:
        """Whether there is any to log in with."""
        return self.has_own_credential or self.server.spec.ssh.credential_id is not None


@dataclass(frozen=True, slots=True)
class ServerCounts:
    """Servers in numbers: by the status of their agents, those without one, and of all those that are not checked."""

    by_status: Mapping[AgentStatus, int]
    without_agent: int
    paused: int

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_status.values()) + self.without_agent


@dataclass(frozen=True, slots=True)
class ServerChange:
    """Fields to change; None leaves a field as it is. With `sets_own_credential` None removes the own credential."""

    name: str | None = None
    address: str | None = None
    labels: Mapping[str, str] | None = None
    ssh: SshDraft | None = None
    repair_policy: RepairPolicy | None = None
    accept_new_host_key: bool | None = None
    own_credential: CredentialSecret | None = None
    sets_own_credential: bool = False

    def apply(self, spec: ServerSpec, ssh: SshSettings | None = None) -> ServerSpec:
        """The valid spec after the change, `ssh` being what the draft of that name came to. The trusted host key stays
        whatever changes: a new address that shows another key is a hard stop, not a new first contact.

        Raises as `checked_draft`, for the changed fields only.
        """
        accept = self.accept_new_host_key
        return ServerSpec(
            name=spec.name if self.name is None else checked_name(self.name),
            address=spec.address if self.address is None else checked_address(self.address),
            labels=spec.labels if self.labels is None else checked_labels(self.labels),
            ssh=spec.ssh if ssh is None else ssh,
            repair_policy=self.repair_policy or spec.repair_policy,
            accept_new_host_key=spec.accept_new_host_key if accept is None else accept,
        )


def checked_draft(name: str, address: str, labels: Mapping[str, str], **more: Any) -> ServerDraft:
    """A valid draft in normal form; `more` are further fields of ServerDraft, valid before.

    Raises InvalidArgument `SERVER_NAME_INVALID`, `ADDRESS_INVALID` or `LABEL_INVALID`, naming the field.
    """
    return ServerDraft(name=checked_name(name), address=checked_address(address), labels=checked_labels(labels), **more)


def checked_name(name: str) -> str:
    """The name itself. A name in the form of an id is refused: `id or name` must mean one server."""
    if not is_name(name):
        raise InvalidArgument(
            "SERVER_NAME_INVALID",
            "A server name has 1 to 63 characters of a-z, 0-9, '-', '_' and '.', and begins with a letter or digit.",
            field="name",
        )
    if is_id(name):
        raise InvalidArgument("SERVER_NAME_INVALID", "A server name must not have the form of an id.", field="name")
    return name


def checked_address(address: str, field: str = "address") -> str:
    """A host name in lower case, or an IP address in its shortest form. No port, no brackets, no zone."""
    text = address.strip().lower()
    ip = _as_ip(text)
    if ip is not None:
        if ip.is_unspecified or ip.is_multicast or str(ip) == "255.255.255.255":
            raise _address_invalid(f"{ip} is not the address of one host", field)
        return str(ip)
    labels = text.split(".")
    if not text or len(text) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise _address_invalid("Give a host name or an IP address, without port, brackets or path", field)
    return text


def _as_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if "%" in text:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _address_invalid(why: str, field: str) -> InvalidArgument:
    return InvalidArgument(
        "ADDRESS_INVALID", f"{why} (for example web-1.example.org, 192.0.2.7 or 2001:db8::7).", field=field
    )


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels sorted by key. Keys are `name` or `prefix/name`, values may be empty (Kubernetes' rules)."""
    if len(labels) > MAX_LABELS:
        raise InvalidArgument("LABEL_INVALID", f"A server has at most {MAX_LABELS} labels.", field="labels")
    for key, value in labels.items():
        if not is_label_key(key):
            raise InvalidArgument(
                "LABEL_INVALID",
                "A label key has 1 to 63 characters of letters, digits, '-', '_' and '.', begins and ends with a "
                "letter or digit, and may have a domain name and '/' before it.",
                field="labels",
                key=key[:80],
            )
        if not is_label_value(value):
            raise InvalidArgument(
                "LABEL_INVALID",
                "A label value is empty or has up to 63 characters of letters, digits, '-', '_' and '.', and begins "
                "and ends with a letter or digit.",
                field="labels",
                key=key[:80],
            )
    return dict(sorted(labels.items()))


def is_label_key(text: str) -> bool:
    """Whether a label can have this key."""
    prefix, slash, name = text.rpartition("/")
    return bool(_LABEL_PART.fullmatch(name)) and (not slash or _is_domain(prefix))


def is_label_value(text: str) -> bool:
    """Whether a label can have this value."""
    return not text or bool(_LABEL_PART.fullmatch(text))


def _is_domain(text: str) -> bool:
    return 0 < len(text) <= 253 and all(_HOST_LABEL.fullmatch(label) for label in text.split("."))
