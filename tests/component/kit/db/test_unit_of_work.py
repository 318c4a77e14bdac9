"""Transactions against a real PostgreSQL, also one that dies."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from myx.events.v1.events_pb2 import Event
from myx_kit.db.engine import create_engine, is_reachable
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import Aborted, FailedPrecondition, Internal, Unavailable
from myx_testkit.ports import free_port
from myx_testkit.wait import until


async def names(shop):
    async with shop.uow.begin() as connection:
        return list(await connection.scalars(select(shop.items.c.name).order_by(shop.items.c.id)))


async def test_a_block_is_committed_at_its_end_and_wakes_the_outbox(shop):
    async with shop.uow.begin() as connection:
        await connection.execute(insert(shop.items).values(id=1, name="a"))
        await shop.outbox.add(connection, "server", "created", "1", Event())
        assert not shop.outbox.wake.is_set()
    assert shop.outbox.wake.is_set()
    assert await names(shop) == ["a"]


async def test_a_block_that_raises_changes_nothing_and_wakes_nobody(shop):
    async def fail():
        async with shop.uow.begin() as connection:
            await connection.execute(insert(shop.items).values(id=1, name="a"))
            await shop.outbox.add(connection, "server", "created", "1", Event())
            raise ValueError

    with pytest.raises(ValueError):
        await fail()
    assert await names(shop) == []
    async with shop.uow.begin() as connection:
        assert await connection.scalar(select(func.count()).select_from(shop.outbox.table)) == 0
    assert not shop.outbox.wake.is_set()


async def test_a_transaction_without_events_does_not_wake_the_outbox(shop):
    async with shop.uow.begin() as connection:
        await connection.execute(insert(shop.items).values(id=1, name="a"))
    assert not shop.outbox.wake.is_set()


async def test_a_violated_constraint_passes_as_it_is(shop):
    with pytest.raises(IntegrityError):
        async with shop.uow.begin() as connection:
            await connection.execute(insert(shop.items), [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}])


async def test_parameters_do_not_appear_in_errors(shop):
    with pytest.raises(IntegrityError) as caught:
        async with shop.uow.begin() as connection:
            await connection.execute(insert(shop.items), [{"id": 1, "name": "hunter2"}, {"id": 1, "name": "hunter2"}])
    assert "hunter2" not in str(caught.value)


async def test_a_killed_database_is_unavailable_and_the_pool_heals_when_it_is_back(shop, postgres):
    await names(shop)
    postgres.kill9()
    with pytest.raises(Unavailable) as caught:
        await names(shop)
    assert caught.value.reason == "DATABASE_UNAVAILABLE"
    assert not await is_reachable(shop.engine)
    postgres.restart()

    async def healed():
        try:
            return await names(shop) == []
        except Unavailable:
            return False

    await until(healed, timeout_s=10)
    assert await is_reachable(shop.engine)


async def test_a_connection_lost_inside_the_block_is_unavailable(shop):
    with pytest.raises(Unavailable) as caught:
        async with shop.uow.begin() as connection:
            await connection.execute(text("select pg_terminate_backend(pg_backend_pid())"))
    assert caught.value.reason == "DATABASE_UNAVAILABLE"
    assert await names(shop) == []


async def test_a_deadlock_aborts_one_of_the_two(shop):
    async with shop.uow.begin() as connection:
        await connection.execute(insert(shop.items), [{"id": 1, "name": ""}, {"id": 2, "name": ""}])
    barrier = asyncio.Barrier(2)

    async def writer(first, second):
        async with shop.uow.begin() as connection:
            await connection.execute(update(shop.items).where(shop.items.c.id == first).values(name="x"))
            await barrier.wait()
            await connection.execute(update(shop.items).where(shop.items.c.id == second).values(name="y"))

    outcomes = await asyncio.gather(writer(1, 2), writer(2, 1), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Aborted", "NoneType"]
    assert [o.reason for o in outcomes if isinstance(o, Aborted)] == ["TRANSACTION_CONFLICT"]


async def test_a_statement_that_takes_too_long_is_unavailable(shop):
    async def slow():
        async with shop.uow.begin() as connection:
            await connection.execute(text("set local statement_timeout = '20ms'"))
            await connection.execute(text("select pg_sleep(5)"))

    with pytest.raises(Unavailable) as caught:
        await slow()
    assert caught.value.reason == "DATABASE_TIMEOUT"


async def test_a_cancelled_block_gives_a_clean_connection_back(shop):
    async def sleeper():
        async with shop.uow.begin() as connection:
            await connection.execute(insert(shop.items).values(id=1, name="a"))
            await connection.execute(text("select pg_sleep(30)"))

    for _ in range(6):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await sleeper()
    assert await names(shop) == []
    assert shop.engine.pool.checkedout() == 0


async def test_times_come_back_aware_and_in_utc(shop):
    async with shop.uow.begin() as connection:
        assert (await connection.scalar(select(func.now()))).utcoffset() == timedelta(0)


async def test_an_exhausted_pool_is_said_and_bounded(postgres, monkeypatch):
    monkeypatch.setattr("myx_kit.db.engine._POOL_TIMEOUT_S", 0.1)
    engine = create_engine(postgres.url, pool_size=1)
    uow = UnitOfWork(engine)
    async with uow.begin():
        with pytest.raises(Unavailable) as caught:
            async with uow.begin():
                pass
    assert caught.value.reason == "DATABASE_BUSY"
    await engine.dispose()


async def test_a_server_that_asks_for_no_password_is_not_believed(postgres):
    engine = create_engine(postgres.url, require_auth="none")
    assert not await is_reachable(engine)
    await engine.dispose()


async def test_no_server_at_all_is_unavailable():
    engine = create_engine(f"postgresql://u:hunter2@127.0.0.1:{free_port()}/x")
    with pytest.raises(Unavailable) as caught:
        async with UnitOfWork(engine).begin():
            pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "hunter2", "mysql://u:hunter2@h/x"])
def test_a_bad_url_is_said_without_showing_it(url):
    with pytest.raises(FailedPrecondition) as caught:
        create_engine(url)
    assert caught.value.reason == "DATABASE_URL_INVALID"
    assert "hunter2" not in str(caught.value)


async def test_an_event_that_could_never_be_published_is_refused(shop):
    event = Event()
    event.server_created.name = "x" * (300 << 10)
    with pytest.raises(Internal) as caught:
        async with shop.uow.begin() as connection:
            await shop.outbox.add(connection, "server", "created", "1", event)
    assert caught.value.reason == "EVENT_TOO_LARGE"


async def test_who_is_stopped_in_a_transaction_blocks_others_for_a_short_time_only(shop):
    """The other waits for the lock of a row, for as long as any does, and gets it."""
    async with shop.uow.begin() as connection:
        await connection.execute(insert(shop.items).values(id=1, name="a"))
    change = update(shop.items).where(shop.items.c.id == 1)
    async with shop.engine.connect() as stopped:
        await stopped.execute(change.values(name="stopped"))
        async with shop.uow.begin() as connection:
            await connection.execute(change.values(name="other"))
        await stopped.invalidate()
    assert await names(shop) == ["other"]
