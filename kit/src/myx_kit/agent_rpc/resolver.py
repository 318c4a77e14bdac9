"""Names of agents, looked up in such a way that those that nobody resolves keep no others waiting."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

# Each holds a thread for as long as the system tries: 10 s and more while a name server does not answer. On uvloop they
# would share few threads with every other lookup of the process.
LOOKUPS = 64
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Resolver(AbstractResolver):
    """The system's lookups in threads of their own. Names that did not resolve last time wait for each other only."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS, "lookup")
        self._other_threads = ThreadPoolExecutor(LOOKUPS, "lookup-unresolved")
        # Names whose last lookup failed or goes on.
        self._unresolved: set[str] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Its addresses. Raises OSError."""
        threads = self._other_threads if host in self._unresolved else self._threads
        self._unresolved.add(host)
        look_up = partial(_look_up, host, port, family)
        found = await asyncio.get_running_loop().run_in_executor(threads, look_up)
        self._unresolved.discard(host)
        return found

    async def close(self) -> None:
        """Lookups that run are not waited for."""
        for threads in (self._threads, self._other_threads):
            threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "not a name of a host") from None
    return [
        ResolveResult(hostname=host, host=_numeric(address), port=port, family=kind, proto=protocol, flags=_NUMERIC)
        for kind, _, protocol, _, address in found
    ]


def _numeric(address: tuple[object, ...]) -> str:
    """With its scope, if it is an IPv6 address that holds on one link only."""
    scope = address[3] if len(address) > 3 else 0
    return f"{address[0]}%{scope}" if scope else str(address[0])
