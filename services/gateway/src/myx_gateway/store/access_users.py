"""Statements on users. All run in the caller's transaction; who was deleted is not seen by any of them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_gateway.models.access import account
from myx_gateway.store.access_records import GrantRow, Kind, User

# Who changes who may administrate waits for those who are at it: two must not demote each other.
_ADMINS_LOCK = 0x6D79_785F_6164_6D6E

USER_COLUMNS = (
    account.c.id,
    account.c.name,
    account.c.display_name,
    account.c.kind,
    account.c.grants,
    account.c.disabled,
    account.c.revision,
    account.c.created_at,
    account.c.last_login_at,
)
ALIVE = account.c.deleted_at.is_(None)


async def lock_admins(connection: AsyncConnection) -> None:
    """Be the only one who changes users until the transaction ends."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADMINS_LOCK)))


async def is_empty(connection: AsyncConnection) -> bool:
    """Whether there was never a user."""
    return await connection.scalar(sa.select(account.c.id).limit(1)) is None


async def insert_user(
    connection: AsyncConnection,
    new: User,
    password_hash: str | None,
    *,
    request_id: str | None = None,
    request_digest: bytes | None = None,
) -> bool:
    """False when this name was given before or the request was done before; visible to the next statement then."""
    statement = (
        insert(account)
        .values(
            id=new.id,
            name=new.name,
            display_name=new.display_name,
            kind=new.kind.value,
            grants=_grants_of(new),
            disabled=new.disabled,
            revision=new.revision,
            password_hash=password_hash,
            request_id=request_id,
            request_digest=request_digest,
            created_at=new.created_at,
            updated_at=new.created_at,
        )
        .on_conflict_do_nothing()
        .returning(account.c.id)
    )
    return (await connection.execute(statement)).first() is not None


async def find_request(connection: AsyncConnection, request_id: str) -> tuple[User, bytes] | None:
    """The user that a request made, and the digest of what it said."""
    query = sa.select(*USER_COLUMNS, account.c.request_digest).where(account.c.request_id == request_id, ALIVE)
    row = (await connection.execute(query)).first()
    return None if row is None else (user_of(row[:-1]), row[-1])


async def find_user(connection: AsyncConnection, condition: UUID | str, *, lock: bool = False) -> User | None:
    """By id or by name."""
    query = sa.select(*USER_COLUMNS).where(_is(condition), ALIVE)
    row = (await connection.execute(query.with_for_update() if lock else query)).first()
    return None if row is None else user_of(row)


async def find_with_password(connection: AsyncConnection, condition: UUID | str) -> tuple[User, str | None] | None:
    """A user and the hash of the password, by id or by name."""
    query = sa.select(*USER_COLUMNS, account.c.password_hash).where(_is(condition), ALIVE)
    row = (await connection.execute(query)).first()
    return None if row is None else (user_of(row[:-1]), row[-1])


async def list_users(connection: AsyncConnection, *, after_name: str, limit: int) -> list[User]:
    """Up to `limit` users after a name, by name."""
    query = sa.select(*USER_COLUMNS).where(account.c.name > after_name, ALIVE).order_by(account.c.name).limit(limit)
    return [user_of(row) for row in (await connection.execute(query)).all()]


async def update_user(connection: AsyncConnection, changed: User) -> bool:
    """Store a user that was read at the revision before; False when somebody else was faster."""
    statement = (
        sa.update(account)
        .where(account.c.id == changed.id, account.c.revision == changed.revision - 1, ALIVE)
        .values(
            display_name=changed.display_name,
            grants=_grants_of(changed),
            disabled=changed.disabled,
            revision=changed.revision,
            updated_at=sa.func.now(),
        )
    )
    return (await connection.execute(statement)).rowcount == 1


async def set_password_hash(
    connection: AsyncConnection, user_id: UUID, password_hash: str, *, instead_of: str = ""
) -> bool:
    """False when the user is gone or, with `instead_of`, when the hash is another one by now."""
    statement = sa.update(account).where(account.c.id == user_id, ALIVE)
    if instead_of:
        statement = statement.where(account.c.password_hash == instead_of)
    return (await connection.execute(statement.values(password_hash=password_hash))).rowcount == 1


async def note_login(connection: AsyncConnection, user_id: UUID) -> None:
    """Note that the user logged in now."""
    await connection.execute(sa.update(account).where(account.c.id == user_id).values(last_login_at=sa.func.now()))


async def delete_user(connection: AsyncConnection, user_id: UUID) -> bool:
    """Keep nothing but the name, so that nobody else gets it."""
    statement = (
        sa.update(account)
        .where(account.c.id == user_id, ALIVE)
        .values(
            deleted_at=sa.func.now(), disabled=True, display_name="", password_hash=None, grants=[], request_id=None
        )
    )
    return (await connection.execute(statement)).rowcount == 1


async def other_full_admins(connection: AsyncConnection, user_id: UUID) -> bool:
    """Whether somebody else who can log in is admin of everything."""
    query = sa.select(account.c.id).where(
        account.c.id != user_id,
        account.c.kind == Kind.PERSON.value,
        ~account.c.disabled,
        account.c.grants.contains([{"role": "admin", "selector": "all"}]),
        ALIVE,
    )
    return await connection.scalar(query.limit(1)) is not None


def user_of(row: Sequence[Any]) -> User:
    """From USER_COLUMNS."""
    id_, name, display_name, kind, grants, disabled, revision, created_at, last_login_at = row
    held: tuple[GrantRow, ...] = tuple((grant["role"], grant["selector"]) for grant in grants)
    return User(id_, name, display_name, Kind(kind), held, disabled, revision, created_at, last_login_at)


def _grants_of(user: User) -> list[dict[str, str]]:
    return [{"role": role, "selector": selector} for role, selector in user.grants]


def _is(condition: UUID | str) -> sa.ColumnElement[bool]:
    return account.c.id == condition if isinstance(condition, UUID) else account.c.name == condition
