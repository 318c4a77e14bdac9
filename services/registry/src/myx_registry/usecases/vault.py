"""Sealing and opening of the secrets of agents. Each envelope is bound to its table, column and row."""

from uuid import UUID

from myx_kit.secretbox import SecretBox
from myx_registry.domain.agents import AgentEndpoint, AgentSecrets
from myx_registry.store.agents import SealedEndpoint, SealedSecrets


class Vault:
    """Seals what is stored and opens what is read, with the registry's master key."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box

    def seal(self, agent_id: UUID, secrets: AgentSecrets) -> SealedSecrets:
        """The form in which an agent's secrets are stored."""
        return SealedSecrets(
            agent_token=self._seal(agent_id, "agent_token", secrets.agent_token),
            secret_key=self._seal(agent_id, "secret_key", secrets.secret_key),
            rpc_path=self._seal(agent_id, "rpc_path", secrets.rpc_path),
            private_key=self._seal(agent_id, "private_key", secrets.private_key_pem),
        )

    def open(self, agent_id: UUID, sealed: SealedSecrets) -> AgentSecrets:
        """An agent's secrets. Raises Internal where the master key is not the one that sealed them."""
        return AgentSecrets(
            agent_token=self._open(agent_id, "agent_token", sealed.agent_token),
            secret_key=self._open(agent_id, "secret_key", sealed.secret_key),
            rpc_path=self._open(agent_id, "rpc_path", sealed.rpc_path),
            private_key_pem=self._open(agent_id, "private_key", sealed.private_key),
        )

    def open_endpoint(self, sealed: SealedEndpoint) -> AgentEndpoint:
        """Connection data with the secrets that a call needs. Raises as `open`."""
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
        )

    def _seal(self, agent_id: UUID, column: str, text: str) -> bytes:
        return self._box.seal(text.encode(), table="agent", column=column, row=str(agent_id))

    def _open(self, agent_id: UUID, column: str, sealed: bytes) -> str:
        return self._box.open(sealed, table="agent", column=column, row=str(agent_id)).decode()
