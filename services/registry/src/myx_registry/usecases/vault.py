"""Sealing and opening of secrets. Each envelope is bound to its table, column and row."""

import json
from uuid import UUID

from myx_kit.secretbox import SecretBox
from myx_registry.domain.agents import AgentEndpoint, AgentSecrets, NextIdentity
from myx_registry.domain.credentials import CredentialSecret
from myx_registry.store.agents import SealedEndpoint, SealedSecrets
from myx_registry.store.rotations import SealedNext


class Vault:
    """Seals what is stored and opens what is read, with the registry's master keys.

    Openers raise Internal `SECRET_UNREADABLE` where no master key is the one that sealed, or the value was moved.
    """

    def __init__(self, box: SecretBox) -> None:
        self._box = box

    def seal(self, agent_id: UUID, secrets: AgentSecrets) -> SealedSecrets:
        """The form in which an agent's secrets are stored."""
        return SealedSecrets(
            agent_token=self._seal(agent_id, "agent_token", secrets.agent_token),
            secret_key=self._seal(agent_id, "secret_key", secrets.secret_key),
            rpc_path=self.seal_path(agent_id, secrets.rpc_path),
            private_key=self._seal(agent_id, "private_key", secrets.private_key_pem),
        )

    def open(self, agent_id: UUID, sealed: SealedSecrets) -> AgentSecrets:
        """An agent's secrets."""
        return AgentSecrets(
            agent_token=self._open(agent_id, "agent_token", sealed.agent_token),
            secret_key=self._open(agent_id, "secret_key", sealed.secret_key),
            rpc_path=self._open(agent_id, "rpc_path", sealed.rpc_path),
            private_key_pem=self._open(agent_id, "private_key", sealed.private_key),
        )

    def open_endpoint(self, sealed: SealedEndpoint) -> AgentEndpoint:
        """Connection data with the secrets that a call needs."""
        return AgentEndpoint(
            agent_id=sealed.agent_id,
            server_id=sealed.server_id,
            server_name=sealed.server_name,
            address=sealed.address,
            rpc_port=sealed.rpc_port,
            certificate_sha256=sealed.certificate_sha256,
            status=sealed.status,
            revision=sealed.revision,
            rpc_path=self._open(sealed.agent_id, "rpc_path", sealed.rpc_path),
            agent_token=self._open(sealed.agent_id, "agent_token", sealed.agent_token),
            secret_key=self._open(sealed.agent_id, "secret_key", sealed.secret_key),
            next_certificate_sha256=sealed.next_certificate_sha256,
            ssh_address=sealed.ssh_address,
            ssh_port=sealed.ssh_port,
            is_quarantined=sealed.is_quarantined,
            paused_until=sealed.paused_until,
            machine_id=sealed.machine_id,
            boot_id=sealed.boot_id,
        )

    def seal_path(self, agent_id: UUID, rpc_path: str) -> bytes:
        """An agent's path as it is stored."""
        return self._seal(agent_id, "rpc_path", rpc_path)

    def open_path(self, agent_id: UUID, sealed: bytes) -> str:
        """What `seal_path` sealed."""
        return self._open(agent_id, "rpc_path", sealed)

    def seal_next_path(self, agent_id: UUID, rpc_path: str) -> bytes:
        """The path that an agent is to have, as it is stored beside the present one."""
        return self._seal(agent_id, "next_rpc_path", rpc_path)

    def open_next_path(self, agent_id: UUID, sealed: bytes) -> str:
        """What `seal_next_path` sealed."""
        return self._open(agent_id, "next_rpc_path", sealed)

    def seal_next(self, agent_id: UUID, upcoming: NextIdentity) -> SealedNext:
        """The next identity as it is stored beside the present one."""
        return self._seal_identity(agent_id, upcoming, "next_")

    def seal_present(self, agent_id: UUID, upcoming: NextIdentity) -> SealedNext:
        """The next identity as it is stored once it is the present one."""
        return self._seal_identity(agent_id, upcoming, "")

    def open_next(self, agent_id: UUID, sealed: SealedNext) -> NextIdentity:
        """What `seal_next` sealed."""
        return NextIdentity(
            rotation_id=sealed.rotation_id,
            agent_token=self._open(agent_id, "next_agent_token", sealed.agent_token),
            secret_key=self._open(agent_id, "next_secret_key", sealed.secret_key),
            private_key_pem=self._open(agent_id, "next_private_key", sealed.private_key),
            certificate_pem=sealed.certificate_pem,
            certificate_sha256=sealed.certificate_sha256,
        )

    def seal_credential(self, credential_id: UUID, secret: CredentialSecret) -> bytes:
        """The secrets of a credential as they are stored; its login name is none."""
        document = {
            "password": secret.password,
            "private_key": secret.private_key,
            "passphrase": secret.passphrase,
            "sudo_password": secret.sudo_password,
        }
        return self._box.seal(
            json.dumps(document).encode(), table="credential", column="secret", row=str(credential_id)
        )

    def open_credential(self, credential_id: UUID, login: str, sealed: bytes) -> CredentialSecret:
        """What `seal_credential` sealed."""
        opened = self._box.open(sealed, table="credential", column="secret", row=str(credential_id))
        return CredentialSecret(login=login, **json.loads(opened))

    def seal_digest(self, table: str, row_id: UUID, digest: bytes) -> bytes:
        """The digest of a request with secrets, as it is stored: nobody can guess at what it covers."""
        return self._box.seal(digest, table=table, column="request_digest", row=str(row_id))

    def open_digest(self, table: str, row_id: UUID, sealed: bytes) -> bytes:
        """What `seal_digest` sealed."""
        return self._box.open(sealed, table=table, column="request_digest", row=str(row_id))

    def _seal_identity(self, agent_id: UUID, identity: NextIdentity, prefix: str) -> SealedNext:
        return SealedNext(
            rotation_id=identity.rotation_id,
            certificate_sha256=identity.certificate_sha256,
            certificate_pem=identity.certificate_pem,
            agent_token=self._seal(agent_id, f"{prefix}agent_token", identity.agent_token),
            secret_key=self._seal(agent_id, f"{prefix}secret_key", identity.secret_key),
            private_key=self._seal(agent_id, f"{prefix}private_key", identity.private_key_pem),
        )

    def _seal(self, agent_id: UUID, column: str, text: str) -> bytes:
        return self._box.seal(text.encode(), table="agent", column=column, row=str(agent_id))

    def _open(self, agent_id: UUID, column: str, sealed: bytes) -> str:
        return self._box.open(sealed, table="agent", column=column, row=str(agent_id)).decode()
