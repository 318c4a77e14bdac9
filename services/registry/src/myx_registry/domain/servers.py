"""Managed hosts: their form, and the rules for name, address and labels."""

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from myx_kit.errors import InvalidArgument

MAX_LABELS = 64
MAX_REQUEST_ID = 128

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_LABEL_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)
_PRINTABLE = re.compile(r"[\x21-\x7e]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What a caller decides about a server; always valid (`checked_spec` makes it)."""

    name: str
    address: str
    labels: Mapping[str, str]

    def digest(self) -> bytes:
        """32 bytes that are equal for equal content: tells a repeated request from a reused request id."""
        form = json.dumps([self.name, self.address, sorted(self.labels.items())], separators=(",", ":"))
        return hashlib.sha256(form.encode()).digest()


@dataclass(frozen=True, slots=True)
class Server:
    """A managed host. `revision` grows with each change of its spec."""

    id: UUID
    spec: ServerSpec
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def etag(self) -> str:
        """Opaque to callers. It carries the random end of the id too: a server made anew under an old name differs."""
        return f"{self.id.hex[-12:]}-{self.revision}"

    def changed(self, spec: ServerSpec, now: datetime) -> "Server":
        """The server with another spec; itself when the spec is the same."""
        if spec == self.spec:
            return self
        return replace(self, spec=spec, revision=self.revision + 1, updated_at=now)


@dataclass(frozen=True, slots=True)
class ServerChange:
    """Fields to change; None leaves a field as it is."""

    name: str | None = None
    address: str | None = None
    labels: Mapping[str, str] | None = None

    def apply(self, spec: ServerSpec) -> ServerSpec:
        """The valid spec after the change. Raises as `checked_spec`, for the changed fields only."""
        return ServerSpec(
            name=spec.name if self.name is None else checked_name(self.name),
            address=spec.address if self.address is None else checked_address(self.address),
            labels=spec.labels if self.labels is None else checked_labels(self.labels),
        )


def checked_spec(name: str, address: str, labels: Mapping[str, str]) -> ServerSpec:
    """A valid spec in normal form.

    Raises InvalidArgument `SERVER_NAME_INVALID`, `ADDRESS_INVALID` or `LABEL_INVALID`, naming the field.
    """
    return ServerSpec(name=checked_name(name), address=checked_address(address), labels=checked_labels(labels))


def checked_name(name: str) -> str:
    """The name itself. A name in the form of an id is refused: `id or name` must mean one server."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            "SERVER_NAME_INVALID",
            "A server name has 1 to 63 characters of a-z, 0-9, '-', '_' and '.', and begins with a letter or digit.",
            field="name",
        )
    if is_id(name):
        raise InvalidArgument("SERVER_NAME_INVALID", "A server name must not have the form of an id.", field="name")
    return name


def checked_address(address: str) -> str:
    """A host name in lower case, or an IP address in its shortest form. No port, no brackets, no zone."""
    text = address.strip().lower()
    ip = _as_ip(text)
    if ip is not None:
        if ip.is_unspecified or ip.is_multicast or str(ip) == "255.255.255.255":
            raise _address_invalid(f"{ip} is not the address of one host")
        return str(ip)
    labels = text.split(".")
    if not text or len(text) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise _address_invalid("Give a host name or an IP address, without port, brackets or path")
    return text


def _as_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if "%" in text:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _address_invalid(why: str) -> InvalidArgument:
    return InvalidArgument(
        "ADDRESS_INVALID", f"{why} (for example web-1.example.org, 192.0.2.7 or 2001:db8::7).", field="address"
    )


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels sorted by key. Keys are `name` or `prefix/name`, values may be empty (Kubernetes' rules)."""
    if len(labels) > MAX_LABELS:
        raise InvalidArgument("LABEL_INVALID", f"A server has at most {MAX_LABELS} labels.", field="labels")
    for key, value in labels.items():
        prefix, slash, name = key.rpartition("/")
        if not _LABEL_PART.fullmatch(name) or (slash and not _is_domain(prefix)):
            raise InvalidArgument(
                "LABEL_INVALID",
                "A label key has 1 to 63 characters of letters, digits, '-', '_' and '.', begins and ends with a "
                "letter or digit, and may have a domain name and '/' before it.",
                field="labels",
                key=key[:80],
            )
        if value and not _LABEL_PART.fullmatch(value):
            raise InvalidArgument(
                "LABEL_INVALID",
                "A label value is empty or has up to 63 characters of letters, digits, '-', '_' and '.', and begins "
                "and ends with a letter or digit.",
                field="labels",
                key=key[:80],
            )
    return dict(sorted(labels.items()))


def _is_domain(text: str) -> bool:
    return 0 < len(text) <= 253 and all(_HOST_LABEL.fullmatch(label) for label in text.split("."))


def checked_request_id(request_id: str) -> str | None:
    """None for an empty one (not idempotent). Raises InvalidArgument `REQUEST_ID_INVALID`."""
    if not request_id:
        return None
    if len(request_id) > MAX_REQUEST_ID or not _PRINTABLE.fullmatch(request_id):
        raise InvalidArgument(
            "REQUEST_ID_INVALID",
            f"A request id has at most {MAX_REQUEST_ID} printable ASCII characters without spaces.",
            field="request_id",
        )
    return request_id


def is_id(reference: str) -> bool:
    """Whether `id or name` is an id."""
    return _CANONICAL_UUID.fullmatch(reference) is not None


def is_name(reference: str) -> bool:
    """Whether `id or name` could be a name."""
    return _NAME.fullmatch(reference) is not None
