"""All that knows who may come in, made from the settings."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from myx_gateway.access import users as users_module
from myx_gateway.access.addresses import ClientAddresses
from myx_gateway.access.belongings import check_sees
from myx_gateway.access.cookies import Cookies
from myx_gateway.access.identities import Identities
from myx_gateway.access.origins import Origins
from myx_gateway.access.passwords import THREADS, Passwords
from myx_gateway.access.principal import Principal
from myx_gateway.access.selectors import SelectorCheck
from myx_gateway.access.sessions import Lifetimes, Sessions
from myx_gateway.access.token import TokenCheck
from myx_gateway.access.tokens import Tokens
from myx_gateway.access.users import Users
from myx_gateway.clients import Clients
from myx_gateway.door import Gate
from myx_gateway.settings import GatewaySettings, parse_names, parse_networks
from myx_gateway.store import access_logins, access_sessions, access_tokens
from myx_gateway.store.database import Database
from myx_kit.errors import MyxError, Unavailable
from myx_kit.files import read_private
from myx_kit.logging import get_logger
from myx_kit.loops import Loop, TaskOwner

log = get_logger()

_HOUSEKEEPING_S: Final = 600.0
_FIRST_ADMIN_S: Final = 1.0
_FIRST_TRY_S: Final = 2.0


@dataclass(frozen=True)
class Doorkeeper:
    """The use cases behind /session, /sessions, /users and /tokens, and what the door asks."""

    database: Database
    passwords: Passwords
    identities: Identities
    sessions: Sessions
    users: Users
    tokens: Tokens
    cookies: Cookies
    gate: Gate
    lifetimes: Lifetimes

    async def whose(self, user: str, principal: Principal) -> UUID | None:
        """Which user a list is to be about; None: all. NotFound `USER_NOT_FOUND`, only for who may know."""
        if user == "*" or not (user or principal.user_id):
            return None
        if not user or user in {principal.user_id, principal.name.removeprefix("user:")}:
            return UUID(principal.user_id) if principal.user_id else None
        check_sees(principal, None)
        return (await self.users.get(user)).id

    async def supervise(self, owner: TaskOwner, first_admin_password_file: Path | None) -> None:
        """Start what goes on in the background; where the database is there, the first admin is too afterwards."""
        owner.start(Loop("access-housekeeping", _HOUSEKEEPING_S, self._keep_house).run(), name="access-housekeeping")
        if first_admin_password_file is not None:
            making = _FirstAdmin(self.database, self.passwords, first_admin_password_file)
            owner.start(making.run(), name="first-admin")
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_TRY_S):
                    await making.tried.wait()

    async def _keep_house(self) -> None:
        async with self.database.begin() as connection:
            await access_sessions.delete_ended(connection, self.lifetimes.idle)
            await access_tokens.delete_expired(connection)
            await access_logins.forget_old(connection)


class _FirstAdmin:
    """Makes the first admin as soon as the database is there; there is no harm in several replicas trying."""

    def __init__(self, database: Database, passwords: Passwords, password_file: Path) -> None:
        self._database = database
        self._passwords = passwords
        self._password_file = password_file
        self.tried = asyncio.Event()

    async def run(self) -> None:
        """Try until there is a user. What is wrong with the file or the password is logged, and the door stays open."""
        while True:
            try:
                password = read_private(self._password_file)
                if await users_module.make_first_admin(self._database, self._passwords, password):
                    log.info("first_admin_made", user=users_module.FIRST_ADMIN)
            except Unavailable as error:
                log.info("first_admin_waits", reason=error.reason)
            except MyxError as error:
                log.error("first_admin_not_made", reason=error.reason, why=error.message)
                return
            else:
                return
            finally:
                self.tried.set()
            await asyncio.sleep(_FIRST_ADMIN_S)


def open_doorkeeper(
    settings: GatewaySettings, database: Database, clients: Clients, stack: AsyncExitStack
) -> Doorkeeper:
    """Everything of access; what is opened is closed by `stack`. FailedPrecondition for a token that is unusable."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
    stack.callback(pool.shutdown, wait=False, cancel_futures=True)
    passwords = Passwords(pool)
    cookies, origins = Cookies(settings.secure), Origins(settings.public_url, parse_names(settings.host_names))
    lifetimes = Lifetimes(timedelta(seconds=settings.session_idle_s), timedelta(seconds=settings.session_max_s))
    root = TokenCheck.from_file(settings.admin_token_file)
    identities = Identities(database, root, cookies, origins, lifetimes.idle)
    selectors = SelectorCheck(clients)
    addresses = ClientAddresses(parse_networks(settings.trusted_proxies))
    return Doorkeeper(
        database=database,
        passwords=passwords,
        identities=identities,
        sessions=Sessions(database, passwords, identities, lifetimes),
        users=Users(database, passwords, identities, selectors),
        tokens=Tokens(database, identities, selectors),
        cookies=cookies,
        gate=Gate(identities, origins, addresses, settings.secure),
        lifetimes=lifetimes,
    )
