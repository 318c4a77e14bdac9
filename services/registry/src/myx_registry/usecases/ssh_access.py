"""All that is needed to log in to a host. Secret."""

from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import FailedPrecondition
from myx_registry.domain.credentials import Credential
from myx_registry.domain.servers import Server
from myx_registry.domain.ssh import SshHop
from myx_registry.store import credentials
from myx_registry.store.database import Connection
from myx_registry.usecases.references import the_server
from myx_registry.usecases.vault import Vault
from myx_registry.usecases.ways import way_to

_ROOT = "root"


class SshAccess:
    """The way to a host with the secrets of each hop."""

    def __init__(self, uow: UnitOfWork, vault: Vault) -> None:
        self._uow = uow
        self._vault = vault

    async def get(self, reference: str) -> list[SshHop]:
        """The hops, jump hosts first, the host last.

        Raises NotFound `SERVER_NOT_FOUND`, FailedPrecondition `NO_SSH_CREDENTIAL` with the server that has none,
        `JUMP_LOOP`.
        """
        async with self._uow.begin() as connection:
            server = await the_server(connection, reference)
            way = [(hop, await _sealed(connection, hop)) for hop in await way_to(connection, server)]
        return [self._hop(hop, credential, sealed) for hop, (credential, sealed) in way]

    def _hop(self, server: Server, credential: Credential, sealed: bytes) -> SshHop:
        ssh = server.spec.ssh
        return SshHop(
            server_id=server.id,
            server_name=server.spec.name,
            address=ssh.address or server.spec.address,
            port=ssh.port,
            user=ssh.user or credential.login or _ROOT,
            secret=self._vault.open_credential(credential.id, credential.login, sealed),
            sudo=ssh.sudo,
            host_key=server.host_key,
            accept_new_host_key=server.spec.accept_new_host_key,
        )


async def _sealed(connection: Connection, server: Server) -> tuple[Credential, bytes]:
    named = server.spec.ssh.credential_id
    found = (
        await credentials.find_own_sealed(connection, server.id)
        if named is None
        else await credentials.find_sealed(connection, named)
    )
    if found is None:
        name = server.spec.name
        raise FailedPrecondition(
            "NO_SSH_CREDENTIAL", f"{name} has no SSH credential: give it one, own or named.", server=name
        )
    return found
