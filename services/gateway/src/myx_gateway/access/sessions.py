"""Browser sessions: begun by a password, ended by their owner, by an administrator or by time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from myx_gateway.access import throttle
from myx_gateway.access.addresses import neighbourhood
from myx_gateway.access.belongings import check_logged_in, check_manages, check_sees, is_admin
from myx_gateway.access.crowd import Crowd
from myx_gateway.access.identities import Identities, session_principal
from myx_gateway.access.names import id_in, is_name
from myx_gateway.access.passwords import MAX_LENGTH, Passwords, check_new_password
from myx_gateway.access.principal import Principal
from myx_gateway.access.secrets import digest, new_secret
from myx_gateway.access.users import find
from myx_gateway.store import access_logins, access_users
from myx_gateway.store import access_sessions as store
from myx_gateway.store.access_records import Kind, Session, User
from myx_gateway.store.database import Database
from myx_kit.errors import FailedPrecondition, InvalidArgument, NotFound, Unauthenticated
from myx_kit.ids import new_id

# Of one user; the ones that were not used for the longest time make room.
_MOST: Final = 50
_USER_AGENT: Final = 300


@dataclass(frozen=True)
class Login:
    """What a browser sends to log somebody in. `old_secrets`: of sessions that it has already."""

    name: str
    password: str
    address: str
    user_agent: str
    device: str
    old_secrets: Sequence[bytes]


@dataclass(frozen=True)
class LoggedIn:
    """A new session with the secrets that only the browser keeps."""

    session: Session
    user: User
    principal: Principal
    secret: str
    device: str


@dataclass(frozen=True)
class Lifetimes:
    """How long a session lasts without use, and at most."""

    idle: timedelta
    longest: timedelta


class Sessions:
    """The use cases of /session and /sessions."""

    def __init__(self, database: Database, passwords: Passwords, identities: Identities, lifetimes: Lifetimes) -> None:
        self._database = database
        self._passwords = passwords
        self._identities = identities
        self._lifetimes = lifetimes
        self._crowd = Crowd()

    async def log_in(self, login: Login, known: Callable[[User], None]) -> LoggedIn:
        """A new session; what the browser had before ends. `known` is called when there is a user of this name.

        Unauthenticated `LOGIN_FAILED` for a wrong password, an unknown or a disabled user alike, and after the same
        time. ResourceExhausted `LOGIN_THROTTLED` (field `retry_after_s`), `LOGIN_BUSY`.
        """
        name = login.name.strip().lower()
        async with self._crowd.turn(neighbourhood(login.address)), self._database.begin() as connection:
            # A query for a name that nobody can have too: it must take the same time.
            found = await access_users.find_with_password(connection, name if is_name(name) else "-")
            user = None if found is None else found[0]
            if user is not None:
                known(user)
            attempt = await throttle.begin(connection, user, name[:255], login.address, login.device)
        password_hash = None if found is None else found[1]
        right = await self._passwords.matches(password_hash, login.password[: MAX_LENGTH + 1], known=attempt.known)
        if not right or user is None or password_hash is None or user.disabled or user.kind is not Kind.PERSON:
            raise Unauthenticated("LOGIN_FAILED", "name or password is wrong")
        outdated = self._passwords.is_outdated(password_hash)
        new_hash = await self._passwords.hash(login.password) if outdated else None
        return await self._begin(user, password_hash, new_hash, login, attempt)

    async def current(self, principal: Principal) -> tuple[Session | None, User | None]:
        """The session and the user behind a principal, as far as there are any."""
        if not principal.user_id:
            return None, None
        async with self._database.begin() as connection:
            user = await find(connection, principal.user_id)
            if not principal.session_id:
                return None, user
            found = await store.find_session(connection, UUID(principal.session_id), self._lifetimes.idle)
        return (found[0] if found else None), user

    async def log_out(self, principal: Principal) -> None:
        """End the session that asks. PermissionDenied `SESSION_NEEDED`."""
        check_logged_in(principal)
        await self._end(UUID(principal.session_id))

    async def end(self, session_id: str, principal: Principal) -> None:
        """End a session, of oneself or, as an administrator, of anybody. NotFound `SESSION_NOT_FOUND`."""
        id_ = id_in(session_id)
        async with self._database.begin() as connection:
            found = None if id_ is None else await store.find_session(connection, id_, self._lifetimes.idle)
        if id_ is None or found is None or not _may_see(principal, found[0].user_id):
            raise NotFound("SESSION_NOT_FOUND", "there is no such session", session=session_id[:100])
        check_manages(principal, found[0].user_id)
        await self._end(id_)

    async def page(self, of: UUID | None, principal: Principal, before: UUID | None, limit: int) -> Sequence[Session]:
        """Up to `limit` sessions of a user or (None) of all, the newest first. PermissionDenied `FORBIDDEN`."""
        check_sees(principal, of)
        async with self._database.begin() as connection:
            return await store.list_sessions(connection, of, self._lifetimes.idle, before=before, limit=limit)

    async def change_password(self, principal: Principal, old: str, new: str, address: str) -> None:
        """Change one's own password; all other sessions end. InvalidArgument `PASSWORD_WRONG`, `PASSWORD_WEAK`."""
        check_logged_in(principal)
        user_id = UUID(principal.user_id)
        check_new_password(new, principal.name.partition(":")[2])
        async with self._database.begin() as connection:
            found = await access_users.find_with_password(connection, user_id)
            if found is None:
                raise Unauthenticated("SESSION_ENDED", "your session has ended; log in again")
            # Whoever has come by a session must not be able to try passwords with it.
            attempt = await throttle.begin(connection, None, f"session {principal.session_id}", address, "")
        user, password_hash = found
        if not await self._passwords.matches(password_hash, old, known=True):
            raise InvalidArgument("PASSWORD_WRONG", "is not your password", field="old_password")
        if new == old:
            raise InvalidArgument("PASSWORD_WEAK", "must be another one than before", field="new_password")
        new_hash = await self._passwords.hash(new)
        async with self._database.begin() as connection:
            changed = await access_users.set_password_hash(
                connection, user_id, new_hash, instead_of=password_hash or ""
            )
            if not changed:
                raise FailedPrecondition("PASSWORD_CHANGED", "your password was changed meanwhile; log in again")
            await store.delete_sessions_of(connection, user_id, but=UUID(principal.session_id))
            await access_logins.forget_places(connection, user_id)
            await throttle.succeeded(connection, attempt, user, "")
        self._identities.forget(lambda known: known.user_id == principal.user_id)

    async def _begin(
        self, user: User, password_hash: str, new_hash: str | None, login: Login, attempt: throttle.Attempt
    ) -> LoggedIn:
        secret, session_id = new_secret(), new_id()
        # One that was not given to this user may be known to whoever planted it.
        device = login.device if attempt.is_known_device else new_secret()
        async with self._database.begin() as connection:
            # Between the two transactions somebody may have disabled the user or set another password.
            now = await access_users.find_user(connection, user.id, lock=True)
            same = await access_users.set_password_hash(
                connection, user.id, new_hash or password_hash, instead_of=password_hash
            )
            if now is None or now.disabled or not same:
                raise Unauthenticated("LOGIN_FAILED", "name or password is wrong")
            ended = {str(await store.delete_session(connection, digest(old))) for old in login.old_secrets}
            await store.insert_session(
                connection,
                session_id=session_id,
                user_id=user.id,
                secret_sha256=digest(secret),
                address=login.address,
                user_agent="".join(sign for sign in login.user_agent[:_USER_AGENT] if sign.isprintable()),
                lasts=self._lifetimes.longest,
            )
            await store.delete_oldest(connection, user.id, keep=_MOST)
            await access_users.note_login(connection, user.id)
            await throttle.succeeded(connection, attempt, user, device)
            made = await store.find_session(connection, session_id, self._lifetimes.idle)
        self._identities.forget(lambda known: known.session_id in ended)
        if made is None:
            raise Unauthenticated("SESSION_ENDED", "your session has ended; log in again")
        session, user = made
        return LoggedIn(session, user, session_principal(session, user), secret, device)

    async def _end(self, session_id: UUID) -> None:
        async with self._database.begin() as connection:
            await store.delete_session(connection, session_id)
        self._identities.forget(lambda principal: principal.session_id == str(session_id))


def _may_see(principal: Principal, user_id: UUID) -> bool:
    return principal.user_id == str(user_id) or is_admin(principal)
