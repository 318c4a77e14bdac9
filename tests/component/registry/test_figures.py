"""The fleet in figures, on a real PostgreSQL."""

import psycopg
import pytest
from prometheus_client import REGISTRY

from myx_kit.db.engine import create_engine
from myx_kit.db.unit_of_work import UnitOfWork
from myx_registry.usecases.metrics import Census

pytestmark = pytest.mark.asyncio(loop_scope="module")


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_servers_and_agents_are_counted_by_what_they_are(registry, module_postgres):
    servers = [await registry.create() for _ in range(3)]
    for one in servers[:2]:
        await registry.allocate(one.name)
    engine = create_engine(module_postgres.url, 1)
    try:
        census = Census(UnitOfWork(engine))
        await census.measure()
        before = value("myx_registry_servers"), value("myx_registry_agents", status="online")
        assert before[0] >= 3
        assert value("myx_registry_agents", status="pending") >= 2
        with psycopg.connect(module_postgres.url) as connection:
            connection.execute(
                "update registry.agent set status = 'online', quarantined_at = now(), flapping_since = now()"
                " where server_id = %s",
                (servers[0].id,),
            )
        await census.measure()
        assert value("myx_registry_agents", status="online") == before[1] + 1
        assert (value("myx_registry_quarantined_agents"), value("myx_registry_flapping_agents")) == (1, 1)
        await registry.delete(servers[0].name)
        await census.measure()
        assert value("myx_registry_servers") == before[0] - 1
        assert (value("myx_registry_quarantined_agents"), value("myx_registry_flapping_agents")) == (0, 0)
    finally:
        await engine.dispose()
