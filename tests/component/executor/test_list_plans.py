"""How PostgreSQL finds what a list asks for, in a table most of which is something else."""

import pytest
import pytest_asyncio
from executor_logs import DAY, NOW, World
from psycopg import AsyncConnection

from myx_executor.domain.states import Status
from myx_executor.store.commands import CommandStore
from myx_executor.store.deployments import DeploymentStore

COPIES = """
insert into executor.command select (jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid()))).*
from executor.command c, generate_series(1, 5000) where c.id = %s"""
OPEN, UNSUCCESSFUL = "ix_command_open", "ix_command_unsuccessful"


@pytest_asyncio.fixture
async def world(module_postgres):
    async with World(module_postgres) as world:
        yield await world.as_new()


async def plan(world, pages, statuses, monkeypatch):
    """The plan of the statement that `pages.page` runs, and the ids that it gives."""
    asked = []

    async def rows(statement, params=None, run=world.pool.rows):
        asked.append((statement, params))
        return await run(statement, params)

    monkeypatch.setattr(world.pool, "rows", rows)
    found = await pages.page(limit=100, statuses=statuses)
    (statement, params) = asked[0]
    async with await AsyncConnection.connect(world.url) as connection:
        cursor = await connection.execute(f"explain {statement}", params)
        return "\n".join(row[0] for row in await cursor.fetchall()), [str(one.id) for one in found]


@pytest.mark.parametrize(
    ("statuses", "indexes"),
    [
        ([Status.LOST], {UNSUCCESSFUL}),
        ([Status.FAILED, Status.LOST], {UNSUCCESSFUL}),
        ([Status.RUNNING, Status.PENDING], {OPEN}),
        ([Status.RUNNING, Status.LOST], {OPEN, UNSUCCESSFUL}),
        ([Status.SUCCESS], set()),
    ],
)
@pytest.mark.parametrize("kind", ["command", "deployment"])
async def test_what_is_rare_is_found_without_a_walk_over_all(world, monkeypatch, kind, statuses, indexes):
    world.execute(COPIES, [world.command(NOW - 2 * DAY)])
    rare = {status: world.command(NOW - DAY, status=status, kind=kind) for status in ("lost", "failed", "running")}
    world.execute("analyze executor.command")
    pages = CommandStore(world.pool) if kind == "command" else DeploymentStore(world.pool)
    chosen, found = await plan(world, pages, statuses, monkeypatch)
    assert {name for name in (OPEN, UNSUCCESSFUL) if name in chosen} == indexes, chosen
    assert {str(rare[status]) for status in rare if status in statuses} <= set(found)
