"""PostgreSQL, NATS, registry, heartbeat, executors, gateways and agents as processes, and the ways between them."""

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from myx.registry.v1.agent_service_pb2 import AllocateAgentRequest, AllocateAgentResponse
from myx.registry.v1.agent_service_pb2_grpc import AgentServiceStub
from myx.registry.v1.server_service_pb2 import CreateServerRequest
from myx.registry.v1.server_service_pb2_grpc import ServerServiceStub
from myx_kit.files import write_private
from myx_kit.rpc.client import open_channel
from myx_kit.secretbox import SecretBox
from myx_testkit.chaos.parts import Host, Part, Replica, Service
from myx_testkit.chaos.ways import WayLoop
from myx_testkit.nats import NatsServer
from myx_testkit.ports import free_port
from myx_testkit.postgres import Database, PostgresServer
from myx_testkit.wait import until_sync

T = TypeVar("T")

UP_WITHIN_S = 90.0


class World:
    """`start()` returns when everything serves. Whatever a test does to it, `mend()` makes it whole again.

    Blocking methods may be called from any thread; processes are started on one thread that lives as long as the
    world, because some of them end with the thread that started them.
    """

    def __init__(self, folder: Path, tls_dir: Path, *, executors: int = 3, gateways: int = 2, hosts: int = 3) -> None:
        self.folder, self.tls_dir = folder, tls_dir
        self._launcher = ThreadPoolExecutor(1, "launcher")
        self._counts = (executors, gateways, hosts)
        self.ways = WayLoop()
        self.postgres = PostgresServer(folder / "postgres")
        self.nats = NatsServer(folder / "nats", tls_dir)
        self.token = secrets.token_urlsafe(32)
        self.executors: list[Replica] = []
        self.gateways: list[Service] = []
        self.hosts: list[Host] = []

    def do(self, work: Callable[[], T]) -> T:
        """The outcome of work that starts processes."""
        return self._launcher.submit(work).result()

    def start(self) -> None:
        """Make and start everything."""
        self.do(self._start)

    def _start(self) -> None:
        executors, gateways, hosts = self._counts
        self.postgres.start()
        self.nats.start()
        self.database = Database(self.postgres, self.folder)
        self.registry = self._service(
            "registry", "registry", self._stored("registry", Database(self.postgres, self.folder))
        )
        target = {"REGISTRY_TARGET": self._target(self.registry)}
        # Often, so that what an agent's death brings is seen within the test.
        pace = {"MIN_INTERVAL_S": "2", "MAX_INTERVAL_S": "4", "RETRY_BASE_DELAY_S": "0.2", "RPC_TIMEOUT_S": "5"}
        self.heartbeat = self._service("heartbeat", "heartbeat", target | pace | {"NATS_URL": self.nats.url})
        access = [free_port() for _ in range(gateways)]
        self._access = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in access)
        self.executors = [self._replica(f"executor-{number}") for number in range(executors)]
        door = {
            **target,
            "HEARTBEAT_TARGET": self._target(self.heartbeat),
            "EXECUTOR_TARGET": "ipv4:" + ",".join(self._target(executor) for executor in self.executors),
            "ADMIN_TOKEN_FILE": str(self.folder / "token"),
            "DATABASE_URL_FILE": str(Database(self.postgres, self.folder).url_file),
            "NATS_URL": self.nats.url,
        }
        write_private(self.folder / "token", self.token)
        self.gateways = [
            self._service("gateway", f"gateway-{number}", door | {"RPC_LISTEN": f"127.0.0.1:{port}"})
            for number, port in enumerate(access)
        ]
        self.registry.migrate()
        self.executors[0].migrate()
        self.gateways[0].migrate()
        self.registry.start()
        self._until_listening(self.registry)
        for number, identity in enumerate(asyncio.run(self._enrol([f"host-{number}" for number in range(hosts)]))):
            self.hosts.append(Host(self.folder, f"host-{number}", self.ways, identity))
        for part in (*self.hosts, self.heartbeat, *self.executors, *self.gateways):
            part.start()
        self._until_listening(*self.parts)

    def _stored(self, kind: str, database: Database) -> dict[str, str]:
        key_file = self.folder / f"{kind}-master.json"
        SecretBox.create_file(key_file)
        return {
            "DATABASE_URL_FILE": str(database.url_file),
            "MASTER_KEY_FILE": str(key_file),
            "NATS_URL": self.nats.url,
        }

    def _service(self, kind: str, name: str, settings: dict[str, str]) -> Service:
        return Service(self.folder, kind, name, self.tls_dir, settings)

    def _replica(self, name: str) -> Replica:
        settings = self._stored("executor", self.database) if not self.executors else {}
        work = self.folder / f"{name}-work"
        settings = {
            "MASTER_KEY_FILE": str(self.folder / "executor-master.json"),
            "REGISTRY_TARGET": self._target(self.registry),
            "HEARTBEAT_TARGET": self._target(self.heartbeat),
            "GATEWAY_TARGET": self._access,
            "WORK_DIR": str(work),
            "PLAY_DRAIN_S": "0",
            **settings,
        }
        return Replica(
            self.folder,
            name,
            self.tls_dir,
            self.ways,
            database_url=self.database.url,
            nats_port=self.nats.port,
            settings=settings,
        )

    @staticmethod
    def _target(part: Part) -> str:
        return f"127.0.0.1:{part.port}"

    async def _enrol(self, names: list[str]) -> list[AllocateAgentResponse]:
        channel = open_channel(self._target(self.registry), self.tls_dir, "standalone", "registry")
        servers, agents = ServerServiceStub(channel), AgentServiceStub(channel)
        try:
            identities = []
            for name in names:
                await servers.CreateServer(
                    CreateServerRequest(name=name, address="127.0.0.1", labels={"env": "test"}), timeout=10
                )
                identities.append(await agents.AllocateAgent(AllocateAgentRequest(server=name), timeout=10))
            return identities
        finally:
            await channel.close()

    @property
    def parts(self) -> list[Part]:
        """Every process but PostgreSQL and NATS."""
        return [self.registry, self.heartbeat, *self.executors, *self.gateways, *self.hosts]

    def _until_listening(self, *parts: Part) -> None:
        for part in parts:
            until_sync(
                lambda part=part: listens(part.port) or not part.program.is_running(),  # type: ignore[misc]
                UP_WITHIN_S,
                what=f"{part.name} listens",
            )
            assert part.program.is_running(), f"{part.name}\n{part.program.output()}"

    def mend(self) -> None:
        """Bring back what is dead, wake what was stopped, open all ways; returns when everything listens."""
        self.do(self._mend)

    def _mend(self) -> None:
        for way in (
            *(way for one in self.executors for way in (one.to_postgres, one.to_nats)),
            *(h.way for h in self.hosts),
        ):
            way.heal()
        if not self.postgres.program.is_running():
            self.postgres.restart()
        if not self.nats.program.is_running():
            self.nats.restart()
        for part in self.parts:
            part.resume()
            if not part.program.is_running():
                part.start()
        self._until_listening(*self.parts)

    def close(self) -> None:
        """Everything is gone afterwards."""
        self.do(self._close)
        self.ways.close()
        self._launcher.shutdown()

    def _close(self) -> None:
        for part in [*self.gateways, *self.executors, *self.hosts, self.heartbeat, self.registry]:
            part.close()
        self.nats.program.kill9()
        self.postgres.kill9()

    @contextmanager
    def sql(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A connection to the executors' database that goes through none of the ways."""
        with psycopg.connect(self.database.superuser_url, autocommit=True, connect_timeout=5) as connection:
            yield connection

    def row(self, command_id: str) -> dict[str, Any]:
        """The stored command and, as `log`, its pieces."""
        with self.sql() as connection:
            found = connection.execute(
                "select to_jsonb(c) - 'lease_until' from executor.command c where id = %s", [command_id]
            ).fetchone()
            pieces = connection.execute(
                "select offset_bytes, length, data, gap_reason from executor.command_log"
                " where command_id = %s order by 1",
                [command_id],
            ).fetchall()
        assert found is not None
        row: dict[str, Any] = found[0]
        return row | {"log": pieces}

    def owner_of(self, command_id: str, within_s: float = 20) -> Replica:
        """The replica that works on a command."""

        def owner() -> Replica | None:
            with self.sql() as connection:
                found = connection.execute("select owner from executor.command where id = %s", [command_id]).fetchone()
            name = found[0] if found else None
            pids = {str(one.program.pid): one for one in self.executors}
            return pids.get(name.split("-")[-2]) if name else None

        owned = until_sync(owner, within_s, interval_s=0.05, what="a replica works on the command")
        assert owned is not None
        return owned


def listens(port: int) -> bool:
    """Whether somebody listens on a loopback port."""
    with closing(socket.socket()) as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def now() -> float:
    """Seconds on the clock that tests measure with."""
    return time.monotonic()
