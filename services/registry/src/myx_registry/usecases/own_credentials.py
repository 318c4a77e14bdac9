"""The credential that belongs to one server alone."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from myx_kit.ids import new_id
from myx_registry.domain.credentials import Credential, CredentialSecret
from myx_registry.store import credentials
from myx_registry.store.database import Connection
from myx_registry.usecases.private_keys import PrivateKeys
from myx_registry.usecases.vault import Vault


@dataclass(frozen=True, slots=True)
class CheckedSecret:
    """A secret whose key could be read; `fingerprint` is empty for a password."""

    secret: CredentialSecret
    fingerprint: str


class OwnCredentials:
    """Kept beside a server that the caller has locked or just made."""

    def __init__(self, vault: Vault, keys: PrivateKeys) -> None:
        self._vault = vault
        self._keys = keys

    async def check(self, secret: CredentialSecret, where: str) -> CheckedSecret:
        """What can be stored. It takes its time: not within a transaction. InvalidArgument `CREDENTIAL_INVALID`."""
        return CheckedSecret(secret, await self._keys.fingerprint(secret, where))

    async def put(self, connection: Connection, server_id: UUID, checked: CheckedSecret, now: datetime) -> bool:
        """Gives a server this credential in place of any other; False when it has it already."""
        found = await credentials.find_own_sealed(connection, server_id)
        if found is None:
            made = new_credential("", server_id, checked, now)
            return await credentials.insert_credential(
                connection, made, self._vault.seal_credential(made.id, checked.secret)
            )
        known, sealed = found
        if self._vault.open_credential(known.id, known.login, sealed) == checked.secret:
            return False
        changed = replace(
            known.holding(checked.secret, checked.fingerprint), revision=known.revision + 1, updated_at=now
        )
        return await credentials.update_credential(
            connection, changed, self._vault.seal_credential(known.id, checked.secret)
        )

    async def remove(self, connection: Connection, server_id: UUID) -> bool:
        """Takes a server's own credential away; False when it has none."""
        return await credentials.delete_own(connection, server_id)


def new_credential(name: str, server_id: UUID | None, checked: CheckedSecret, now: datetime) -> Credential:
    """A credential that is to be stored: of this name, or of this server alone."""
    secret = checked.secret
    return Credential(
        id=new_id(),
        name=name,
        server_id=server_id,
        type=secret.type,
        login=secret.login,
        has_passphrase=bool(secret.passphrase),
        has_sudo_password=bool(secret.sudo_password),
        public_key_fingerprint=checked.fingerprint,
        revision=1,
        created_at=now,
        updated_at=now,
    )
