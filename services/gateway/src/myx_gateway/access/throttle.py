"""Failed logins make the next ones wait; nobody is locked out by what others do.

Counted are failures of a name from a place, and of an address with whatever names. An address or browser from which a
user logged in lately waits for that user's own failures there and for nobody else's.
"""

import hashlib
from dataclasses import dataclass
from math import ceil
from typing import Final
from uuid import UUID

from myx_gateway.access.addresses import neighbourhood
from myx_gateway.store import access_logins as store
from myx_gateway.store.access_records import Connection, User
from myx_kit.errors import ResourceExhausted

# Mistypings that cost nothing; of an address more, because many people can share one.
_FREE_OF_NAME: Final = 5
_FREE_OF_ADDRESS: Final = 20
_LONGEST_S: Final = 60.0
# After this time without a failure all is forgotten.
_FORGET_S: Final = 3600.0
_NOBODY: Final = UUID(int=0)


@dataclass(frozen=True)
class Attempt:
    """A login that may be tried: counted as a failure until it has succeeded."""

    # The failures that success wipes out, and those of the address of which it takes back one.
    of_name: bytes
    of_address: bytes | None
    places: tuple[bytes, ...]
    known: bool
    # The browser brings a mark that this user was given: it keeps it.
    is_known_device: bool

    @property
    def counts(self) -> list[tuple[bytes, int]]:
        """Under which keys it is counted, and how many failures are free there; in the order in which to lock them."""
        counts = [(self.of_name, _FREE_OF_NAME)]
        if self.of_address is not None:
            counts.append((self.of_address, _FREE_OF_ADDRESS))
        return sorted(counts)


async def begin(connection: Connection, user: User | None, name: str, address: str, device: str) -> Attempt:
    """Count an attempt, whether or not there is such a user; ResourceExhausted `LOGIN_THROTTLED` while it must wait."""
    near = neighbourhood(address)
    by_address = _digest("address", near)
    places = (by_address, _digest("device", device)) if device else (by_address,)
    # Asked for nobody too: it must take the same time.
    known = await store.known_places(connection, user.id if user is not None else _NOBODY, places)
    # A browser that is known has its own count: behind one address with whoever tries names, it does not wait for them.
    place = next((place for place in reversed(places) if place in known), by_address)
    of_address = None if known else _digest("any", near)
    attempt = Attempt(_digest("name", name, place.hex()), of_address, places, bool(known), place != by_address)
    wait_s = await store.blocked_s(connection, [key for key, _ in attempt.counts])
    if wait_s > 0:
        seconds = ceil(wait_s)
        text = f"too many failed logins: try again in {seconds} s"
        raise ResourceExhausted("LOGIN_THROTTLED", text, retry_after_s=str(seconds))
    for key, free in attempt.counts:
        await store.count_failure(connection, key, free=free, longest_s=_LONGEST_S, forget_s=_FORGET_S)
    return attempt


async def succeeded(connection: Connection, attempt: Attempt, user: User, device: str) -> None:
    """Forget the failures of this user there, and know the place from now on."""
    for key, _ in attempt.counts:
        if key == attempt.of_name:
            await store.forget_failures(connection, key)
        else:
            await store.take_back_failure(connection, key)
    await store.note_places(connection, user.id, [attempt.places[0], _digest("device", device)])


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
