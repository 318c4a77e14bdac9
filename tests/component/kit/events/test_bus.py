"""The bus against a real NATS server that is killed and comes back."""

import asyncio
import os
import signal

import psutil
import pytest
from nats.aio.client import Client
from prometheus_client import REGISTRY

from myx.events.v1.events_pb2 import Event
from myx_kit.errors import FailedPrecondition, Unavailable
from myx_kit.events.bus import Bus
from myx_kit.events.subjects import event_subject, log_subject
from myx_testkit.ports import free_port
from myx_testkit.wait import until

SUBJECT = log_subject("c1")


@pytest.fixture
async def bus(nats):
    bus = await Bus.connect(nats.url, nats.tls_dir, "executor", wait_s=5)
    yield bus
    await bus.close()


async def hang(nats):
    """Stop the server's process; its threads may run on for a moment after the signal."""
    os.kill(nats.program.pid, signal.SIGSTOP)
    await until(lambda: psutil.Process(nats.program.pid).status() == psutil.STATUS_STOPPED, timeout_s=5)


async def read(subscription, count):
    return [await subscription.next(5) for _ in range(count)]


async def test_what_is_published_arrives_in_order(bus):
    async with bus.subscribe(SUBJECT) as subscription:
        await bus.flush()
        for number in range(100):
            await bus.publish(SUBJECT, b"%d" % number)
        assert await read(subscription, 100) == [b"%d" % number for number in range(100)]
        assert not subscription.lost
        assert await subscription.next(0.01) is None


async def test_a_slow_reader_loses_messages_knowingly_and_memory_stays_bounded(bus):
    async with bus.subscribe(SUBJECT, max_messages=10) as subscription:
        await bus.flush()
        for number in range(50):
            await bus.publish(SUBJECT, b"%d" % number)
        await until(lambda: subscription.lost, timeout_s=5)
        assert await read(subscription, 10) == [b"%d" % number for number in range(10)]


async def test_the_buffer_is_bounded_in_bytes_too(bus):
    async with bus.subscribe(SUBJECT, max_bytes=1000) as subscription:
        await bus.flush()
        for _ in range(3):
            await bus.publish(SUBJECT, b"x" * 400)
        await until(lambda: subscription.lost, timeout_s=5)
        assert [len(payload) for payload in await read(subscription, 2)] == [400, 400]


async def test_a_killed_server_is_found_again_and_subscriptions_say_that_they_lost(bus, nats):
    async with bus.subscribe(SUBJECT) as subscription:
        await bus.flush()
        nats.kill9()
        await until(lambda: not bus.connected, timeout_s=5)
        dropped = REGISTRY.get_sample_value("myx_bus_dropped_messages_total")
        assert REGISTRY.get_sample_value("myx_bus_connected") == 0
        await bus.publish(SUBJECT, b"dropped")
        assert bus.dropped == 1
        assert REGISTRY.get_sample_value("myx_bus_dropped_messages_total") == dropped + 1
        assert await subscription.next(5) is None
        assert subscription.lost
        subscription.lost = False
        nats.restart()
        await until(lambda: bus.connected and subscription.lost, timeout_s=10)
        await bus.publish(SUBJECT, b"back")
        assert await until(lambda: subscription.next(1), timeout_s=5) == b"back"


async def test_a_service_starts_without_nats_and_gets_it_later(nats):
    nats.kill9()
    reconnects = []
    async with asyncio.timeout(5):
        bus = await Bus.connect(nats.url, nats.tls_dir, "executor", wait_s=0.1)
    bus.on_reconnect(lambda: reconnects.append(1))
    async with bus.subscribe(SUBJECT) as subscription:
        assert subscription.lost
        subscription.lost = False
        await bus.flush()
        with pytest.raises(Unavailable):
            await bus.publish_event("1", event_subject("agent", "online", "a"), b"")
        nats.restart()
        await until(lambda: bus.connected and subscription.lost, timeout_s=10)
        assert reconnects == [1]
        await bus.publish(SUBJECT, b"hello")
        assert await until(lambda: subscription.next(1), timeout_s=5) == b"hello"
    await bus.close()


async def test_closing_while_nats_is_away_is_quick(tls_dir):
    bus = await Bus.connect(f"tls://127.0.0.1:{free_port()}", tls_dir, "executor", wait_s=0.1)
    async with asyncio.timeout(3):
        await bus.close()


async def test_iterating_ends_in_an_empty_payload_when_something_was_lost(bus, nats):
    async with bus.subscribe(SUBJECT) as subscription:
        await bus.flush()
        await bus.publish(SUBJECT, b"1")
        assert await anext(subscription) == b"1"
        nats.kill9()
        async with asyncio.timeout(5):
            assert await anext(subscription) == b""
        assert subscription.lost


async def test_members_of_a_queue_share_the_messages(bus):
    async with bus.subscribe("myx.work.command", queue="q") as one, bus.subscribe("myx.work.command", queue="q") as two:
        await bus.flush()
        for _ in range(40):
            await bus.publish("myx.work.command", b"x")
        await bus.flush()
        seen = 0
        for subscription in (one, two):
            while await subscription.next(0.2):
                seen += 1
        assert seen == 40


async def test_an_event_is_stored_once_per_id_and_survives_a_kill(bus, nats):
    subject = event_subject("agent", "online", "a")
    for _ in range(2):
        await bus.publish_event("id-1", subject, b"one")
    nats.kill9()
    await until(lambda: not bus.connected, timeout_s=5)
    nats.restart()
    await until(lambda: bus.connected, timeout_s=10)
    await bus.publish_event("id-2", subject, b"two")
    state = await bus._client.jetstream().stream_info("MYX_EVENTS")
    assert state.state.messages == 2
    assert state.config.duplicate_window == 3600
    assert state.config.max_age == 7 * 86400


async def test_making_the_stream_twice_and_after_another_configuration_is_harmless(bus):
    await bus.ensure_stream()
    await bus.ensure_stream()
    await bus._client.jetstream().update_stream(name="MYX_EVENTS", subjects=["myx.events.>"], max_age=3600)
    await bus.ensure_stream()
    state = await bus._client.jetstream().stream_info("MYX_EVENTS")
    assert state.config.max_age == 7 * 86400


async def test_a_deleted_stream_is_made_again(bus):
    await bus.ensure_stream()
    await bus._client.jetstream().delete_stream("MYX_EVENTS")

    async def published():
        try:
            await bus.publish_event("1", event_subject("agent", "online", "a"), b"")
        except Unavailable:
            return False
        return True

    assert await until(published, timeout_s=10)


async def test_consumers_get_events_and_outlive_their_handlers_errors(bus):
    seen = []

    async def handler(event):
        seen.append(event.agent_online.agent_id)
        if len(seen) == 1:
            raise ValueError

    bus.consume_ephemeral("myx.events.agent.>", handler)
    await bus.flush()
    for name in ("a", "b"):
        event = Event(id=name)
        event.agent_online.agent_id = name
        await bus.publish_event(name, event_subject("agent", "online", name), event.SerializeToString())
    await until(lambda: seen == ["a", "b"], timeout_s=5)


async def test_consumers_hear_that_events_may_be_missing(bus, nats):
    lost = []

    async def handler(event):
        pass

    bus.consume_ephemeral("myx.events.agent.>", handler, on_lost=lambda: lost.append(1))
    await bus.flush()
    nats.kill9()
    nats.restart()
    await until(lambda: lost and bus.connected, timeout_s=10)


async def test_a_client_that_nats_closes_for_good_is_replaced(bus):
    client = bus._client
    async with bus.subscribe(SUBJECT) as subscription:
        await client.close()
        await until(lambda: bus.connected and bus._client is not client, timeout_s=10)
        await bus.publish(SUBJECT, b"again")
        assert await until(lambda: subscription.next(1), timeout_s=5) == b"again"


async def test_a_client_that_cannot_be_closed_is_replaced_too(bus, monkeypatch):
    """nats-py writes what is unsent when it is closed, and uvloop refuses that when the connection is gone."""
    client, close = bus._client, Client.close

    async def fail(self):
        await close(self)
        raise RuntimeError("unable to perform operation; the handler is closed")

    monkeypatch.setattr(Client, "close", fail)
    await close(client)
    await until(lambda: bus.connected and bus._client is not client, timeout_s=10)
    monkeypatch.undo()
    async with bus.subscribe(SUBJECT) as subscription:
        await bus.publish(SUBJECT, b"again")
        assert await subscription.next(5) == b"again"


async def test_a_server_that_is_not_nats_is_not_spoken_to(nats, tls_dir, monkeypatch):
    monkeypatch.setattr("myx_kit.events.bus._SERVER_NAME", "registry")
    bus = await Bus.connect(nats.url, tls_dir, "executor", wait_s=0.5)
    assert not bus.connected
    await bus.close()


def test_missing_certificates_are_said(tmp_path):
    with pytest.raises(FailedPrecondition) as caught:
        Bus("tls://127.0.0.1:1", tmp_path, "executor")
    assert caught.value.reason == "TLS_FILES_UNREADABLE"


async def test_oversize_messages_are_dropped_and_counted(bus):
    await bus.publish(SUBJECT, b"x" * ((1 << 20) + 1))
    assert bus.dropped == 1
    assert bus.connected


async def test_a_server_that_hangs_delays_publishers_briefly_and_memory_stays_bounded(bus, nats):
    await hang(nats)
    try:
        async with asyncio.timeout(5):
            for _ in range(200):
                await bus.publish(SUBJECT, b"x" * (256 << 10))
        assert bus.dropped > 100
        assert bus._client.pending_data_size < 9 << 20
    finally:
        os.kill(nats.program.pid, signal.SIGCONT)
    async with bus.subscribe(SUBJECT) as subscription:
        await bus.flush()

        async def arrives():
            await bus.publish(SUBJECT, b"again")
            return await subscription.next(0.2) == b"again"

        await until(arrives, timeout_s=10)


async def test_what_was_published_before_closing_is_sent(bus, nats):
    async with bus.subscribe(SUBJECT) as subscription:
        await bus.flush()
        other = await Bus.connect(nats.url, nats.tls_dir, "executor", wait_s=5)
        for number in range(50):
            await other.publish(SUBJECT, b"%d" % number)
        await other.close()
        assert await read(subscription, 50) == [b"%d" % number for number in range(50)]


async def test_a_flush_that_is_cancelled_while_nats_hangs_harms_nobody(bus, nats):
    async with bus.subscribe(SUBJECT) as subscription:
        await bus.flush()
        await hang(nats)
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await bus.flush()
        finally:
            os.kill(nats.program.pid, signal.SIGCONT)
        await bus.publish(SUBJECT, b"again")
        assert await subscription.next(5) == b"again"
        assert not subscription.lost


async def test_a_subscription_that_ended_while_nats_was_away_does_not_come_back(bus, nats):
    async with bus.subscribe(SUBJECT):
        await bus.flush()
        nats.kill9()
        await until(lambda: not bus.connected, timeout_s=5)
    nats.restart()
    await until(lambda: bus.connected, timeout_s=10)
    assert SUBJECT not in [subscription.subject for subscription in bus._client._subs.values()]
