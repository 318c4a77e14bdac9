"""A control plane of the bench's own: PostgreSQL, NATS, registry, heartbeat, executor replicas, gateway; no agent.

Started with what standalone starts them with, each process a plain child, so that its CPU and memory can be told apart.
With PYTHONPATH set the services run from there: another tree than this checkout can be measured.
"""

import asyncio
import os
import resource
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil

from bench.stats import Cost
from myx_standalone.child import Child, Service
from myx_standalone.databases import SERVICES, ensure_databases, write_urls
from myx_standalone.home import Home
from myx_standalone.logs import Logs
from myx_standalone.services import Services

# As many followers at once as a benchmark has, all of them of one principal.
MANY_FOLLOWERS: Final = {
    "MYX_EXECUTOR_MAX_ACTIVE_COMMANDS": "2000",
    "MYX_GATEWAY_MAX_STREAMS": "3000",
    "MYX_GATEWAY_MAX_STREAMS_PER_PRINCIPAL": "3000",
}


class Cluster:
    """The running parts by name: `postgres`, `nats`, `registry`, `heartbeat`, `heartbeat-2` …, `executor-1` …, …"""

    def __init__(
        self, home: Home, url: str, ports: Mapping[str, int], replicas: int, children: dict[str, Child]
    ) -> None:
        self.home = home
        self.url = url
        self.ports = ports
        self.executor_targets = [self.target(_replica("executor", n)) for n in range(1, replicas + 1)]
        self.children = children

    def target(self, part: str) -> str:
        """host:port of a part's gRPC server."""
        return f"127.0.0.1:{self.ports[part]}"

    @property
    def database_url(self) -> str:
        """The executor's."""
        return self.home.database_url_file("executor").read_text().strip()

    def pid(self, part: str) -> int:
        """Of a part's main process."""
        process = self.children[part].process
        assert process is not None
        return process.pid

    def costs(self) -> dict[str, Cost]:
        """CPU seconds and memory (proportional, PSS) of each part with its children."""
        found = {}
        for part in self.children:
            cpu_s = rss = 0.0
            main = psutil.Process(self.pid(part))
            times = main.cpu_times()
            cpu_s += times.children_user + times.children_system
            for process in [main, *main.children(recursive=True)]:
                try:
                    times, memory = process.cpu_times(), process.memory_full_info()
                except psutil.NoSuchProcess:
                    continue
                cpu_s += times.user + times.system
                rss += memory.pss
            found[part] = Cost(cpu_s, rss / 2**20)
        return found


class _Services(Services):
    """Standalone's, and more than one executor and heartbeat service."""

    def replica(self, number: int, more: Mapping[str, str]) -> Service:
        """The executor's replica of this number, counted from 1."""
        port = self.ports[_replica("executor", number)]
        service = _from_tree(self.executor())
        ours = {"MYX_EXECUTOR_LISTEN": f"127.0.0.1:{port}", **more}
        return replace(service, name=f"executor-{number}", environment={**service.environment, **ours})

    def watcher(self, number: int) -> Service:
        """The heartbeat service's replica of this number, counted from 1."""
        name = _replica("heartbeat", number)
        service = _from_tree(self.heartbeat())
        ours = {"MYX_HEARTBEAT_LISTEN": f"127.0.0.1:{self.ports[name]}"}
        return replace(service, name=name, environment={**service.environment, **ours})


def _replica(service: str, number: int) -> str:
    return service if number == 1 else f"{service}-{number}"


def _from_tree(service: Service) -> Service:
    tree = os.environ.get("PYTHONPATH")
    return replace(service, environment={**service.environment, "PYTHONPATH": tree}) if tree else service


@asynccontextmanager
async def cluster(
    replicas: int = 2,
    *,
    heartbeats: int = 1,
    settings: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
    before_services: Callable[[Home], object] | None = None,
) -> AsyncIterator[Cluster]:
    """A running control plane in a folder of its own, which is removed at the end.

    `settings`: MYX_… variables of the services. `without`: parts not to start. `before_services` is called when the
    tables are there and nobody looks at them yet.
    """
    settings = settings or {}
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="myx-bench-") as folder, _door() as door:
        home = Home(Path(folder) / "home")
        home.prepare()
        await asyncio.to_thread(home.make_secrets)
        ports = home.pick_ports()
        for name, count in (("executor", replicas), ("heartbeat", heartbeats)):
            ports |= {_replica(name, number): _free_port() for number in range(2, count + 1)}
        services = _Services(home, ports, door.fileno(), os.environ.get("MYX_BENCH_LOG_LEVEL", "warning"))
        logs, children = Logs(home.logs), dict[str, Child]()

        async def start(service: Service) -> None:
            prefix = f"MYX_{service.name.partition('-')[0].upper()}_"
            given = {name: value for name, value in settings.items() if name.startswith(prefix)}
            child = Child(replace(service, environment={**service.environment, **given}), logs, _say)
            children[service.name] = child
            await child.start()

        try:
            await asyncio.to_thread(services.cluster.initialise)
            write_urls(home, services.cluster, ports["postgres"])
            await start(services.postgres())
            await start(services.nats())
            await asyncio.to_thread(ensure_databases, home, services.cluster, ports["postgres"])
            for name in SERVICES:
                await _migrate(services, name)
            if before_services is not None:
                await asyncio.to_thread(before_services, home)
            wanted = [_from_tree(services.registry())]
            wanted += [services.watcher(number) for number in range(1, heartbeats + 1)]
            wanted += [services.replica(number, {}) for number in range(1, replicas + 1)]
            wanted.append(_from_tree(services.gateway()))
            for service in wanted:
                if service.name not in without:
                    await start(service)
            yield Cluster(home, f"http://127.0.0.1:{door.getsockname()[1]}", ports, replicas, children)
        finally:
            for child in reversed(children.values()):
                await child.stop()
            if keep := os.environ.get("MYX_BENCH_LOGS"):
                _keep(home.logs, Path(keep))


async def _migrate(services: _Services, name: str) -> None:
    argv, environment = services.migrate(name)
    tree = os.environ.get("PYTHONPATH")
    process = await asyncio.create_subprocess_exec(
        *argv, env={**environment, **({"PYTHONPATH": tree} if tree else {})}, cwd="/"
    )
    if await process.wait() != 0:
        raise RuntimeError(f"the migrations of {name} failed")


def _keep(logs: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in logs.glob("*.log"):
        (folder / path.name).write_bytes(path.read_bytes())


def _door() -> socket.socket:
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    door.bind(("127.0.0.1", 0))
    door.listen(1024)
    return door


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
