"""API tokens: keys of programs, never more than their user may do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from myx_gateway.access.belongings import check_manages, check_sees, is_admin
from myx_gateway.access.identities import Identities
from myx_gateway.access.names import id_in
from myx_gateway.access.principal import Principal
from myx_gateway.access.rights import Grant
from myx_gateway.access.secrets import digest, new_secret, token_text
from myx_gateway.access.selectors import SelectorCheck
from myx_gateway.access.users import find
from myx_gateway.store import access_tokens as store
from myx_gateway.store.access_records import Connection, Kind, Token, User
from myx_gateway.store.database import Database
from myx_kit.errors import AlreadyExists, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted
from myx_kit.ids import new_id

# Of one user: enough for any number of programs that somebody can oversee.
_MOST: Final = 200


@dataclass(frozen=True)
class NewToken:
    """A token to be. `user`: whose, by id or name; empty: of who asks. `lasts` None: until it is deleted."""

    name: str
    user: str
    cap: Grant
    lasts: timedelta | None


class Tokens:
    """The use cases of /tokens."""

    def __init__(self, database: Database, identities: Identities, selectors: SelectorCheck) -> None:
        self._database = database
        self._identities = identities
        self._selectors = selectors

    async def create(self, new: NewToken, principal: Principal, request_id: str) -> tuple[Token, str]:
        """A new token and its text, which is shown this once.

        The same request again, because its answer was lost, gives the token another text as long as it was not used.
        AlreadyExists `TOKEN_EXISTS`; InvalidArgument; PermissionDenied `FORBIDDEN`, `SESSION_NEEDED`.
        """
        await self._selectors.check([new.cap], "selector")
        token_id, secret = new_id(), new_secret()
        async with self._database.begin() as connection:
            user = await self._owner(connection, new.user, principal)
            if new.lasts is None and user.kind is not Kind.PROGRAM:
                text = "only a program may have a token that lasts for ever"
                raise InvalidArgument("REQUEST_INVALID", text, field="expires_in_s")
            before = await store.find_request(connection, request_id)
            if before is not None:
                return await self._again(connection, user, new, before, secret)
            if await store.count_tokens(connection, user.id) >= _MOST:
                raise ResourceExhausted("TOO_MANY_TOKENS", f"{user.name} has {_MOST} tokens: delete some first")
            made = await store.insert_token(
                connection,
                token_id=token_id,
                user_id=user.id,
                name=new.name,
                secret_sha256=digest(token_text(token_id, secret)),
                role=new.cap.role.name.lower(),
                selector=new.cap.selector,
                created_by=principal.name,
                request_id=request_id,
                lasts=new.lasts,
            )
            if not made:
                before = await store.find_request(connection, request_id)
                if before is None:
                    raise _taken(user)
                return await self._again(connection, user, new, before, secret)
            token = await store.find_token(connection, token_id)
        if token is None:
            raise NotFound("TOKEN_NOT_FOUND", "there is no such token")
        return token, token_text(token_id, secret)

    async def page(self, of: UUID | None, principal: Principal, before: UUID | None, limit: int) -> Sequence[Token]:
        """Up to `limit` tokens of a user or (None) of all, the newest first. PermissionDenied `FORBIDDEN`."""
        check_sees(principal, of)
        async with self._database.begin() as connection:
            return await store.list_tokens(connection, of, before=before, limit=limit)

    async def delete(self, token_id: str, principal: Principal) -> None:
        """Delete a token, of oneself or, as an administrator, of anybody; also the one that asks.

        NotFound `TOKEN_NOT_FOUND`.
        """
        id_ = id_in(token_id)
        async with self._database.begin() as connection:
            token = None if id_ is None else await store.find_token(connection, id_)
            if id_ is None or token is None or not _is_seen(principal, token):
                raise NotFound("TOKEN_NOT_FOUND", "there is no such token", token_id=token_id[:100])
            if principal.token_id != str(id_):
                check_manages(principal, token.user_id)
            await store.delete_token(connection, id_)
        self._identities.forget(lambda known: known.token_id == str(id_))

    async def _owner(self, connection: Connection, name: str, principal: Principal) -> User:
        if not name and not principal.user_id:
            raise InvalidArgument("REQUEST_INVALID", "say whose token it is to be", field="user")
        if name and not is_admin(principal) and name not in {principal.user_id, principal.name.partition(":")[2]}:
            raise PermissionDenied("FORBIDDEN", "a token of somebody else needs the role admin on all", role="admin")
        user = await find(connection, name or principal.user_id)
        check_manages(principal, user.id)
        return user

    async def _again(
        self, connection: Connection, user: User, new: NewToken, before: Token, secret: str
    ) -> tuple[Token, str]:
        lasts = None if before.expires_at is None else before.expires_at - before.created_at
        if (before.user_id, before.name, before.role, before.selector, lasts) != (
            user.id,
            new.name,
            new.cap.role.name.lower(),
            new.cap.selector,
            new.lasts,
        ):
            raise InvalidArgument("REQUEST_ID_REUSED", "this key was used for another token", field="request_id")
        text = token_text(before.id, secret)
        if not await store.renew_unused(connection, before.id, digest(text)):
            raise _taken(user)
        return before, text


def _taken(user: User) -> AlreadyExists:
    return AlreadyExists("TOKEN_EXISTS", f"{user.name} has a token of this name, or had this one", field="name")


def _is_seen(principal: Principal, token: Token) -> bool:
    return principal.user_id == str(token.user_id) or is_admin(principal)
