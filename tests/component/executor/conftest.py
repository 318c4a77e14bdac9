"""Real PostgreSQL, NATS and agent around executor processes; a registry that says what the test wants."""

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio
import uvloop

from myx_executor.models.base import MIGRATIONS, SCHEMA
from myx_kit.db import migrate

sys.path.insert(0, str(Path(__file__).parent))

from executor_world import Agent, Executor, Registry


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def registry(tmp_path_factory, tls_dir):
    registry = Registry(tmp_path_factory.mktemp("registry"), tls_dir)
    registry.start()
    yield registry
    registry.program.stop()


@pytest.fixture(scope="session")
def agent(tmp_path_factory, registry):
    """One agent for all tests that leave it running."""
    agent = Agent(tmp_path_factory.mktemp("agent"))
    agent.start()
    registry.put(agent.endpoint())
    yield agent
    agent.stop()


@pytest.fixture(scope="session")
def agents(tmp_path_factory):
    """Three agents for tests of jobs, which give them many names in the registry."""
    made = [Agent(tmp_path_factory.mktemp("job-agent")) for _ in range(3)]
    for agent in made:
        agent.start()
    yield made
    for agent in made:
        agent.stop()


@pytest.fixture
def own_agent(tmp_path_factory, registry):
    """An agent that the test may stop and kill."""
    agent = Agent(tmp_path_factory.mktemp("own-agent"))
    agent.start()
    registry.put(agent.endpoint())
    yield agent
    agent.stop()


@pytest.fixture(scope="module")
def start_executor(tmp_path_factory, tls_dir, module_postgres, module_nats, registry):
    """Starts an executor on the module's database and NATS, until the module ends: `start_executor(lease_s=2)`."""
    migrate.upgrade(module_postgres.url, SCHEMA, MIGRATIONS)
    with ExitStack() as stack:

        def start(**settings):
            folder = tmp_path_factory.mktemp("executor")
            executor = Executor(folder, tls_dir, module_postgres, module_nats.url, registry, **settings)
            stack.callback(executor.stop)
            executor.start()
            return executor

        yield start


@pytest.fixture(scope="module")
def module_executor(start_executor):
    """An executor for the tests of a module that leave it and its world alone."""
    return start_executor()


@pytest_asyncio.fixture
async def client(module_executor):
    async with module_executor.client() as client:
        yield client


@pytest.fixture
def replica(tmp_path, tls_dir, postgres, nats, registry):
    """Makes executors, one or several at once, on a database and NATS of the test's own: `replica("a", lease_s=2)`."""
    migrate.upgrade(postgres.url, SCHEMA, MIGRATIONS)
    made = []

    def make(*names, **settings):
        new = [Executor(tmp_path / name, tls_dir, postgres, nats.url, registry, **settings) for name in names]
        made.extend(new)
        for executor in new:
            executor.program.start()
        for executor in new:
            executor.wait()
        return new if len(new) > 1 else new[0]

    yield make
    for executor in made:
        if executor.program.is_running():
            executor.program.kill9()
