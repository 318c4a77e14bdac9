"""A real sshd with accounts of its own; the connector under test."""

import sys
import tempfile
from pathlib import Path

import pytest
import pytest_asyncio
import uvloop

from myx_executor.adapters.ssh import SshConnector

sys.path.insert(0, str(Path(__file__).parent))

from executor_ssh_sshd import Sshd, usable


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def shared_sshd():
    if not usable():
        pytest.skip("needs root, unshare, sudo and sshd")
    with tempfile.TemporaryDirectory(prefix="myx-sshd-") as folder:
        server = Sshd(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def sshd(shared_sshd):
    return shared_sshd


@pytest.fixture
def own_sshd():
    """One that the test may stop, restart and configure; not started."""
    if not usable():
        pytest.skip("needs root, unshare, sudo and sshd")
    with tempfile.TemporaryDirectory(prefix="myx-sshd-") as folder:
        server = Sshd(Path(folder))
        yield server
        server.stop()


@pytest.fixture
def connector():
    return SshConnector(connect_timeout_s=10, login_timeout_s=15)


@pytest_asyncio.fixture
async def session(connector, sshd):
    async with connector.session([sshd.hop()]) as session:
        yield session
