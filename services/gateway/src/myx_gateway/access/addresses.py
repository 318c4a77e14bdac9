"""Where a request comes from, behind proxies too."""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from starlette.types import Scope

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class ClientAddresses:
    """Believes X-Forwarded-For as far as proxies that we trust wrote it."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted

    def of(self, scope: Scope) -> str:
        """The address of the client; that of the nearest one that is not ours when several stand in between."""
        peer = (scope.get("client") or ("", 0))[0]
        address = _parse(peer)
        if address is None:
            return str(peer)
        for hop in reversed(_forwarded(scope["headers"])):
            if not self._is_trusted(address):
                break
            came_from = _parse(hop)
            if came_from is None:
                break
            address = came_from
        return str(address)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def neighbourhood(address: str) -> str:
    """What one person can easily change within: an IPv4 address, the /64 of an IPv6 one."""
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address


def _forwarded(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    lines = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
    return [hop for line in lines for hop in line.split(",")]


def _parse(text: str) -> Address | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
