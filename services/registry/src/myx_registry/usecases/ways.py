"""The way to a host: through which others it is reached."""

from myx_kit.errors import FailedPrecondition
from myx_registry.domain.servers import Server
from myx_registry.domain.ssh import check_way
from myx_registry.store import servers
from myx_registry.store.database import Connection


async def way_to(connection: Connection, target: Server) -> list[Server]:
    """The servers on the way to `target`, the first one first and the target last.

    As OpenSSH's ProxyJump: the first jump server is reached as its own settings say, each further one through the one
    before it. Raises FailedPrecondition `JUMP_LOOP` for a loop and for a way that is too long.
    """
    way = [target]
    first = target
    while first.spec.ssh.jump_server_ids:
        jumps: list[Server] = []
        for server_id in first.spec.ssh.jump_server_ids:
            jump = await servers.find_server(connection, str(server_id))
            if jump is None:
                raise FailedPrecondition("JUMP_LOOP", "A jump server was removed meanwhile.", server=first.spec.name)
            jumps.append(jump)
        way = [*jumps, *way]
        check_way([server.id for server in way], target.spec.name)
        first = jumps[0]
    return way
