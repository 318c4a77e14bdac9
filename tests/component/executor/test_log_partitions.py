"""The log's partitions: the migration with data, both ways, and what is listed, made and measured."""

from datetime import timedelta
from uuid import UUID

import psycopg
from executor_logs import DAY, NOW, World, id_at, segments

from myx_executor.domain.log import Piece
from myx_executor.domain.retention import DAYS_AHEAD, day_of, id_bound, partition_of
from myx_executor.models.base import MIGRATIONS, SCHEMA
from myx_executor.models.tables import METADATA
from myx_executor.store.codec import encode
from myx_executor.store.logs import LogStore
from myx_kit.db import migrate

INSERT = (
    "insert into executor.command_log (command_id, offset_bytes, length, kind, encoding, segments, data)"
    " values (%s, %s, %s, 'bytes', 0, %s, %s)"
)
ALL = "select command_id, offset_bytes, length, kind, encoding, segments, data from executor.command_log order by 1, 2"


def test_the_migration_keeps_what_is_stored_both_ways(postgres):
    migrate.upgrade(postgres.url, SCHEMA, MIGRATIONS, "0003")
    # A clock was ahead.
    ids = [id_at(at) for at in (NOW - 100 * DAY, NOW - DAY, NOW, NOW + 3 * DAY, NOW + 300 * DAY)]
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for one in ids:
            for number in range(3):
                connection.execute(INSERT, (one, number * 5000, 5000, segments(5000), bytes([number]) * 5000))
        stored = connection.execute(ALL).fetchall()
        for _ in range(2):
            migrate.upgrade(postgres.url, SCHEMA, MIGRATIONS)
            assert connection.execute(ALL).fetchall() == stored
            before, default = (
                connection.execute(f"select count(*) from executor.command_log_{name}").fetchone()[0]
                for name in ("before", "default")
            )
            assert (before, default) == (9, 3)
            assert migrate.check_drift(postgres.url, METADATA) == []
            migrate.downgrade(postgres.url, SCHEMA, MIGRATIONS, "0003")
            assert connection.execute(ALL).fetchall() == stored
            storage = "select attstorage from pg_attribute where attrelid = 'executor.command_log'::regclass"
            assert connection.execute(f"{storage} and attname = 'data'").fetchone()[0] in ("e", b"e")


async def test_the_days_around_now_are_there_and_new_logs_lie_in_the_one_of_their_command(postgres):
    async with World(postgres) as world:
        found = await world.partitions.all()
        assert [one.name for one in found[:-1]] == [
            partition_of(day_of(NOW) + n * DAY).name for n in range(-1, DAYS_AHEAD + 1)
        ]
        assert found[-1].is_default
        assert not found[-1].holds(id_at(NOW))
        for at in (NOW, NOW + DAY, day_of(NOW), day_of(NOW) + DAY - timedelta(milliseconds=1)):
            command = world.command(at, b"line\n")
            table = world.value(
                "select tableoid::regclass::text from executor.command_log where command_id = %s", (command,)
            )
            assert table == f"executor.{partition_of(day_of(at)).name}"
            assert [one.name for one in found if one.holds(command)] == [table.removeprefix("executor.")]
        storage = world.execute(
            "select distinct attstorage from pg_attribute where attname = 'data' and attrelid in"
            " (select relid from pg_partition_tree('executor.command_log'))"
        )
        assert storage in ([("e",)], [(b"e",)])


async def test_making_what_is_there_changes_nothing(module_postgres):
    async with World(module_postgres) as world:
        await world.as_new()
        today = partition_of(day_of(NOW))
        assert not await world.partitions.add(today)
        far = partition_of(day_of(NOW + 100 * DAY))
        assert await world.partitions.add(far)
        assert await world.partitions.drop(far)
        assert await world.partitions.drop(far)
        default = (await world.partitions.all())[-1]
        assert not await world.partitions.drop(default)


async def test_of_a_partition_from_which_rows_went_the_rest_is_counted(module_postgres, monkeypatch):
    async with World(module_postgres) as world:
        await world.as_new()
        commands = [world.command(NOW, bytes([1]) * 3000) for _ in range(200)]
        today = next(one for one in await world.partitions.all() if one.holds(commands[0]))
        assert await world.partitions.stored_bytes(today) == today.size_bytes > 600_000
        await world.partitions.mark_partial(today)
        world.execute("delete from executor.command_log where command_id = any(%s)", (commands[:150],))
        today = next(one for one in await world.partitions.all() if one.holds(commands[0]))
        assert await world.partitions.stored_bytes(today) == 50 * 3150
        # A sample of what is large.
        monkeypatch.setattr("myx_executor.store.log_partitions._SAMPLE_BYTES", 8192 * 2)
        assert 0 <= await world.partitions.stored_bytes(today) < 50 * 3150 * 3


async def test_pages_begin_with_the_piece_that_holds_the_offset_in_any_partition(module_postgres):
    async with World(module_postgres) as world:
        await world.as_new()
        logs = LogStore(world.pool)
        for at in (NOW, NOW + 300 * DAY):
            command = world.command(at, b"a" * 10, b"b" * 10, b"c" * 10)
            pieces = [encode(Piece(n * 10, 10, bytes([97 + n]) * 10, segments(10))) for n in range(3)]
            for offset, first in ((0, 0), (9, 0), (10, 1), (15, 1), (29, 2)):
                assert await logs.page(command, offset, 1000) == pieces[first:]
            assert await logs.page(command, 30, 1000) == []
            assert await logs.page(command, 5, 4) == pieces[:1]


def test_bounds_lie_between_the_ids_of_two_milliseconds():
    bound = id_bound(NOW)
    assert id_bound(NOW - timedelta(milliseconds=1)).int + (1 << 80) - 1 < bound.int
    assert bound < id_at(NOW)
    assert UUID(int=bound.int - 1) < bound
