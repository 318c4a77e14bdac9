"""Statements on credentials. All run in the caller's transaction."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_registry.domain.credentials import MAX_USED_BY, Credential, CredentialType
from myx_registry.domain.names import is_id, is_name
from myx_registry.models import credential, server

_COLUMNS = (
    credential.c.id,
    credential.c.name,
    credential.c.server_id,
    credential.c.type,
    credential.c.login,
    credential.c.has_passphrase,
    credential.c.has_sudo_password,
    credential.c.public_key_fingerprint,
    credential.c.revision,
    credential.c.created_at,
    credential.c.updated_at,
)


async def insert_credential(
    connection: AsyncConnection,
    new: Credential,
    sealed_secret: bytes,
    *,
    request_id: str | None = None,
    sealed_request_digest: bytes | None = None,
) -> bool:
    """False when one of this name or request id exists; it is visible to the next statement then."""
    result = await connection.execute(
        insert(credential)
        .values(
            id=new.id,
            server_id=new.server_id,
            request_id=request_id,
            sealed_request_digest=sealed_request_digest,
            created_at=new.created_at,
            sealed_secret=sealed_secret,
            **_changing_values(new),
        )
        .on_conflict_do_nothing()
        .returning(credential.c.id)
    )
    return result.first() is not None


async def find_request(connection: AsyncConnection, request_id: str) -> tuple[UUID, bytes] | None:
    """Credential id and sealed content digest of the request that created it."""
    query = sa.select(credential.c.id, credential.c.sealed_request_digest).where(credential.c.request_id == request_id)
    row = (await connection.execute(query)).first()
    return None if row is None else (row[0], row[1])


async def find_credential(connection: AsyncConnection, reference: str, *, lock: bool = False) -> Credential | None:
    """The named credential of an id or name, without its users. With `lock` nobody else changes or begins to use it."""
    query = sa.select(*_COLUMNS).where(_matches(reference))
    row = (await connection.execute(query.with_for_update() if lock else query)).first()
    return None if row is None else _credential_of(row)


async def keep_credential(connection: AsyncConnection, reference: str) -> UUID | None:
    """The id of a named credential that is not deleted until the transaction ends."""
    query = sa.select(credential.c.id).where(_matches(reference)).with_for_update(read=True, key_share=True)
    found: UUID | None = await connection.scalar(query)
    return found


async def find_view(connection: AsyncConnection, reference: str) -> Credential | None:
    """A named credential with its users, by id or name."""
    row = (await connection.execute(_views().where(_matches(reference)))).first()
    return None if row is None else _view_of(row)


async def list_views(connection: AsyncConnection, *, after_name: str, limit: int) -> list[Credential]:
    """Up to `limit` named credentials after a name, by name, with their users."""
    query = _views().where(credential.c.name > after_name).order_by(credential.c.name).limit(limit)
    return [_view_of(row) for row in (await connection.execute(query)).all()]


async def find_sealed(connection: AsyncConnection, credential_id: UUID) -> tuple[Credential, bytes] | None:
    """A credential, named or own, with its sealed secret."""
    return await _find_sealed(connection, credential.c.id == credential_id)


async def find_own_sealed(connection: AsyncConnection, server_id: UUID) -> tuple[Credential, bytes] | None:
    """A server's own credential with its sealed secret."""
    return await _find_sealed(connection, credential.c.server_id == server_id)


async def update_credential(connection: AsyncConnection, changed: Credential, sealed_secret: bytes | None) -> bool:
    """Stores a locked credential, its secret unless None; False when another one has its name."""
    values = _changing_values(changed) | ({} if sealed_secret is None else {"sealed_secret": sealed_secret})
    statement = (
        sa.update(credential)
        .where(credential.c.id == changed.id, credential.c.revision == changed.revision - 1)
        .values(**values)
    )
    try:
        async with connection.begin_nested():
            return (await connection.execute(statement)).rowcount == 1
    except IntegrityError:
        return False


async def release_users(connection: AsyncConnection, credential_id: UUID) -> list[UUID]:
    """Servers that used a credential and use none from now on; their revision grows."""
    statement = (
        sa.update(server)
        .where(server.c.ssh_credential_id == credential_id)
        .values(ssh_credential_id=None, revision=server.c.revision + 1, updated_at=sa.func.clock_timestamp())
        .returning(server.c.id)
    )
    return list((await connection.execute(statement)).scalars())


async def users_of(connection: AsyncConnection, credential_id: UUID) -> list[str]:
    """Names of up to MAX_USED_BY servers that use a credential."""
    query = (
        sa.select(server.c.name)
        .where(server.c.ssh_credential_id == credential_id)
        .order_by(server.c.name)
        .limit(MAX_USED_BY)
    )
    return list((await connection.execute(query)).scalars())


async def delete_credential(connection: AsyncConnection, credential_id: UUID) -> None:
    """Deletes a credential that nobody uses."""
    await connection.execute(sa.delete(credential).where(credential.c.id == credential_id))


async def delete_own(connection: AsyncConnection, server_id: UUID) -> bool:
    """Deletes a server's own credential; False when it has none."""
    return (await connection.execute(sa.delete(credential).where(credential.c.server_id == server_id))).rowcount == 1


async def _find_sealed(
    connection: AsyncConnection, condition: sa.ColumnElement[bool]
) -> tuple[Credential, bytes] | None:
    row = (await connection.execute(sa.select(*_COLUMNS, credential.c.sealed_secret).where(condition))).first()
    return None if row is None else (_credential_of(row[:-1]), row[-1])


def _matches(reference: str) -> sa.ColumnElement[bool]:
    if is_id(reference):
        return sa.and_(credential.c.id == UUID(reference), credential.c.name.is_not(None))
    return credential.c.name == reference if is_name(reference) else sa.false()


def _views() -> sa.Select[Any]:
    users = sa.select(server.c.name).where(server.c.ssh_credential_id == credential.c.id).correlate(credential)
    names = sa.func.array(users.order_by(server.c.name).limit(MAX_USED_BY).scalar_subquery(), type_=sa.ARRAY(sa.Text))
    count = sa.select(sa.func.count()).where(server.c.ssh_credential_id == credential.c.id).correlate(credential)
    return sa.select(*_COLUMNS, names, count.scalar_subquery()).where(credential.c.name.is_not(None))


def _view_of(row: Sequence[Any]) -> Credential:
    *columns, used_by, used_by_count = row
    return _credential_of(columns, used_by=tuple(used_by), used_by_count=used_by_count)


def _credential_of(row: Sequence[Any], **more: Any) -> Credential:
    credential_id, name, server_id, kind, login, has_passphrase, has_sudo_password, fingerprint, *rest = row
    revision, created_at, updated_at = rest
    return Credential(
        id=credential_id,
        name=name or "",
        server_id=server_id,
        type=CredentialType(kind),
        login=login,
        has_passphrase=has_passphrase,
        has_sudo_password=has_sudo_password,
        public_key_fingerprint=fingerprint,
        revision=revision,
        created_at=created_at,
        updated_at=updated_at,
        **more,
    )


def _changing_values(changed: Credential) -> dict[str, object]:
    return {
        "name": changed.name or None,
        "type": changed.type.value,
        "login": changed.login,
        "has_passphrase": changed.has_passphrase,
        "has_sudo_password": changed.has_sudo_password,
        "public_key_fingerprint": changed.public_key_fingerprint,
        "revision": changed.revision,
        "updated_at": changed.updated_at,
    }
