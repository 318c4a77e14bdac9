"""The exclusive right to change the agent of a server."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from myx_kit.errors import FailedPrecondition, InvalidArgument
from myx_registry.domain.texts import MAX_ACTOR, checked_line, checked_word

MAX_TTL_S: Final = 86400.0
_MAX_HOLDER: Final = 128
_MAX_KIND: Final = 64


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Who holds the right, for what, and until when."""

    holder: str
    kind: str
    actor: str
    since: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants the right; always valid (`checked_claim` makes it)."""

    holder: str
    kind: str
    actor: str
    ttl_s: float


def checked_claim(holder: str, kind: str, actor: str, ttl_s: float) -> Claim:
    """A valid claim. Raises InvalidArgument `MAINTENANCE_INVALID`, naming the field."""
    if not 1 <= ttl_s <= MAX_TTL_S:
        raise InvalidArgument("MAINTENANCE_INVALID", "A lease lasts from 1 second to 24 hours.", field="ttl")
    return Claim(
        holder=checked_word(holder, _MAX_HOLDER, "MAINTENANCE_INVALID", "holder"),
        kind=checked_word(kind, _MAX_KIND, "MAINTENANCE_INVALID", "kind"),
        actor=checked_line(actor, MAX_ACTOR, "MAINTENANCE_INVALID", "actor"),
        ttl_s=ttl_s,
    )


def maintenance_held(server: str, held: Maintenance) -> FailedPrecondition:
    """Somebody else has it."""
    since = f"{held.since:%Y-%m-%dT%H:%M:%SZ}"
    by = f" by {held.actor}" if held.actor else ""
    return FailedPrecondition(
        "MAINTENANCE_HELD",
        f"{server} is being worked on: {held.kind}{by}, since {since}. Wait for its end or cancel it.",
        server=server,
        holder=held.holder,
        kind=held.kind,
        actor=held.actor,
        since=since,
        expires_at=f"{held.expires_at:%Y-%m-%dT%H:%M:%SZ}",
    )
