"""Who sends a request, and whether that still holds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from starlette.types import Scope

from myx_gateway.access.cookies import Cookies
from myx_gateway.access.grants import rights_of
from myx_gateway.access.origins import Origins
from myx_gateway.access.principal import Principal
from myx_gateway.access.recent import Recent
from myx_gateway.access.secrets import csrf_token, digest, token_id_in
from myx_gateway.access.token import TokenCheck, bearer_in, not_valid
from myx_gateway.store import access_sessions, access_tokens, access_users
from myx_gateway.store.access_records import Session, Token, User
from myx_gateway.store.database import Database
from myx_kit.errors import Unauthenticated


@dataclass(frozen=True)
class Visitor:
    """Who sends a request; with a session, what its page must send back."""

    principal: Principal
    csrf_token: str = ""


class Identities:
    """Knows visitors by bearer token or session cookie; a look at the database every 2 s for each of them.

    What is revoked works no longer: at once in this process, within 5 s in others. While the database is away those
    seen in the last seconds are still known, and the token of the installation is always; all others get Unavailable,
    never Unauthenticated.
    """

    def __init__(
        self, database: Database, root: TokenCheck, cookies: Cookies, origins: Origins, idle: timedelta
    ) -> None:
        self._database = database
        self._root = root
        self._cookies = cookies
        self._origins = origins
        self._idle = idle
        self._by_secret = Recent[Principal]()
        self._by_id = Recent[Principal]()

    async def visitor(self, scope: Scope) -> Visitor:
        """Who sends this. Unauthenticated; PermissionDenied `CSRF_REFUSED`; Unavailable when it cannot be known now.

        A request with a bearer token is judged by it alone, whatever cookies come along.
        """
        bearer = bearer_in(scope["headers"])
        if bearer is not None:
            return Visitor(await self._by_bearer(bearer))
        secrets = self._cookies.session_in(scope["headers"])
        if not secrets:
            text = "log in, or send an API token as `Authorization: Bearer <token>`"
            raise Unauthenticated("UNAUTHENTICATED", text)
        if len(secrets) > 1:
            # Another host of the domain has set one: which one is ours cannot be told.
            raise Unauthenticated("SESSION_AMBIGUOUS", "there are two session cookies; delete this site's cookies")
        principal = await self._by_secret.get(b"s" + digest(secrets[0]), lambda: self._session(digest(secrets[0])))
        if principal is None:
            raise Unauthenticated("SESSION_ENDED", "your session has ended; log in again")
        proof = csrf_token(secrets[0])
        self._origins.check_session(scope, proof)
        return Visitor(principal, proof)

    async def renewed(self, principal: Principal) -> Principal:
        """The same visitor with the rights of now; Unauthenticated when session, token or user are gone or disabled,
        Unavailable when that cannot be known now.

        For streams that last. Cheap: a look at the database every 2 s for all streams of a visitor.
        """
        if principal.session_id:
            id_ = UUID(principal.session_id)
            now = await self._by_id.get(b"s" + id_.bytes, lambda: self._session(id_, touch=False))
        elif principal.token_id:
            id_ = UUID(principal.token_id)
            now = await self._by_id.get(b"t" + id_.bytes, lambda: self._token(id_, None))
        else:
            now = principal
        if now is None:
            raise Unauthenticated("SESSION_ENDED", "what you came with is not valid any more")
        return now

    async def standing(self, name: str) -> Principal | None:
        """A user by the name in records (`user:alice`), with the rights of now; None: unknown, gone or disabled."""
        if name == self._root.admin.name:
            return self._root.admin
        kind, _, user_name = name.partition(":")
        if kind != "user" or not user_name or "\0" in user_name:
            return None
        async with self._database.begin() as connection:
            user = await access_users.find_user(connection, user_name)
        return None if user is None or user.disabled else _principal(user)

    def forget(self, matches: Callable[[Principal], bool]) -> None:
        """Look again before the next use of what matches: it was revoked or changed here."""
        self._by_secret.drop(matches)
        self._by_id.drop(matches)

    async def _by_bearer(self, bearer: bytes) -> Principal:
        root = self._root.principal(bearer)
        if root is not None:
            return root
        token_id = token_id_in(bearer)
        if token_id is None:
            raise not_valid()
        principal = await self._by_secret.get(b"t" + digest(bearer), lambda: self._token(token_id, digest(bearer)))
        if principal is None:
            raise not_valid()
        return principal

    async def _session(self, condition: UUID | bytes, *, touch: bool = True) -> Principal | None:
        async with self._database.begin() as connection:
            found = await access_sessions.find_session(connection, condition, self._idle)
            if found is None:
                return None
            session, user = found
            if touch and not user.disabled:
                await access_sessions.touch(connection, session)
        return None if user.disabled else session_principal(session, user)

    async def _token(self, token_id: UUID, secret_sha256: bytes | None) -> Principal | None:
        """`secret_sha256`: of the whole text of the token; None when it was checked before."""
        async with self._database.begin() as connection:
            found = await access_tokens.find_opened(connection, token_id)
            if found is None:
                return None
            token, known_sha256, user = found
            # Digests of random secrets: what a comparison byte by byte tells about them is of no use.
            if user.disabled or secret_sha256 not in {None, known_sha256}:
                return None
            if secret_sha256 is not None:
                await access_tokens.touch(connection, token)
        return token_principal(token, user)


def session_principal(session: Session, user: User) -> Principal:
    """Somebody in a browser."""
    return replace(_principal(user), via="session", session_id=str(session.id))


def token_principal(token: Token, user: User) -> Principal:
    """A program with an API token of a user."""
    via = f"token:{token.name}"
    return replace(_principal(user), rights=rights_of(user, token), via=via, token_id=str(token.id))


def _principal(user: User) -> Principal:
    return Principal(user.principal, rights_of(user), user_id=str(user.id))
