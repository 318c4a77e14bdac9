"""The outbox with a real PostgreSQL and a real NATS server, through outages and with two replicas."""

import asyncio
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import func, select, text

from myx.events.v1.events_pb2 import Event, ServerCreated
from myx_kit import tracing
from myx_kit.db.outbox import OutboxRelay
from myx_kit.errors import Unavailable
from myx_kit.events.bus import Bus
from myx_kit.loops import TaskOwner
from myx_testkit.wait import until


@pytest.fixture
async def bus(nats):
    bus = await Bus.connect(nats.url, nats.tls_dir, "registry", wait_s=5)
    yield bus
    await bus.close()


async def add(shop, *names):
    for name in names:
        async with shop.uow.begin() as connection:
            event = Event()
            event.server_created.name = name
            await shop.outbox.add(connection, "server", "created", "s1", event)


async def waiting(shop):
    async with shop.uow.begin() as connection:
        return await connection.scalar(select(func.count()).select_from(shop.outbox.table))


async def stored(bus):
    """All events in the stream, in its order."""
    jetstream = bus._client.jetstream()
    count = (await jetstream.stream_info("MYX_EVENTS")).state.messages
    return [Event.FromString((await jetstream.get_msg("MYX_EVENTS", seq=n + 1)).data) for n in range(count)]


async def test_events_are_published_in_order_and_then_gone(shop, bus):
    await add(shop, *"abcde")
    assert await OutboxRelay(shop.engine, shop.outbox, bus, batch=2).run_once() == 5
    events = await stored(bus)
    assert [event.server_created.name for event in events] == list("abcde")
    assert len({event.id for event in events}) == 5
    assert [event.revision for event in events] == sorted({event.revision for event in events})
    assert all(event.occurred_at.seconds > 0 for event in events)
    assert await waiting(shop) == 0


async def test_many_events_of_one_transaction_keep_their_order(shop, bus):
    names = [f"s{n}" for n in range(500)]
    async with shop.uow.begin() as connection:
        await shop.outbox.add_all(connection, [])
        await shop.outbox.add_all(
            connection,
            [("server", "created", name, Event(server_created=ServerCreated(name=name))) for name in names],
        )
    assert await OutboxRelay(shop.engine, shop.outbox, bus).run_once() == 500
    assert [event.server_created.name for event in await stored(bus)] == names


async def test_a_running_relay_is_woken_by_the_commit(shop, bus):
    async with TaskOwner("test") as owner:
        owner.start(OutboxRelay(shop.engine, shop.outbox, bus).run(), name="relay")
        await add(shop, "first")
        await until(lambda: empty(shop), timeout_s=5)
        async with asyncio.timeout(1):
            await add(shop, "second")
            await until(lambda: empty(shop), timeout_s=5)


async def empty(shop):
    return await waiting(shop) == 0


async def test_rows_wait_while_nats_is_away_and_go_out_in_order_when_it_is_back(shop, bus, nats):
    async with TaskOwner("test") as owner:
        owner.start(OutboxRelay(shop.engine, shop.outbox, bus).run(), name="relay")
        await add(shop, "a", "b")
        await until(lambda: empty(shop), timeout_s=5)
        nats.kill9()
        await add(shop, *"cdefgh")
        assert await waiting(shop) == 6
        nats.restart()
        await until(lambda: empty(shop), timeout_s=15)
    assert [event.server_created.name for event in await stored(bus)] == list("abcdefgh")


async def test_what_was_published_but_not_deleted_is_stored_once(shop, bus, monkeypatch):
    await add(shop, *"abc")
    relay = OutboxRelay(shop.engine, shop.outbox, bus)

    async def crash(_rows):
        await publish(_rows)
        raise Unavailable("CRASHED", "between publishing and deleting")

    publish = relay._publish
    monkeypatch.setattr(relay, "_publish", crash)
    with pytest.raises(Unavailable):
        await relay.run_once()
    assert await waiting(shop) == 3
    monkeypatch.undo()
    assert await relay.run_once() == 3
    assert [event.server_created.name for event in await stored(bus)] == list("abc")


async def test_nats_failing_in_mid_batch_keeps_the_rest_in_order(shop, bus, monkeypatch):
    await add(shop, *"abcd")
    real, calls = bus.publish_event, []

    async def third_fails(event_id, subject, payload, traceparent):
        calls.append(event_id)
        if len(calls) == 3:
            raise Unavailable("EVENT_BUS_UNAVAILABLE", "")
        await real(event_id, subject, payload, traceparent)

    monkeypatch.setattr(bus, "publish_event", third_fails)
    relay = OutboxRelay(shop.engine, shop.outbox, bus)
    assert await relay.run_once() == 2
    assert await waiting(shop) == 2
    assert await relay.run_once() == 2
    assert [event.server_created.name for event in await stored(bus)] == list("abcd")


async def test_only_one_of_two_replicas_publishes_at_a_time(shop, bus, monkeypatch):
    await add(shop, *"ab")
    one, two = OutboxRelay(shop.engine, shop.outbox, bus), OutboxRelay(shop.engine, shop.outbox, bus)
    publish, seen_by_two = one._publish, []

    async def publish_while_the_other_tries(rows):
        seen_by_two.append(await two.run_once())
        return await publish(rows)

    monkeypatch.setattr(one, "_publish", publish_while_the_other_tries)
    assert await one.run_once() == 2
    assert seen_by_two == [0]
    await add(shop, "c")
    assert await two.run_once() == 1


async def test_a_relay_that_dies_gives_its_lock_back(shop, bus, monkeypatch):
    await add(shop, "a")
    one, two = OutboxRelay(shop.engine, shop.outbox, bus), OutboxRelay(shop.engine, shop.outbox, bus)
    publishing = asyncio.Event()

    async def hang(_rows):
        publishing.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(one, "_publish", hang)
    task = asyncio.create_task(one.run_once())
    await publishing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await two.run_once() == 1


async def test_a_relay_that_is_stopped_in_its_turn_leaves_it_to_another(shop, bus, monkeypatch):
    monkeypatch.setattr("myx_kit.db.outbox._TURN_S", 0.5)
    await add(shop, "a")
    one, two = OutboxRelay(shop.engine, shop.outbox, bus), OutboxRelay(shop.engine, shop.outbox, bus)
    publish, publishing, awake = one._publish, asyncio.Event(), asyncio.Event()

    async def publish_when_awake(rows):
        publishing.set()
        await awake.wait()
        return await publish(rows)

    monkeypatch.setattr(one, "_publish", publish_when_awake)
    task = asyncio.create_task(one.run_once())
    await publishing.wait()
    assert await two.run_once() == 0
    await until(two.run_once)
    await add(shop, "b")
    awake.set()
    with pytest.raises(Unavailable):
        await task
    assert await waiting(shop) == 1
    assert await two.run_once() == 1
    assert [event.server_created.name for event in await stored(bus)] == ["a", "b"]


async def test_a_turn_ends_with_its_limit(shop, bus, monkeypatch):
    monkeypatch.setattr("myx_kit.db.outbox._TURN_S", 0.2)
    await add(shop, "a")
    relay = OutboxRelay(shop.engine, shop.outbox, bus)
    assert await relay.run_once() == 1
    async with shop.engine.connect() as connection:
        assert await connection.scalar(text("show idle_session_timeout")) == "0"


async def test_who_publishes_slowly_deletes_what_is_confirmed_before_its_turn_is_over(shop, bus, monkeypatch):
    monkeypatch.setattr("myx_kit.db.outbox._PUBLISH_S", 0.5)
    await add(shop, *"abc")
    real = bus.publish_event

    async def slowly(*event):
        await real(*event)
        await asyncio.sleep(0.6)

    monkeypatch.setattr(bus, "publish_event", slowly)
    relay = OutboxRelay(shop.engine, shop.outbox, bus)
    assert await relay.run_once() == 1
    assert await waiting(shop) == 2
    monkeypatch.undo()
    assert await relay.run_once() == 2


async def test_a_killed_database_delays_events_and_loses_none(shop, bus, postgres):
    async with TaskOwner("test") as owner:
        owner.start(OutboxRelay(shop.engine, shop.outbox, bus).run(), name="relay")
        await add(shop, "a")
        await until(lambda: empty(shop), timeout_s=5)
        postgres.kill9()
        postgres.restart()

        async def added():
            try:
                await add(shop, "b")
            except Unavailable:
                return False
            return True

        await until(added, timeout_s=10)
        await until(lambda: empty(shop), timeout_s=10)
    assert [event.server_created.name for event in await stored(bus)] == ["a", "b"]


async def test_how_much_waits_and_for_how_long_is_shown_when_somebody_looks(shop, bus):
    relay = OutboxRelay(shop.engine, shop.outbox, bus)
    await relay.measure()
    assert (figure("myx_outbox_waiting_events"), figure("myx_outbox_oldest_event_age_seconds")) == (0, 0)
    await add(shop, *"ab")
    async with shop.uow.begin() as connection:
        aged = shop.outbox.table.update().values(created_at=func.now() - timedelta(seconds=90))
        await connection.execute(aged)
    await relay.measure()
    assert figure("myx_outbox_waiting_events") == 2
    assert 90 <= figure("myx_outbox_oldest_event_age_seconds") < 9000
    published = figure("myx_outbox_published_events_total")
    await relay.run_once()
    await relay.measure()
    assert (figure("myx_outbox_waiting_events"), figure("myx_outbox_oldest_event_age_seconds")) == (0, 0)
    assert figure("myx_outbox_published_events_total") == published + 2


async def test_events_carry_the_trace_of_the_work_that_made_them(shop, bus):
    header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    tracing.enter(header)
    await add(shop, "a")
    tracing.enter("")
    await add(shop, "b")
    await OutboxRelay(shop.engine, shop.outbox, bus).run_once()
    jetstream = bus._client.jetstream()
    messages = [await jetstream.get_msg("MYX_EVENTS", seq=number) for number in (1, 2)]
    assert [Event.FromString(one.data).traceparent for one in messages] == [header, ""]
    assert [one.headers.get("traceparent") for one in messages] == [header, None]


def figure(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0
