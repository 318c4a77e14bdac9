"""Users: made, changed and removed by administrators."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from myx_gateway.access.grants import is_full_admin, is_narrower, rows_of
from myx_gateway.access.identities import Identities
from myx_gateway.access.names import check_name, reference
from myx_gateway.access.passwords import Passwords, check_new_password
from myx_gateway.access.principal import Principal
from myx_gateway.access.rights import Grant
from myx_gateway.access.selectors import SelectorCheck
from myx_gateway.store import access_logins, access_sessions, access_tokens
from myx_gateway.store import access_users as store
from myx_gateway.store.access_records import Connection, Kind, User
from myx_gateway.store.database import Database
from myx_kit.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from myx_kit.ids import new_id

FIRST_ADMIN: Final = "admin"


@dataclass(frozen=True)
class NewUser:
    """A user to be; a person has a password, a program has none."""

    name: str
    kind: Kind
    display_name: str
    grants: tuple[Grant, ...]
    password: str | None


@dataclass(frozen=True)
class UserChanges:
    """What is to be changed; None stays."""

    display_name: str | None = None
    grants: tuple[Grant, ...] | None = None
    disabled: bool | None = None
    password: str | None = None


class Users:
    """The use cases of /users."""

    def __init__(
        self, database: Database, passwords: Passwords, identities: Identities, selectors: SelectorCheck
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._identities = identities
        self._selectors = selectors

    async def create(self, new: NewUser, request_id: str) -> User:
        """A new user; the same one for the same request. AlreadyExists `USER_EXISTS`, InvalidArgument."""
        check_name(new.name)
        _check_password_of(new)
        await self._selectors.check(new.grants, "grants")
        password_hash = None if new.password is None else await self._passwords.hash(new.password)
        user = User(
            id=new_id(),
            name=new.name,
            display_name=new.display_name,
            kind=new.kind,
            grants=rows_of(new.grants),
            disabled=False,
            revision=1,
            created_at=datetime.now(UTC),
            last_login_at=None,
        )
        said = _digest(user)
        async with self._database.begin() as connection:
            if await store.insert_user(connection, user, password_hash, request_id=request_id, request_digest=said):
                return user
            return await _made_before(connection, user, request_id, said)

    async def get(self, name: str) -> User:
        """By id or name. NotFound `USER_NOT_FOUND`."""
        async with self._database.begin() as connection:
            return await find(connection, name)

    async def page(self, after_name: str, limit: int) -> Sequence[User]:
        """Up to `limit` users after a name, by name."""
        async with self._database.begin() as connection:
            return await store.list_users(connection, after_name=after_name, limit=limit)

    async def update(self, name: str, changes: UserChanges, etag: str, by: Principal) -> User:
        """Change a user; what narrows what the user may do ends the sessions, a new password all but the one it came
        by. Aborted `ETAG_MISMATCH`, FailedPrecondition `LAST_ADMIN`."""
        if changes.grants is not None:
            await self._selectors.check(changes.grants, "grants")
        password_hash = None
        if changes.password is not None:
            check_new_password(changes.password, (await self.get(name)).name)
            password_hash = await self._passwords.hash(changes.password)
        async with self._database.begin() as connection:
            await store.lock_admins(connection)
            before = await find(connection, name, lock=True)
            _check_etag(before, etag)
            after = _changed(before, changes)
            if not is_full_admin(after):
                await _check_not_last(connection, before)
            await store.update_user(connection, after)
            await self._set_password(connection, after, password_hash)
            if password_hash is not None or is_narrower(before, after):
                own = UUID(by.session_id) if by.session_id and by.user_id == str(after.id) else None
                kept = None if is_narrower(before, after) else own
                await access_sessions.delete_sessions_of(connection, after.id, but=kept)
        self._forget(after)
        return after

    async def delete(self, name: str, etag: str) -> None:
        """Remove a user with all sessions and tokens; the name is not given again. FailedPrecondition `LAST_ADMIN`."""
        async with self._database.begin() as connection:
            await store.lock_admins(connection)
            user = await find(connection, name, lock=True)
            _check_etag(user, etag)
            await _check_not_last(connection, user)
            await store.delete_user(connection, user.id)
            await access_sessions.delete_sessions_of(connection, user.id)
            await access_tokens.delete_tokens_of(connection, user.id)
            await access_logins.forget_places(connection, user.id)
        self._forget(user)

    async def _set_password(self, connection: Connection, user: User, password_hash: str | None) -> None:
        if password_hash is None:
            return
        if user.kind is not Kind.PERSON:
            raise FailedPrecondition("PROGRAM_HAS_NO_PASSWORD", "a program has tokens, no password")
        await store.set_password_hash(connection, user.id, password_hash)
        await access_logins.forget_places(connection, user.id)

    def _forget(self, user: User) -> None:
        self._identities.forget(lambda principal: principal.user_id == str(user.id))


async def find(connection: Connection, name: str, *, lock: bool = False) -> User:
    """A user by id or name; NotFound `USER_NOT_FOUND`."""
    named = reference(name)
    user = None if named is None else await store.find_user(connection, named, lock=lock)
    if user is None:
        raise NotFound("USER_NOT_FOUND", "there is no such user", user=name[:100])
    return user


async def make_first_admin(database: Database, passwords: Passwords, password: str) -> bool:
    """Make the user `admin` if there was never a user; False when there was. InvalidArgument `PASSWORD_WEAK`."""
    async with database.begin() as connection:
        if not await store.is_empty(connection):
            return False
    check_new_password(password, FIRST_ADMIN)
    password_hash = await passwords.hash(password)
    admin = User(
        id=new_id(),
        name=FIRST_ADMIN,
        display_name="",
        kind=Kind.PERSON,
        grants=(("admin", "all"),),
        disabled=False,
        revision=1,
        created_at=datetime.now(UTC),
        last_login_at=None,
    )
    async with database.begin() as connection:
        await store.lock_admins(connection)
        return await store.is_empty(connection) and await store.insert_user(connection, admin, password_hash)


async def recover(database: Database, passwords: Passwords, name: str, password: str) -> User:
    """A new password for somebody who lost it: enabled again, all sessions ended. NotFound, InvalidArgument."""
    async with database.begin() as connection:
        user = await find(connection, name)
    check_new_password(password, user.name)
    if user.kind is not Kind.PERSON:
        raise FailedPrecondition("PROGRAM_HAS_NO_PASSWORD", "a program has tokens, no password")
    password_hash = await passwords.hash(password)
    async with database.begin() as connection:
        await store.lock_admins(connection)
        user = await find(connection, name, lock=True)
        await store.update_user(connection, replace(user, disabled=False, revision=user.revision + 1))
        await store.set_password_hash(connection, user.id, password_hash)
        await access_sessions.delete_sessions_of(connection, user.id)
        await access_logins.forget_places(connection, user.id)
    return user


def _check_password_of(new: NewUser) -> None:
    if new.kind is Kind.PROGRAM and new.password is not None:
        raise InvalidArgument("REQUEST_INVALID", "a program has tokens, no password", field="password")
    if new.kind is Kind.PERSON:
        if new.password is None:
            raise InvalidArgument("REQUEST_INVALID", "is required for a person", field="password")
        check_new_password(new.password, new.name)


def _changed(before: User, changes: UserChanges) -> User:
    return replace(
        before,
        display_name=before.display_name if changes.display_name is None else changes.display_name,
        grants=before.grants if changes.grants is None else rows_of(changes.grants),
        disabled=before.disabled if changes.disabled is None else changes.disabled,
        revision=before.revision + 1,
    )


def _check_etag(user: User, etag: str) -> None:
    if etag and etag != user.etag:
        raise Aborted("ETAG_MISMATCH", "somebody else has changed the user meanwhile", field="etag")


async def _check_not_last(connection: Connection, user: User) -> None:
    if is_full_admin(user) and not await store.other_full_admins(connection, user.id):
        text = "this is the last person who may administrate everything: make another one first"
        raise FailedPrecondition("LAST_ADMIN", text)


async def _made_before(connection: Connection, user: User, request_id: str, said: bytes) -> User:
    made = await store.find_request(connection, request_id)
    if made is None:
        raise AlreadyExists("USER_EXISTS", "there is, or was, a user of this name", field="name")
    if made[1] != said:
        raise InvalidArgument("REQUEST_ID_REUSED", "this key was used for another user", field="request_id")
    return made[0]


def _digest(user: User) -> bytes:
    """Of all that was said but the password: a fast digest of it must not be kept."""
    said = json.dumps([user.name, user.display_name, user.kind.value, user.grants])
    return hashlib.sha256(said.encode()).digest()
