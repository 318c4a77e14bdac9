"""A registry in this process on a real PostgreSQL and NATS, and clients of it under any service name."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import psycopg
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from myx.registry.v1 import agent_pb2, server_pb2
from myx.registry.v1 import agent_service_pb2 as agent_rpc
from myx.registry.v1 import credential_service_pb2 as credential_rpc
from myx.registry.v1 import server_service_pb2 as server_rpc
from myx.registry.v1.agent_service_pb2_grpc import AgentServiceStub
from myx.registry.v1.credential_pb2 import Credential, CredentialSecret
from myx.registry.v1.credential_service_pb2_grpc import CredentialServiceStub
from myx.registry.v1.server_service_pb2_grpc import ServerServiceStub
from myx_kit.rpc.client import open_channel
from myx_kit.secretbox import SecretBox
from myx_registry import app, migrations
from myx_registry.settings import RegistrySettings
from myx_testkit.nats import NatsServer
from myx_testkit.ports import free_port
from myx_testkit.postgres import Database


@dataclass
class Client:
    """The services as one caller sees them."""

    servers: ServerServiceStub
    agents: AgentServiceStub
    credentials: CredentialServiceStub


class Registry:
    """A running registry. `client(name)` calls it with that service's certificate."""

    def __init__(self, settings: RegistrySettings, database: Database, nats: NatsServer, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.database = database
        self.nats = nats
        self._stack = stack
        self._clients: dict[str, Client] = {}

    def client(self, name: str) -> Client:
        if name not in self._clients:
            channel: grpc.aio.Channel = open_channel(self.settings.listen, self.settings.tls_dir, name, "registry")
            self._stack.push_async_callback(channel.close)
            self._clients[name] = Client(
                ServerServiceStub(channel), AgentServiceStub(channel), CredentialServiceStub(channel)
            )
        return self._clients[name]

    async def create(self, name: str | None = None, **values) -> server_pb2.Server:
        """A new server; `values` are fields of the request."""
        request = server_rpc.CreateServerRequest(name=name or self.new_name(), **({"address": "192.0.2.7"} | values))
        return (await self.client("gateway").servers.CreateServer(request)).server

    async def update(self, server: str, *paths: str, etag: str = "", **values) -> server_pb2.Server:
        """The server after an update of these paths."""
        mask = FieldMask(paths=paths)
        request = server_rpc.UpdateServerRequest(server=server, update_mask=mask, etag=etag, **values)
        return (await self.client("gateway").servers.UpdateServer(request)).server

    async def get(self, server: str) -> server_pb2.Server:
        """The server as it is."""
        return (await self.client("gateway").servers.GetServer(server_rpc.GetServerRequest(server=server))).server

    async def delete(self, server: str, etag: str = "") -> None:
        """Remove a server."""
        request = server_rpc.DeleteServerRequest(server=server, etag=etag)
        await self.client("gateway").servers.DeleteServer(request)

    async def trust(self, server: str, fingerprint: str, by: str = "token:admin") -> server_pb2.Server:
        """The server after a host key was trusted."""
        request = server_rpc.TrustHostKeyRequest(server=server, fingerprint=fingerprint, requested_by=by)
        return (await self.client("gateway").servers.TrustHostKey(request)).server

    async def record(self, server: str, public_key: str) -> server_pb2.HostKey:
        """The host key after a host showed one."""
        request = server_rpc.RecordHostKeyRequest(server=server, public_key=public_key)
        return (await self.client("executor").servers.RecordHostKey(request)).host_key

    async def way(self, server: str) -> list[server_rpc.SshHop]:
        """The hops to a server, secrets included."""
        request = server_rpc.GetSshAccessRequest(server=server)
        return list((await self.client("executor").servers.GetSshAccess(request)).hops)

    async def acquire(self, server: str, holder: str, ttl_s: float = 60, **values) -> server_pb2.Maintenance:
        """The lease of a server."""
        ttl = Duration(nanos=round(ttl_s * 1e9) % 10**9, seconds=int(ttl_s))
        values = {"kind": "install_agent", "actor": "token:admin"} | values
        request = server_rpc.AcquireMaintenanceRequest(server=server, holder=holder, ttl=ttl, **values)
        return (await self.client("executor").servers.AcquireMaintenance(request)).maintenance

    async def release(self, server: str, holder: str) -> None:
        """Give a lease back."""
        request = server_rpc.ReleaseMaintenanceRequest(server=server, holder=holder)
        await self.client("executor").servers.ReleaseMaintenance(request)

    async def create_credential(self, name: str | None = None, request_id: str = "", **secret) -> Credential:
        """A new named credential; `secret` are fields of its secret."""
        request = credential_rpc.CreateCredentialRequest(
            name=name or self.new_name("c"),
            secret=CredentialSecret(**(secret or {"password": "pass word"})),
            request_id=request_id,
        )
        return (await self.client("gateway").credentials.CreateCredential(request)).credential

    async def update_credential(self, credential: str, *paths: str, etag: str = "", **values) -> Credential:
        """The credential after an update of these paths."""
        mask = FieldMask(paths=paths)
        request = credential_rpc.UpdateCredentialRequest(credential=credential, update_mask=mask, etag=etag, **values)
        return (await self.client("gateway").credentials.UpdateCredential(request)).credential

    async def get_credential(self, credential: str) -> Credential:
        """The credential as it is."""
        request = credential_rpc.GetCredentialRequest(credential=credential)
        return (await self.client("gateway").credentials.GetCredential(request)).credential

    async def delete_credential(self, credential: str, *, force: bool = False, etag: str = "") -> None:
        """Remove a credential."""
        request = credential_rpc.DeleteCredentialRequest(credential=credential, force=force, etag=etag)
        await self.client("gateway").credentials.DeleteCredential(request)

    async def allocate(self, server: str) -> agent_rpc.AllocateAgentResponse:
        """The identity of a server's agent."""
        request = agent_rpc.AllocateAgentRequest(server=server)
        return await self.client("executor").agents.AllocateAgent(request)

    async def endpoint(self, server: str) -> agent_pb2.AgentEndpoint:
        """The connection data of a server's agent."""
        request = agent_rpc.GetAgentEndpointRequest(server=server)
        return (await self.client("executor").agents.GetAgentEndpoint(request)).endpoint

    async def agent(self, server: str) -> agent_pb2.Agent:
        """A server's agent."""
        return (await self.client("gateway").agents.GetAgent(agent_rpc.GetAgentRequest(server=server))).agent

    def stored(self) -> bytes:
        """Every row of every table, as COPY writes it."""
        tables = ("server", "agent", "credential", "maintenance", "outbox")
        with psycopg.connect(self.database.url) as connection:
            content = b""
            for table in tables:
                with connection.cursor().copy(f"copy registry.{table} to stdout") as copy:
                    content += b"".join(bytes(block) for block in copy)
        return content

    @staticmethod
    def new_name(prefix: str = "s") -> str:
        return f"{prefix}-{secrets.token_hex(6)}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def registry(
    module_postgres: Database, module_nats: NatsServer, tls_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Registry]:
    """One registry for a module; its database is migrated and empty at the start of the module."""
    settings = registry_settings(module_postgres, module_nats, tls_dir, tmp_path_factory.mktemp("registry"))
    migrations.upgrade(settings.database_url())
    async with AsyncExitStack() as stack:
        server = await app.start(settings, stack)
        stack.push_async_callback(server.stop, 1)
        yield Registry(settings, module_postgres, module_nats, stack)


def registry_settings(postgres: Database, nats: NatsServer, tls_dir: Path, folder: Path) -> RegistrySettings:
    """Settings of a registry on these servers, with a new master key."""
    SecretBox.create_file(folder / "master.json")
    return RegistrySettings(
        listen=f"127.0.0.1:{free_port()}",
        tls_dir=tls_dir,
        database_url_file=postgres.url_file,
        nats_url=nats.url,
        master_key_file=folder / "master.json",
        master_key_look_s=0.1,
        start_wait_s=20,
    )
