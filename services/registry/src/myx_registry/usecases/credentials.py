"""Named credentials: add, read, change, remove. What is secret in them goes in and never comes out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import Aborted, AlreadyExists, FailedPrecondition
from myx_kit.pagination import clamp
from myx_registry.domain.credentials import Credential, CredentialSecret
from myx_registry.store import credentials
from myx_registry.store.database import Connection
from myx_registry.usecases.own_credentials import CheckedSecret, OwnCredentials, new_credential
from myx_registry.usecases.pages import Page, cursor
from myx_registry.usecases.references import credential_not_found, request_id_reused
from myx_registry.usecases.vault import Vault

_KIND = "credentials"
_TABLE = "credential"
_SECRET = "secret"  # noqa: S105 - the field's name
_NAMED_USERS = 5


@dataclass(frozen=True, slots=True)
class CredentialChange:
    """Fields to change; None leaves a field as it is."""

    name: str | None = None
    secret: CredentialSecret | None = None


class Credentials:
    """The use cases on named credentials; each is named by id or name."""

    def __init__(self, uow: UnitOfWork, vault: Vault, own: OwnCredentials, now: Callable[[], datetime]) -> None:
        self._uow = uow
        self._vault = vault
        self._own = own
        self._now = now

    async def create(self, name: str, secret: CredentialSecret, request_id: str | None) -> Credential:
        """The new credential, or the one that the same request created before, as it is now.

        Raises AlreadyExists `CREDENTIAL_NAME_TAKEN`, Aborted `REQUEST_ID_REUSED`, InvalidArgument `CREDENTIAL_INVALID`.
        """
        checked = await self._own.check(secret, _SECRET)
        made = new_credential(name, None, checked, self._now())
        digest = secret.digest(name)
        sealed = self._vault.seal_credential(made.id, secret)
        sealed_digest = None if request_id is None else self._vault.seal_digest(_TABLE, made.id, digest)
        async with self._uow.begin() as connection:
            if await credentials.insert_credential(
                connection, made, sealed, request_id=request_id, sealed_request_digest=sealed_digest
            ):
                return made
            earlier = None if request_id is None else await credentials.find_request(connection, request_id)
            if earlier is None:
                raise _name_taken(name)
            if self._vault.open_digest(_TABLE, earlier[0], earlier[1]) != digest:
                raise request_id_reused("credential")
            return await _view(connection, str(earlier[0]))

    async def get(self, reference: str) -> Credential:
        """A credential. Raises NotFound `CREDENTIAL_NOT_FOUND`."""
        async with self._uow.begin() as connection:
            return await _view(connection, reference)

    async def list(self, page_size: int, page_token: str) -> Page[Credential]:
        """A page of all named credentials, by name. Raises InvalidArgument `PAGE_TOKEN_INVALID`."""
        after = cursor(page_token, _KIND)
        limit = clamp(page_size, 100, 1000)
        async with self._uow.begin() as connection:
            found = await credentials.list_views(connection, after_name=after, limit=limit + 1)
        items = found[:limit]
        return Page(_KIND, items, [item.name for item in items], more=len(found) > limit)

    async def update(self, reference: str, change: CredentialChange, etag: str) -> Credential:
        """The credential after the change; a change to the same values changes nothing. Empty etag: last writer wins.

        Raises NotFound `CREDENTIAL_NOT_FOUND`, Aborted `ETAG_MISMATCH`, AlreadyExists `CREDENTIAL_NAME_TAKEN`,
        InvalidArgument `CREDENTIAL_INVALID`.
        """
        checked = None if change.secret is None else await self._own.check(change.secret, _SECRET)
        async with self._uow.begin() as connection:
            before = await credentials.find_credential(connection, reference, lock=True)
            if before is None:
                raise credential_not_found(reference, "credential")
            _check_etag(before, etag)
            after = before if change.name is None else before.renamed(change.name)
            secret = await self._other_secret(connection, before, checked)
            if checked is not None and secret is not None:
                after = after.holding(secret, checked.fingerprint)
            if after != before or secret is not None:
                after = replace(after, revision=before.revision + 1, updated_at=self._now())
                sealed = None if secret is None else self._vault.seal_credential(before.id, secret)
                if not await credentials.update_credential(connection, after, sealed):
                    raise _name_taken(after.name)
            return await _view(connection, str(before.id))

    async def delete(self, reference: str, etag: str, *, force: bool) -> None:
        """Removes a credential; with `force` also one that servers use, which then have none. Empty etag: whatever it
        is now.

        Raises NotFound `CREDENTIAL_NOT_FOUND`, FailedPrecondition `CREDENTIAL_IN_USE`, Aborted `ETAG_MISMATCH`.
        """
        async with self._uow.begin() as connection:
            found = await credentials.find_credential(connection, reference, lock=True)
            if found is None:
                raise credential_not_found(reference, "credential")
            _check_etag(found, etag)
            users = await credentials.users_of(connection, found.id)
            if users and not force:
                raise _in_use(found, users)
            if users:
                await credentials.release_users(connection, found.id)
            await credentials.delete_credential(connection, found.id)

    async def _other_secret(
        self, connection: Connection, before: Credential, checked: CheckedSecret | None
    ) -> CredentialSecret | None:
        if checked is None:
            return None
        stored = await credentials.find_sealed(connection, before.id)
        if stored is None or self._vault.open_credential(before.id, before.login, stored[1]) == checked.secret:
            return None
        return checked.secret


async def _view(connection: Connection, reference: str) -> Credential:
    found = await credentials.find_view(connection, reference)
    if found is None:
        raise credential_not_found(reference, "credential")
    return found


def _name_taken(name: str) -> AlreadyExists:
    return AlreadyExists("CREDENTIAL_NAME_TAKEN", f"Another credential is named {name}.", field="name")


def _check_etag(credential: Credential, etag: str) -> None:
    if etag and etag != credential.etag:
        raise Aborted("ETAG_MISMATCH", "The credential was changed meanwhile; read it again.", field="etag")


def _in_use(credential: Credential, users: list[str]) -> FailedPrecondition:
    named = ", ".join(users[:_NAMED_USERS]) + (" and others" if len(users) > _NAMED_USERS else "")
    return FailedPrecondition(
        "CREDENTIAL_IN_USE",
        f"{credential.name} is used by {named}: give them another one first, or force it.",
        credential=credential.name,
        used_by=named,
    )
