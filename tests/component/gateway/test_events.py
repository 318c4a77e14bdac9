"""Events of the fleet from a real NATS through a real gateway to WebSockets and server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from people import call, new_token, new_user

from myx.events.v1.events_pb2 import Event
from myx_kit.errors import Unavailable
from myx_kit.events.bus import Bus
from myx_kit.events.subjects import event_subject
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def bus(nats: Any) -> AsyncIterator[Bus]:
    bus = await Bus.connect(nats.url, nats.tls_dir, "executor", wait_s=5)
    yield bus
    await bus.close()


# The one server that the registry here finds, whatever it is asked for.
MATCHED = "0192e4a0-0000-7000-8000-0000000000a1"


class Publisher:
    """Publishes events with growing numbers, through whatever happens to NATS."""

    def __init__(self, bus: Bus) -> None:
        self.bus, self.count = bus, 0

    async def __call__(self, kind: str = "agent_online", **fields: str) -> None:
        self.count += 1
        event = Event(id=f"event-{self.count}")
        event.occurred_at.FromJsonString("2026-11-26T14:00:00Z")
        getattr(event, kind).SetInParent()
        for name, value in fields.items():
            setattr(getattr(event, kind), name, value)

        async def stored() -> bool:
            noun, verb = kind.split("_")
            try:
                await self.bus.publish_event(event.id, event_subject(noun, verb, "x"), event.SerializeToString())
            except Unavailable:
                return False
            return True

        await until(stored, 30)


@pytest.fixture
def publish(bus: Bus) -> Publisher:
    return Publisher(bus)


@pytest.fixture
def start(start_gateway: Any, nats: Any) -> Any:
    """A gateway that reads from NATS."""
    return lambda **settings: start_gateway(nats_url=nats.url, **settings)


@asynccontextmanager
async def socket(gateway: Any, query: str = "") -> AsyncIterator[Any]:
    async with gateway.http.ws_connect(f"/api/v1/events{query}") as opened:
        yield opened


async def told(opened: Any) -> dict[str, Any]:
    """The next message but pings."""
    for _ in range(40):
        message: dict[str, Any] = await opened.receive_json(timeout=30)
        if message["type"] != "ping":
            return message
    raise AssertionError("there were only pings")


async def server_sent(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, str]]:
    fields: dict[str, str] = {}
    async for line in answer.content:
        text = line.decode().rstrip("\n")
        if not text and fields:
            yield fields
            fields = {}
        elif text:
            name, _, value = text.partition(": ")
            fields[name] = value


async def test_both_ways_tell_what_happens_and_resume(start: Any, publish: Publisher) -> None:
    for version in ("1", "2", "3"):
        await publish(server_id="s1", agent_id="a1", version=version)
    async with start() as gateway:
        async with socket(gateway) as opened:
            begin = await told(opened)
            assert begin["type"] == "start"
            await publish(server_id="s1", agent_id="a1", version="4")
            event = await told(opened)
        assert event == {
            "id": event["id"],
            "time": "2026-11-26T14:00:00Z",
            "type": "agent.online",
            "server_id": "s1",
            "data": {"agent_id": "a1", "version": "4"},
        }
        assert event["id"].endswith("-4")
        await publish("job_paused", job_id="j1")
        async with socket(gateway, f"?after={event['id']}") as opened:
            assert (await told(opened))["type"] == "start"
            assert (await told(opened))["type"] == "job.paused"
        async with socket(gateway, "?after=0&type=agent") as opened:
            assert (await told(opened))["type"] == "start"
            assert [(await told(opened))["data"]["version"] for _ in range(4)] == ["1", "2", "3", "4"]
        headers = {"Last-Event-ID": begin["id"]}
        async with gateway.http.get("/api/v1/events", headers=headers) as answer:
            assert answer.content_type == "text/event-stream"
            events = server_sent(answer)
            first = [await anext(events) for _ in range(4)]
        assert first[0] == {"retry": "1000"}
        assert first[1]["event"] == "start"
        assert [json.loads(one["data"])["type"] for one in first[2:]] == ["agent.online", "job.paused"]
        assert [one["id"][-2:] for one in first[1:]] == ["-3", "-4", "-5"]
        assert "event" not in first[2]


async def test_what_is_asked_for_is_checked(start: Any, publish: Publisher, backend: Any) -> None:
    await publish()
    async with start() as gateway:
        for query, word in (("?type=agent.happy", "type"), ("?after=17", "after"), ("?after=x-y", "after")):
            problem = await gateway.problem("GET", f"/api/v1/events{query}")
            assert (problem["status"], problem["reason"]) == (400, "REQUEST_INVALID")
            assert word in problem["fields"]
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with socket(gateway, query):
                    pass
            assert refused.value.status == 400
        async with gateway.stranger.get("/api/v1/events") as answer:
            assert answer.status == 401


async def test_nats_may_go_and_come_back(start: Any, publish: Publisher, nats: Any) -> None:
    await publish(version="before")
    async with start(stream_ping_s=1) as gateway, socket(gateway) as opened:
        await told(opened)
        nats.kill9()
        # It stays open and says nothing but that it is alive.
        assert (await opened.receive_json(timeout=30))["type"] == "ping"
        nats.restart()
        await publish(version="after")
        assert (await told(opened))["data"]["version"] == "after"


async def test_a_gateway_that_starts_without_nats_waits_with_its_clients(
    start: Any, publish: Publisher, nats: Any
) -> None:
    await publish(version="one")
    nats.kill9()
    async with start(stream_ping_s=1) as gateway, socket(gateway, "?after=0") as opened:
        assert await opened.receive_json(timeout=30) == {"type": "ping"}
        nats.restart()
        assert (await told(opened))["type"] == "start"
        assert (await told(opened))["data"]["version"] == "one"


async def test_a_place_that_is_not_kept_any_more_is_a_gap(start: Any, publish: Publisher) -> None:
    await publish(version="first")
    async with start(events_kept=100) as gateway, socket(gateway) as opened:
        place = (await told(opened))["id"]
    for _ in range(150):
        await publish()
    async with start(events_kept=100) as gateway, socket(gateway, f"?after={place}") as opened:
        gap = await told(opened)
        assert (gap["type"], gap["from"], gap["reason"]) == ("gap", place, "not_kept")
        assert (await told(opened))["id"] == gap["to"]
        assert len([await told(opened) for _ in range(100)]) == 100


async def test_a_stopping_gateway_says_so_and_the_next_one_goes_on(start: Any, publish: Publisher) -> None:
    await publish()
    async with start() as gateway:
        async with socket(gateway) as opened:
            place = (await told(opened))["id"]
            stopping = asyncio.create_task(asyncio.to_thread(gateway.program.stop))
            message = await opened.receive(timeout=30)
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert message.data == 1012
            assert "after" in message.extra
        assert await stopping == 0
        await publish(version="while it was away")
        gateway.program.start()

        async def again() -> bool:
            try:
                async with socket(gateway, f"?after={place}") as opened:
                    await told(opened)
                    return bool((await told(opened))["data"]["version"] == "while it was away")
            except aiohttp.ClientError:
                return False

        await until(again, 30)


async def test_one_sees_what_one_may_see_for_as_long_as_one_may(start: Any, publish: Publisher, backend: Any) -> None:
    await publish()
    async with start(stream_recheck_s=1) as gateway:
        user = await new_user(gateway, "viewer", "tier=web")
        token = await new_token(gateway, user)
        headers = {"Authorization": f"Bearer {token}"}
        async with gateway.stranger.ws_connect("/api/v1/events", headers=headers) as opened:
            assert (await told(opened))["type"] == "start"
            await publish("server_created", server_id="s2", name="hidden")
            await publish(server_id=MATCHED, version="seen")
            assert (await told(opened))["type"] == "agent.online"
            assert (await call(gateway, "PATCH", f"/users/{user}", {"disabled": True}, If_Match="*"))[0] == 200
            message = await opened.receive(timeout=60)
            while message.type is aiohttp.WSMsgType.TEXT:
                message = await opened.receive(timeout=60)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)
            assert message.extra.startswith("FORBIDDEN")
        async with gateway.stranger.get("/api/v1/events", headers=headers) as answer:
            assert answer.status == 401
        nobody = await new_token(gateway, await new_user(gateway))
        async with gateway.stranger.get("/api/v1/events", headers={"Authorization": f"Bearer {nobody}"}) as answer:
            assert answer.status == 403
