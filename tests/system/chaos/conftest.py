"""One world for all tests here, whole again before each of them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from myx_testkit.chaos.viewer import Api
from myx_testkit.chaos.world import World
from myx_testkit.process import Program


@pytest.fixture(scope="session")
def session_world(tmp_path_factory: pytest.TempPathFactory, tls_dir: Path) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"), tls_dir)
    try:
        world.start()
        yield world
    finally:
        world.close()


@pytest.fixture
def world(session_world: World) -> Iterator[World]:
    session_world.mend()
    for part in session_world.parts:
        if part.program not in Program.recent:
            Program.recent.append(part.program)
    yield session_world
    session_world.mend()


@pytest_asyncio.fixture
async def api(world: World) -> AsyncIterator[Api]:
    async with Api([gateway.port for gateway in world.gateways], world.token) as api:
        yield api
