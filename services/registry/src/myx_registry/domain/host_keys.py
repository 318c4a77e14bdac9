"""SSH host keys: which one is trusted, and what a host that shows another means."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from myx_kit.errors import FailedPrecondition, InvalidArgument

HOW_GIVEN: Final = "fingerprint"
HOW_ACCEPTED: Final = "accepted"
HOW_FIRST_CONTACT: Final = "first_contact"
MAX_PUBLIC_KEY: Final = 8192
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]", re.ASCII)
_TYPES: Final = frozenset(
    {"ssh-ed25519", "ssh-ed448", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"}
)


@dataclass(frozen=True, slots=True)
class HostKey:
    """The key that is trusted. `public_key` is an OpenSSH line without comment, empty until the key was seen."""

    fingerprint: str
    public_key: str
    accepted_at: datetime
    accepted_by: str
    how: str


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key that a host showed."""

    fingerprint: str
    public_key: str


def checked_fingerprint(text: str, field: str) -> str:
    """`SHA256:…` without padding, as OpenSSH prints it. Raises InvalidArgument `HOST_KEY_INVALID`."""
    fingerprint = text.strip().rstrip("=")
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise InvalidArgument(
            "HOST_KEY_INVALID",
            "A host key's fingerprint is 'SHA256:' and 43 characters, as `ssh-keygen -lf` prints it.",
            field=field,
        )
    return fingerprint


def shown_key(line: str) -> ShownKey:
    """The key of an OpenSSH line (`ssh-ed25519 AAAA… comment`). Raises InvalidArgument `HOST_KEY_INVALID`."""
    words = line.split(maxsplit=2) if len(line) <= MAX_PUBLIC_KEY else []
    try:
        kind, text = words[:2]
        blob = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        kind, text, blob = "", "", b""
    if kind not in _TYPES or not blob.startswith(len(kind).to_bytes(4) + kind.encode()):
        raise InvalidArgument(
            "HOST_KEY_INVALID", "This is no line of an RSA, ECDSA or Ed25519 public key.", field="public_key"
        )
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return ShownKey(f"SHA256:{digest}", f"{kind} {text}")


def trust(known: HostKey | None, fingerprint: str, by: str, now: datetime, how: str) -> HostKey:
    """The key to trust after somebody said so; the known one itself when it is that already."""
    if known is not None and known.fingerprint == fingerprint:
        return known
    return HostKey(fingerprint, "", now, by, how)


def recognise(
    known: HostKey | None, shown: ShownKey, *, accept_new: bool, by: str, now: datetime, server: str
) -> HostKey:
    """The key to trust after a host showed one.

    Raises FailedPrecondition `HOST_KEY_UNKNOWN` (none is trusted and the first is not taken unasked),
    `HOST_KEY_CHANGED` (another one is trusted), with the fingerprints.
    """
    if known is None:
        if accept_new:
            return HostKey(shown.fingerprint, shown.public_key, now, by, HOW_FIRST_CONTACT)
        raise FailedPrecondition(
            "HOST_KEY_UNKNOWN",
            f"No host key of {server} is trusted yet. It shows {shown.fingerprint}: compare that on the host, then "
            "trust it.",
            server=server,
            shown=shown.fingerprint,
        )
    if known.fingerprint != shown.fingerprint:
        raise FailedPrecondition(
            "HOST_KEY_CHANGED",
            f"{server} shows the host key {shown.fingerprint}, but {known.fingerprint} is trusted. Either the host was "
            "installed anew or somebody is in between: find out, then trust the new key or leave it.",
            server=server,
            shown=shown.fingerprint,
            trusted=known.fingerprint,
        )
    return known if known.public_key else replace(known, public_key=shown.public_key)
