"""Hosts over SSH as deployments see them: the registry's access, the connector, preflight and plays in one."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from myx_executor.adapters.ansible import PlayOverSsh
from myx_executor.adapters.preflight import preflight
from myx_executor.adapters.registry import GrpcRegistry
from myx_executor.adapters.ssh import SshConnector, SshSession
from myx_executor.domain.ssh import Hop, PlaySpec, PreflightResult, ShownKey
from myx_executor.usecases.deployments.ports import HostPlay, Session
from myx_kit.errors import FailedPrecondition

# It tells every step of every connection.
logging.getLogger("asyncssh").setLevel(logging.WARNING)


class SshHosts:
    """Fits `Hosts`. `plays` None: there is no deployment tool."""

    def __init__(self, registry: GrpcRegistry, connector: SshConnector, plays: PlayOverSsh | None) -> None:
        self._registry = registry
        self._connector = connector
        self._plays = plays

    @asynccontextmanager
    async def connect(self, server_id: str) -> AsyncIterator[Session]:
        """Logs in; a key of a first contact that is to be accepted is recorded before anything secret is sent."""
        hops = await self._registry.ssh_access(server_id)
        async with self._connector.session(hops, on_new_host_key=self._record) as session:
            yield session

    async def preflight(self, session: Session, *, address: str, rpc_port: int) -> PreflightResult:
        """One script over SSH, and a connect from here."""
        return await preflight(cast("SshSession", session), address=address, port=rpc_port)

    async def play(self, session: Session, spec: PlaySpec) -> HostPlay:
        """Starts a play."""
        if self._plays is None:
            raise FailedPrecondition("NO_DEPLOYMENT_TOOL", "the deployment tool is not there: set PLAYBOOKS_DIR")
        return await self._plays.start(cast("SshSession", session), spec)

    async def scan(self, server_id: str) -> ShownKey:
        """The key that the host shows; nothing is recorded. A host that is reached directly needs no credential."""
        try:
            hops = await self._registry.ssh_access(server_id)
        except FailedPrecondition as error:
            server = await self._registry.server(server_id)
            if error.reason != "NO_SSH_CREDENTIAL" or server.has_jump_host:
                raise
            hops = [Hop(server.name, server.ssh_address, server.ssh_port, server_id=server_id)]
        return await self._connector.scan_host_key(hops)

    async def _record(self, hop: Hop, shown: ShownKey) -> None:
        await self._registry.record_host_key(hop.server_id, shown.public_key)
