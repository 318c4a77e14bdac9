"""What a caller means by an id or name, and the errors when there is nothing of it."""

from collections.abc import Iterable
from uuid import UUID

from myx_kit.errors import Aborted, NotFound
from myx_registry.domain.servers import Server
from myx_registry.domain.ssh import SshDraft, SshSettings
from myx_registry.store import credentials, locks, servers
from myx_registry.store.database import Connection


async def the_server(connection: Connection, reference: str, *, lock: bool = False) -> Server:
    """The server of an id or name. Raises NotFound `SERVER_NOT_FOUND`."""
    server = await servers.find_server(connection, reference, lock=lock)
    if server is None:
        raise server_not_found(reference)
    return server


async def settle(connection: Connection, draft: SshDraft) -> SshSettings:
    """The settings with ids in place of references; whom they mean stays until the transaction ends.

    To be called before a server is locked: everybody locks credentials first, then ways, then servers. Raises NotFound
    `CREDENTIAL_NOT_FOUND`, `JUMP_SERVER_NOT_FOUND`.
    """
    credential_id = None
    if draft.credential:
        credential_id = await credentials.keep_credential(connection, draft.credential)
        if credential_id is None:
            raise credential_not_found(draft.credential, "ssh.credential")
    return draft.settled(credential_id, await _jump_servers(connection, draft.jump_servers))


async def _jump_servers(connection: Connection, references: Iterable[str]) -> list[UUID]:
    wanted = list(references)
    if not wanted:
        return []
    await locks.lock_ways(connection)
    found: dict[str, UUID] = {}
    for reference in sorted(set(wanted)):
        kept = await servers.keep_server(connection, reference)
        if kept is None:
            raise NotFound(
                "JUMP_SERVER_NOT_FOUND",
                f"There is no server {reference} to jump over.",
                field="ssh.jump_servers",
                server=reference,
            )
        found[reference] = kept[0]
    return [found[reference] for reference in wanted]


def server_not_found(reference: str) -> NotFound:
    """No server has this id or name."""
    return NotFound("SERVER_NOT_FOUND", "There is no server of this id or name.", server=reference[:80])


def agent_not_found(reference: str) -> NotFound:
    """The server exists, no identity was allocated for its agent yet."""
    return NotFound("AGENT_NOT_FOUND", "This server has no agent yet.", server=reference[:80])


def credential_not_found(reference: str, field: str) -> NotFound:
    """No named credential has this id or name."""
    return NotFound(
        "CREDENTIAL_NOT_FOUND", "There is no credential of this id or name.", field=field, credential=reference[:80]
    )


def request_id_reused(what: str) -> Aborted:
    """The request id was used for something else."""
    return Aborted(
        "REQUEST_ID_REUSED",
        f"This request id was used for a {what} with other content; choose a new one.",
        field="request_id",
    )
