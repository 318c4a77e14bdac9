"""Taking connections: strangers have a few seconds to show the token, and never all places."""

import asyncio
import contextlib
import ipaddress
import logging
import resource
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from myx_agent.tls import Identity

STRANGER_S = 10.0
MAX_STRANGERS = 256
MAX_STRANGERS_PER_GROUP = 64
_MAX_KNOWN_GROUPS = 256
_ACCEPT_AT_ONCE = 16
_TLS_GOODBYE_S = 5.0
_SOON_S = 0.05
_LATER_S = 1.0
_SAY_AGAIN_S = 60.0
# Higher limits do no good here and harm old programs, which close every descriptor there may be.
_OPEN_FILES = 65536
_log = logging.getLogger("myx_agent")


class Droppable(Protocol):
    """A connection of a group of addresses."""

    group: str

    def drop(self) -> None: ...


class Guest:
    """One connection, a stranger until `admit`. It is dropped when it stays one for too long."""

    def __init__(self, group: str, strangers: "Strangers") -> None:
        self.group = group
        self.dropped = False
        self.greeting: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None
        self._strangers = strangers
        self._deadline = asyncio.get_running_loop().call_later(STRANGER_S, self.drop)

    def admit(self) -> None:
        """Its peer has shown the token."""
        self._deadline.cancel()
        self._strangers.admit(self)

    def leave(self) -> None:
        """It is closed."""
        self._deadline.cancel()
        self._strangers.leave(self)

    def drop(self) -> None:
        """Close it at once."""
        self.dropped = True
        self.leave()
        if self.transport is not None:
            self.transport.abort()
        elif self.greeting is not None:
            self.greeting.cancel()


class Strangers:
    """Those who have not shown the token, oldest first, by group of addresses.

    Beyond `per_group` the group's oldest gives way to its newest, unless the token was shown from that group before;
    beyond `total` the oldest of the most crowded group. A known group with no more than `per_group` is spared.
    """

    def __init__(self, total: int = MAX_STRANGERS, per_group: int = MAX_STRANGERS_PER_GROUP) -> None:
        self._total = total
        self._per_group = per_group
        self._count = 0
        self._groups: dict[str, dict[Droppable, None]] = {}
        self._known: OrderedDict[str, None] = OrderedDict()

    def enter(self, guest: Droppable) -> None:
        """Take one in; another one may be dropped for it."""
        group = self._groups.setdefault(guest.group, {})
        group[guest] = None
        self._count += 1
        if len(group) > self._per_group and guest.group not in self._known:
            next(iter(group)).drop()
        elif self._count > self._total:
            self._drop_one()

    def admit(self, guest: Droppable) -> None:
        """It is no stranger any more, and its group is known."""
        self.leave(guest)
        self._known[guest.group] = None
        self._known.move_to_end(guest.group)
        if len(self._known) > _MAX_KNOWN_GROUPS:
            self._known.popitem(last=False)

    def leave(self, guest: Droppable) -> None:
        """It is gone; no error when it was not here."""
        group = self._groups.get(guest.group, {})
        if guest in group:
            del group[guest]
            self._count -= 1
            if not group:
                del self._groups[guest.group]

    def drop_half(self) -> int:
        """Drop those who are missed least; how many."""
        number = (self._count + 1) // 2
        for _ in range(number):
            self._drop_one()
        return number

    def _drop_one(self) -> None:
        next(iter(self._groups[max(self._groups, key=self._weight)])).drop()

    def _weight(self, group: str) -> tuple[bool, int]:
        size = len(self._groups[group])
        return group not in self._known or size > self._per_group, size


class Door:
    """Accepts from one listening socket and makes TLS connections."""

    def __init__(
        self,
        listener: socket.socket,
        identity: Identity,
        strangers: Strangers,
        make: Callable[[Guest], asyncio.Protocol],
    ) -> None:
        self._listener = listener
        self._identity = identity
        self._make = make
        self._strangers = strangers
        self._loop = asyncio.get_running_loop()
        self._greetings: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._said_at = -_SAY_AGAIN_S

    def open(self) -> None:
        """Begin to accept."""
        self._retry = None
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Accept no more, and end the handshakes under way."""
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._listener)
        for greeting in self._greetings:
            greeting.cancel()

    def _accept(self) -> None:
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                connection, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            guest = Guest(group_of(peer[0]), self._strangers)
            guest.greeting = self._loop.create_task(self._greet(connection, guest), name="greet")
            self._greetings.add(guest.greeting)
            guest.greeting.add_done_callback(self._greetings.discard)
            self._strangers.enter(guest)

    async def _greet(self, connection: socket.socket, guest: Guest) -> None:
        protocol = self._make(guest)
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._identity.context,
                ssl_handshake_timeout=STRANGER_S,
                ssl_shutdown_timeout=_TLS_GOODBYE_S,
            )
        except OSError:  # no TLS, or none in time
            guest.leave()

    def _pause(self, error: OSError) -> None:
        """Nothing can be accepted, most likely for want of descriptors: strangers make room, and it is said rarely."""
        now = time.monotonic()
        if now - self._said_at >= _SAY_AGAIN_S:
            self._said_at = now
            _log.warning("cannot accept connections: %s", error.strerror)
        dropped = self._strangers.drop_half()
        self._loop.remove_reader(self._listener)
        self._retry = self._loop.call_later(_SOON_S if dropped else _LATER_S, self.open)


def group_of(address: str) -> str:
    """Addresses of one owner: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def raise_descriptor_limit() -> int:
    """Use as many descriptors as the system allows this process, within reason; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _OPEN_FILES if soft == resource.RLIM_INFINITY else soft
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
