"""A gateway and a database whose tables are older or newer than it is."""

import asyncio
from typing import Any

import aiohttp
import psycopg
import pytest
from sqlalchemy import text

from myx_gateway import migrations
from myx_gateway.store.database import Database as GatewayDatabase
from myx_kit.db.engine import create_engine
from myx_kit.errors import Unavailable
from myx_testkit.ports import free_port
from myx_testkit.postgres import Database
from myx_testkit.wait import until


@pytest.fixture
async def database(postgres: Database):
    engine = create_engine(postgres.url, 2)
    yield GatewayDatabase(engine)
    await engine.dispose()


async def ask(database: GatewayDatabase) -> None:
    async with database.begin() as connection:
        await connection.execute(text("select 1"))


async def test_nothing_is_asked_of_tables_before_their_newest_migration(database, postgres) -> None:
    with pytest.raises(Unavailable, match="SCHEMA_MISSING"):
        await ask(database)
    migrations.upgrade(postgres.url, "0001")
    with pytest.raises(Unavailable, match="SCHEMA_OUTDATED"):
        await ask(database)
    assert database.is_migrated is False
    migrations.upgrade(postgres.url)
    await ask(database)
    assert database.is_migrated is True


async def test_tables_of_a_newer_version_will_do(database, postgres) -> None:
    migrations.upgrade(postgres.url)
    with psycopg.connect(postgres.url) as connection:
        connection.execute("update gateway.alembic_version set version_num = '0999'")
    await ask(database)


async def test_a_database_that_is_away_is_no_reason_to_look_unready(database, postgres) -> None:
    postgres.kill9()
    try:
        with pytest.raises(Unavailable, match="DATABASE_UNAVAILABLE"):
            await ask(database)
        assert database.is_migrated is None
    finally:
        postgres.restart()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_gateway_looks_unready_until_its_migrations_have_run(backend: Any, start_gateway: Any) -> None:
    await asyncio.to_thread(migrations.downgrade, backend.database.url, "0001")
    probes = f"127.0.0.1:{free_port()}"

    async def readiness() -> int:
        async with aiohttp.ClientSession() as client, client.get(f"http://{probes}/readyz") as answer:
            return answer.status

    async def is_ready() -> bool:
        return await readiness() == 200

    async with start_gateway(http_listen=probes):
        assert await readiness() == 503
        await asyncio.to_thread(migrations.upgrade, backend.database.url)
        await until(is_ready, 20)
