"""Retention on a real database: what goes, what stays, and what a reader sees of it."""

import asyncio
import json
from datetime import timedelta

import psycopg
import pytest
import pytest_asyncio
from executor_logs import DAY, NOW, World
from prometheus_client import REGISTRY

from myx.executor.v1 import command_service_pb2 as service
from myx_executor.domain.retention import Kept
from myx_testkit.wait import until

LINE = b"line\n"
HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def world(module_postgres):
    async with World(module_postgres) as world:
        yield await world.as_new()


async def test_a_day_of_old_logs_goes_whole_and_its_commands_say_so(world):
    world.days_back(40)
    old, young = world.command(NOW - 40 * DAY, LINE, LINE), world.command(NOW - 10 * DAY, LINE)
    day = f"command_log_p{NOW - 40 * DAY:%Y%m%d}"
    removed = await world.retention(command_log_days=30, deployment_log_days=30).run_once()
    assert day in removed.partitions
    assert removed.logs == 1
    assert day not in await world.names()
    assert (world.is_purged(old), world.is_purged(young)) == (True, False)
    assert (world.rows_of(old), world.rows_of(young)) == (0, 1)
    for follow in (True, False):
        data, gaps, final = await world.follow(old, follow=follow)
        assert (data, gaps) == (b"", [(0, 10, "retention")])
        assert final.log_purged_at is not None
        assert final.log_size == 10
    assert (await world.follow(old, 4))[1] == [(4, 10, "retention")]
    assert (await world.follow(old, 10))[1] == []
    assert (await world.follow(young))[0] == LINE


async def test_a_second_turn_removes_nothing(world):
    world.days_back(40)
    world.command(NOW - 40 * DAY, LINE)
    retention = world.retention(command_log_days=30, deployment_log_days=30, commands=Kept(365), log_bytes=1 << 30)
    assert await retention.run_once()
    assert not await retention.run_once()


async def test_what_is_not_done_with_keeps_its_log_and_the_rest_of_its_day_goes_by_rows(world):
    world.days_back(40)
    at = NOW - 40 * DAY
    job, done = world.job(at, "running"), world.job(at)
    kept = [
        world.command(at, LINE, status="running"),
        world.command(at, LINE, release_pending=True),
        world.command(at, LINE, job=job),
        world.command(at, LINE, ended=NOW - 29 * DAY),
    ]
    gone = [world.command(at, LINE), world.command(at, LINE, job=done), world.command(at, b"x" * 20_000, LINE)]
    removed = await world.retention(command_log_days=30, deployment_log_days=30).run_once()
    assert [world.rows_of(one) for one in kept] == [1] * 4
    assert [world.rows_of(one) for one in gone] == [0] * 3
    assert [world.is_purged(one) for one in kept + gone] == [False] * 4 + [True] * 3
    assert f"command_log_p{at:%Y%m%d}" not in removed.partitions
    assert world.value("select count(*) from executor.command where log_purge_pending") == 0
    # Two days later the last of them is done with.
    world.execute("update executor.command set release_pending = false")
    world.execute("update executor.command set status = 'success', ended_at = created_at, deadline_at = null")
    world.execute("update executor.job set status = 'success'")
    removed = await world.retention(command_log_days=30, deployment_log_days=30).run_once()
    assert f"command_log_p{at:%Y%m%d}" in removed.partitions
    assert [world.rows_of(one) for one in kept] == [0] * 4


async def test_a_day_waits_for_its_last_command_to_grow_old_before_rows_are_deleted(world):
    world.days_back(33)
    at = (NOW - 31 * DAY).replace(hour=23, minute=59)
    late = world.command(at, LINE, ended=NOW - 30 * DAY + HOUR)
    early = world.command(at - 5 * HOUR, LINE)
    retention = world.retention(command_log_days=30, deployment_log_days=30)
    world.now = NOW.replace(hour=0, minute=30)
    await retention.run_once()
    assert (world.is_purged(late), world.is_purged(early)) == (False, False)
    world.now = NOW + 2 * HOUR
    removed = await retention.run_once()
    assert f"command_log_p{at:%Y%m%d}" in removed.partitions


async def test_deployments_may_keep_their_logs_for_longer(world):
    world.days_back(40)
    deployment = world.command(NOW - 40 * DAY, LINE, kind="deployment")
    command = world.command(NOW - 40 * DAY, LINE)
    await world.retention(command_log_days=30, deployment_log_days=90).run_once()
    assert (world.rows_of(command), world.rows_of(deployment)) == (0, 1)
    await world.retention(command_log_days=30, deployment_log_days=0).run_once()
    assert world.rows_of(deployment) == 1


async def test_beyond_the_bytes_the_oldest_go_first_whole_days_if_they_are_not_too_much(world):
    world.days_back(6)
    piece = bytes(100_000)
    days = [[world.command(NOW - n * DAY, piece) for _ in range(5)] for n in (5, 4, 3, 2)]
    whole = sum([await world.partitions.stored_bytes(one) for one in await world.partitions.all()])
    removed = await world.retention(log_bytes=whole - 620_000).run_once()
    assert removed.partitions == [f"command_log_p{NOW - n * DAY:%Y%m%d}" for n in (6, 5)]
    gone = [[world.rows_of(one) for one in day].count(0) for day in days]
    assert gone[0] == 5
    assert 1 <= gone[1] <= 3
    assert gone[2:] == [0, 0]
    # The files of the second day are as large as before; what was deleted from it does not count.
    assert not await world.retention(log_bytes=whole - 620_000).run_once()


async def test_logs_of_the_last_hour_and_of_what_is_open_are_never_taken_for_want_of_room(world):
    young = world.command(NOW - timedelta(minutes=30), bytes(50_000))
    running = world.command(NOW - 3 * HOUR, bytes(50_000), status="running")
    unreleased = world.command(NOW - 3 * HOUR, bytes(50_000), release_pending=True)
    done = world.command(NOW - 3 * HOUR, bytes(50_000))
    await world.retention(log_bytes=1).run_once()
    assert [world.rows_of(one) for one in (young, running, unreleased, done)] == [1, 1, 1, 0]


async def test_one_log_that_is_large_goes_in_steps_and_a_reader_in_it_sees_one_gap(world, monkeypatch):
    monkeypatch.setattr("myx_executor.usecases.retention._ROWS", 3)
    command = world.command(NOW - 3 * HOUR, *[bytes([n]) * 10_000 for n in range(20)])
    steps = 0

    async def die_later(command_id, limit, delete=world.store.delete_rows):
        nonlocal steps
        steps += 1
        if steps == 4:
            raise RuntimeError
        return await delete(command_id, limit)

    monkeypatch.setattr(world.store, "delete_rows", die_later)
    retention = world.retention(log_bytes=1)
    with pytest.raises(RuntimeError):
        await retention.run_once()
    assert world.rows_of(command) == 11
    assert (await world.follow(command))[:2] == (b"", [(0, 200_000, "retention")])
    # One who reads already sees what is left, then one gap.
    world.execute("update executor.command set log_purged_at = null")
    data, gaps, final = await world.follow(command)
    assert (len(data), gaps) == (110_000, [(110_000, 200_000, "not_stored")])
    world.execute("update executor.command set log_purged_at = now()")
    await retention.run_once()
    assert world.rows_of(command) == 0
    assert world.value("select count(*) from executor.command where log_purge_pending") == 0
    assert final.log_size == 200_000


async def test_old_history_goes_with_all_that_belongs_to_it(world):
    at = NOW - 400 * DAY
    job = world.job(at, "running")
    deployment = world.command(at, LINE, kind="deployment")
    world.play_event(deployment, 1)
    gone = [world.command(at, LINE), deployment]
    kept = [
        world.command(at, LINE, status="running"),
        world.command(at, LINE, release_pending=True),
        world.command(at, LINE, job=job),
        world.command(at, LINE, ended=NOW - 300 * DAY),
        world.command(NOW - 300 * DAY, LINE),
    ]
    old_job = world.job(at)
    history = {"commands": Kept(365), "deployments": Kept(365), "jobs": Kept(365)}
    removed = await world.retention(**history).run_once()
    assert removed.history == {"commands": 1, "deployments": 1, "jobs": 1}
    assert [world.exists(one) for one in gone] == [False, False]
    assert all(world.exists(one) for one in kept)
    for table in ("deployment", "play_event"):
        assert world.value(f"select count(*) from executor.{table}") == 0
    assert [row[0] for row in world.execute("select id from executor.job")] == [job]
    assert old_job != job
    assert sum(world.rows_of(one) for one in gone) == 0


async def test_of_too_many_rows_the_newest_stay_and_those_of_the_last_day(world):
    old = [world.command(NOW - n * DAY, LINE) for n in range(12, 2, -1)]
    new = [world.command(NOW - n * HOUR, LINE) for n in (3, 2, 1)]
    deployments = [world.command(NOW - n * DAY, LINE, kind="deployment") for n in range(12, 2, -1)]
    await world.retention(commands=Kept(0, 5)).run_once()
    assert [world.exists(one) for one in old] == [False] * 8 + [True] * 2
    assert all(world.exists(one) for one in new + deployments)
    await world.retention(commands=Kept(0, 1), deployments=Kept(0, 4)).run_once()
    assert [world.exists(one) for one in old + new] == [False] * 10 + [True] * 3
    assert [world.exists(one) for one in deployments] == [False] * 6 + [True] * 4


async def test_old_times_of_schedules_go_except_the_last_and_those_that_are_not_decided(world):
    busy, rare = world.schedule("busy"), world.schedule("rare")
    for days in (500, 400, 390, 2, 1):
        world.fire(busy, NOW - days * DAY, "waiting" if days == 390 else "started")
    world.fire(rare, NOW - 500 * DAY)
    world.fire(rare, NOW - 400 * DAY)
    removed = await world.retention(fires=Kept(365)).run_once()
    assert removed.history == {"fires": 3}
    assert world.fires(busy) == [NOW - days * DAY for days in (390, 2, 1)]
    assert world.fires(rare) == [NOW - 400 * DAY]
    world.fire(busy, NOW - 3 * DAY)
    await world.retention(fires=Kept(0, 2)).run_once()
    assert world.fires(busy) == [NOW - days * DAY for days in (390, 2, 1)]


async def test_one_replica_at_a_time_and_another_when_it_is_silent(world):
    one, other = world.retention("one"), world.retention("other")
    assert await world.store.lease("retention", "one", 60)
    assert await other.run_once() is None
    assert await one.run_once() is not None
    assert await other.run_once() is not None


async def test_zero_keeps_everything(world):
    world.days_back(3)
    commands = [world.command(NOW - 3 * DAY, LINE), world.command(NOW - 900 * DAY, LINE)]
    assert not await world.retention().run_once()
    assert [world.rows_of(one) for one in commands] == [1, 1]


async def test_partitions_are_made_ahead(world):
    world.now = NOW + 60 * DAY
    await world.retention().run_once()
    names = await world.names()
    for number in range(-1, 15):
        assert f"command_log_p{world.now + number * DAY:%Y%m%d}" in names
    before = len(names)
    await world.retention().run_once()
    assert len(await world.names()) == before


async def test_a_write_that_no_partition_is_made_for_is_kept_and_grows_old_like_others(world):
    at = NOW + 30 * DAY
    command = world.command(at, LINE)
    assert world.value("select count(*) from executor.command_log_default") == 1
    world.now = at + HOUR
    await world.retention().run_once()
    names = await world.names()
    # That day stays where it is; the next one has its place.
    assert f"command_log_p{at:%Y%m%d}" not in names
    assert f"command_log_p{at + DAY:%Y%m%d}" in names
    later = world.command(at + DAY, LINE)
    assert (await world.follow(command))[0] == LINE
    world.now = at + 40 * DAY
    await world.retention(command_log_days=30, deployment_log_days=30).run_once()
    assert (world.rows_of(command), world.rows_of(later)) == (0, 0)
    assert world.is_purged(command)
    assert world.value("select count(*) from executor.command_log_default") == 0


async def test_a_reader_that_holds_the_table_postpones_the_drop_and_nobody_waits_long(world):
    world.days_back(40)
    old = world.command(NOW - 40 * DAY, LINE)
    retention = world.retention(command_log_days=30, deployment_log_days=30)
    with psycopg.connect(world.url) as backup:
        backup.execute("select count(*) from executor.command_log").fetchone()
        turn = asyncio.create_task(retention.run_once())
        young = await asyncio.to_thread(world.command, NOW, LINE)
        removed = await turn
    assert removed.partitions == []
    assert world.is_purged(old)
    assert (await world.follow(old))[1] == [(0, 5, "retention")]
    assert world.rows_of(young) == 1
    assert f"command_log_p{NOW - 40 * DAY:%Y%m%d}" in (await retention.run_once()).partitions


async def test_replicas_do_it_by_themselves_and_callers_are_told(postgres, replica):
    async with World(postgres) as world:
        world.days_back(40)
        old, kept = world.command(NOW - 40 * DAY, LINE), world.command(NOW - 20 * DAY, LINE)
        day = f"command_log_p{NOW - 40 * DAY:%Y%m%d}"
        one, other = replica("one", "other", retention_interval_s=0.2)
        await until(lambda: world.is_purged(old) and not world.rows_of(old), 30)
        for executor in (one, other):
            async with executor.client() as client:
                shown = await client.get(str(old))
                assert shown.HasField("log_purged_at")
                assert shown.log_size_bytes == len(LINE)
                log = await client.log(str(old))
                assert log.gaps == [(0, len(LINE), "retention")]
                assert log.final == shown
                request = service.SearchLogRequest(command_id=str(old), pattern="line")
                found = await client.stub.SearchLog(request)
                assert (len(found.matches), found.next_offset, found.is_end) == (0, len(LINE), True)
                assert not (await client.get(str(kept))).HasField("log_purged_at")
                assert (await client.log(str(kept))).data == LINE
        assert day not in await world.names()

        # Each is said once, whoever did it; a day whose lock was not had in time goes with a later turn.
        def said():
            lines = [
                line
                for executor in (one, other)
                for line in (executor.folder / "executor.log").read_text().splitlines()
                if "retention_removed" in line
            ]
            return [json.loads(line) for line in lines]

        await until(lambda: any(day in line["partitions"] for line in said()), 10)
        days = [one for line in said() for one in line["partitions"]]
        assert len(days) == len(set(days))
        assert sum(line["logs"] for line in said()) == 1


async def test_what_goes_is_in_the_figures(world):
    def figures():
        names = ("myx_executor_dropped_log_partitions_total", "myx_executor_purged_logs_total")
        return [REGISTRY.get_sample_value(name) for name in names] + [
            REGISTRY.get_sample_value("myx_executor_removed_history_total", {"kind": "commands"}) or 0
        ]

    world.days_back(40)
    world.command(NOW - 40 * DAY, LINE, LINE)
    before = figures()
    await world.retention(command_log_days=30, deployment_log_days=30, commands=Kept(35)).run_once()
    days, logs, rows = (after - earlier for after, earlier in zip(figures(), before, strict=True))
    assert days >= 1
    assert (logs, rows) == (1, 1)
