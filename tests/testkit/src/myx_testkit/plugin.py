"""The fixtures, loaded by pytest through the entry point of this distribution."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from myx_kit.tls import ensure_tls
from myx_testkit.agent import RealAgent
from myx_testkit.hosts.host import Host
from myx_testkit.hosts.lab import HostLab
from myx_testkit.hosts.requirements import missing
from myx_testkit.nats import NatsServer
from myx_testkit.postgres import Database, PostgresServer
from myx_testkit.process import Program
from myx_testkit.standalone import Standalone

SERVICE_NAMES = ("registry", "heartbeat", "executor", "gateway", "standalone", "nats")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How the tests in tests/system/chaos go on."""
    group = parser.getgroup("chaos", "tests that break what runs")
    group.addoption("--chaos-seed", type=int, default=None, help="repeat what this seed did; default: a new one")
    group.addoption("--chaos-seconds", type=float, default=90, help="how long things are broken at random")
    group.addoption("--chaos-away-seconds", type=float, default=25, help="how long PostgreSQL is away in one test")
    group.addoption("--chaos-dispatches", type=int, default=600, help="commands sent while replies are dropped")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the programs under test wrote when a test fails."""
    report = yield
    if report.failed:
        for program in Program.recent:
            if output := program.output():
                report.sections.append((f"output of {program.name}", output))
    if call.when == "teardown":
        Program.recent[:] = [program for program in Program.recent if program.is_running()]
    return report


@pytest.fixture(scope="session")
def tls_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a throw-away authority and a certificate for each service."""
    folder = tmp_path_factory.mktemp("tls")
    ensure_tls(folder, SERVICE_NAMES)
    return folder


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The session's PostgreSQL."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    if server.program.is_running():
        server.stop()


@pytest.fixture
def postgres(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Database]:
    """An empty database for one test."""
    database = Database(postgres_server, tmp_path)
    yield database
    database.drop()


@pytest.fixture(scope="module")
def module_postgres(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """An empty database for all tests of a module."""
    database = Database(postgres_server, tmp_path_factory.mktemp("database"))
    yield database
    database.drop()


@pytest.fixture
def nats(tmp_path: Path, tls_dir: Path) -> Iterator[NatsServer]:
    """A NATS server for one test."""
    server = NatsServer(tmp_path / "nats", tls_dir)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def module_nats(tmp_path_factory: pytest.TempPathFactory, tls_dir: Path) -> Iterator[NatsServer]:
    """A NATS server for all tests of a module."""
    server = NatsServer(tmp_path_factory.mktemp("nats"), tls_dir)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def myx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """The whole of MyX, once a session. Tests may kill parts of it, and leave it running and well."""
    deployment = Standalone(tmp_path_factory.mktemp("myx") / "home")
    deployment.start()
    yield deployment
    deployment.stop()


@pytest.fixture(scope="module")
def web_agents(myx: Standalone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RealAgent]]:
    """For a module three more servers of `myx`, `web-1` to `web-3`, labelled role=web, each with a real agent."""
    from myx_testkit.joined import join, part  # gRPC takes a second to load, and most tests have no use for it

    agents: dict[str, RealAgent] = {}
    try:
        for name in ("web-1", "web-2", "web-3"):
            agents[name] = join(myx, tmp_path_factory.mktemp(name), name, {"role": "web"})
        yield agents
    finally:
        for name, agent in agents.items():
            part(myx, name, agent)


@pytest.fixture
def real_agent(tmp_path: Path) -> Iterator[RealAgent]:
    """An agent for one test, with signatures required; its commands are ended behind the test."""
    agent = RealAgent(tmp_path / "agent")
    agent.start()
    yield agent
    agent.close()


@pytest.fixture(scope="module")
def module_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAgent]:
    """An agent for all tests of a module."""
    agent = RealAgent(tmp_path_factory.mktemp("agent"))
    agent.start()
    yield agent
    agent.close()


@pytest.fixture(scope="session")
def host_lab() -> Iterator[HostLab]:
    """Real hosts (see myx_testkit.hosts). Skips where there can be none; in CI that is a failure."""
    if reason := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    lab = HostLab()
    lab.open()
    yield lab
    lab.close()


@pytest.fixture
def host(host_lab: HostLab) -> Iterator[Host]:
    """A fresh real host for one test."""
    with host_lab.host() as made:
        yield made
