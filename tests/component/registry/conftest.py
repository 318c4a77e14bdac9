"""A registry in this process on a real PostgreSQL and NATS, and clients of it under any service name."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import pytest
import pytest_asyncio

from myx.registry.v1.agent_service_pb2_grpc import AgentServiceStub
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
    """The two services as one caller sees them."""

    servers: ServerServiceStub
    agents: AgentServiceStub


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
            self._clients[name] = Client(ServerServiceStub(channel), AgentServiceStub(channel))
        return self._clients[name]

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
        start_wait_s=20,
    )
