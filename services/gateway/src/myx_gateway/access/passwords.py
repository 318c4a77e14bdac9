"""Passwords: what is a good one, and argon2id where it cannot crowd out the rest of the process."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from myx_gateway.access.common_passwords import COMMON
from myx_kit.errors import InvalidArgument, ResourceExhausted

Result = TypeVar("Result")

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 1024
# OWASP's parameters: about 35 ms of one core and 19 MiB each.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
THREADS: Final = 2
_WAITING: Final = 32


def check_new_password(password: str, name: str) -> None:
    """InvalidArgument `PASSWORD_WEAK` for one that others would try."""
    lowered = password.lower()
    if len(password) < MIN_LENGTH:
        why = f"must have {MIN_LENGTH} characters or more"
    elif len(password) > MAX_LENGTH:
        why = f"must have {MAX_LENGTH} characters or fewer"
    elif lowered.strip() in COMMON or len(set(lowered)) < 4:
        why = "is one that is tried first"
    elif lowered.replace(name.lower(), "").strip("0123456789 -_.!") == "":
        why = "must not be made of the user's name"
    else:
        return
    raise InvalidArgument("PASSWORD_WEAK", why, field="password")


class Passwords:
    """Hashes and compares in threads, two at once at most, and of strangers one: they wait for each other.

    So those who logged in here before get in while somebody tries passwords from a thousand addresses.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._any = _Lane(THREADS)
        self._strangers = _Lane(1)
        # What is compared with when there is no such user: it takes as long, and is never right.
        self._nobodys = _HASHER.hash(secrets.token_urlsafe(32))

    async def hash(self, password: str) -> str:
        """What to keep of a password."""
        async with self._any.turn():
            return await self._run(lambda: _HASHER.hash(password))

    async def matches(self, password_hash: str | None, password: str, *, known: bool) -> bool:
        """Whether this is the password; takes as long when there is none. ResourceExhausted `LOGIN_BUSY`."""
        async with (self._any if known else self._strangers).turn():
            right = await self._run(lambda: _matches(password_hash or self._nobodys, password))
        return right and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return _HASHER.check_needs_rehash(password_hash)

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


class _Lane:
    def __init__(self, at_once: int) -> None:
        self._running = asyncio.Semaphore(at_once)
        self._inside = 0
        self._limit = at_once + _WAITING

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        if self._inside >= self._limit:
            raise ResourceExhausted("LOGIN_BUSY", "too many people log in at this moment; try again")
        self._inside += 1
        try:
            async with self._running:
                yield
        finally:
            self._inside -= 1


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
