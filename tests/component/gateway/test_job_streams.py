"""Jobs by WebSocket and server-sent events: each change, every byte once, whatever breaks behind or in front."""

import asyncio
import base64
import json
import socket as sockets
import struct
from typing import Any

import aiohttp
import pytest

from myx.executor.v1 import job_pb2
from myx_kit.errors import Internal, NotFound, Unavailable
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MB = 1 << 20
RUNNING, SUCCESS, FAILED = job_pb2.TARGET_STATUS_RUNNING, job_pb2.TARGET_STATUS_SUCCESS, job_pb2.TARGET_STATUS_FAILED


def url(job: Any, query: str = "") -> str:
    return f"/api/v1/jobs/{job.job.id}/stream{query}"


class Viewer:
    """What a WebSocket told: messages as they came, the newest state of each target, output by target."""

    def __init__(self) -> None:
        self.texts: list[dict[str, Any]] = []
        self.targets: dict[int, dict[str, Any]] = {}
        self.output: dict[int, bytes] = {}
        self.offsets: dict[int, int] = {}
        self.streams: list[int] = []
        self.revisions: list[int] = []
        self.job: dict[str, Any] = {}

    async def read(self, socket: Any, *, texts: int = 0) -> int | None:
        """Read until it closes (its code), or until this many text messages came."""
        async with asyncio.timeout(20):
            async for message in socket:
                self.take(message)
                if texts and len(self.texts) >= texts:
                    return None
        return int(socket.close_code)

    def take(self, message: Any) -> None:
        if message.type is aiohttp.WSMsgType.BINARY:
            stream, number, offset = struct.unpack_from("!BIQ", message.data)
            assert offset == self.offsets.get(number, 0)
            self.streams.append(stream)
            self.output[number] = self.output.get(number, b"") + message.data[13:]
            self.offsets[number] = offset + len(message.data) - 13
            return
        text = json.loads(message.data)
        self.texts.append(text)
        if text["type"] == "job":
            self.job = text["job"]
            self.revisions.append(self.job["revision"])
        elif text["type"] == "targets":
            self.targets.update({target["number"]: target for target in text["targets"]})
        elif text["type"] == "gap":
            self.offsets[text["number"]] = text["to"]


async def test_a_socket_tells_the_job_its_targets_and_their_output_up_to_the_end(gateway: Any, backend: Any) -> None:
    job = backend.new_job(3)
    viewer = Viewer()
    async with gateway.http.ws_connect(url(job, "?output=true")) as socket:
        await until(lambda: job.readers == 1)
        job.change(1, status=RUNNING)
        job.write(1, b"out\n")
        job.write(2, b"err\xff", 2)
        job.gap(2, 10, "size_limit")
        job.write(2, b"tail")
        job.change(1, status=SUCCESS, log_size_bytes=4)
        job.finish()
        assert await viewer.read(socket) == 1000
    assert viewer.output == {1: b"out\n", 2: b"err\xfftail"}
    assert {"type": "gap", "number": 2, "from": 4, "to": 14, "reason": "size_limit"} in viewer.texts
    assert viewer.offsets == {1: 4, 2: 18}
    assert (viewer.targets[1]["status"], viewer.targets[3]["status"]) == ("success", "waiting")
    last = viewer.texts[-1]
    assert (last["type"], last["job"]["status"], last["job"]["id"]) == ("job", "success", job.job.id)
    await until(lambda: job.readers == 0)


async def test_output_comes_only_on_request(gateway: Any, backend: Any) -> None:
    job = backend.new_job(1)
    job.write(1, b"out\n")
    job.finish()
    viewer = Viewer()
    async with gateway.http.ws_connect(url(job)) as socket:
        assert await viewer.read(socket) == 1000
    assert viewer.output == {}
    assert not job.asked[-1].output


async def test_a_client_resumes_by_its_revision_and_its_offsets(gateway: Any, backend: Any) -> None:
    job = backend.new_job(300)
    for number in range(1, 301):
        job.write(number, b"0123456789")
    viewer = Viewer()
    async with gateway.http.ws_connect(url(job, "?output=true")) as socket:
        await viewer.read(socket, texts=3)
    assert len(viewer.targets) == 300
    job.change(7, status=FAILED)
    job.finish(job_pb2.JOB_STATUS_PARTIAL)
    viewer.texts.clear()
    query = f"?after_revision={viewer.revisions[-1]}&output=true&resume=true"
    async with gateway.http.ws_connect(url(job, query)) as socket:
        await socket.send_str(json.dumps({"offsets": {str(n): o for n, o in viewer.offsets.items()}}))
        assert await viewer.read(socket) == 1000
    told = [target["number"] for text in viewer.texts if text["type"] == "targets" for target in text["targets"]]
    assert told == [7]
    assert viewer.output == dict.fromkeys(range(1, 301), b"0123456789")


async def test_offsets_of_ten_thousand_targets_are_heard(gateway: Any, backend: Any) -> None:
    job = backend.new_job(1)
    job.finish()
    viewer = Viewer()
    async with gateway.http.ws_connect(url(job, "?output=true&resume=true")) as socket:
        await socket.send_str(json.dumps({"offsets": {str(n): 10**9 + n for n in range(1, 10_001)}}))
        assert await viewer.read(socket) == 1000
    assert len(job.asked[-1].offsets) == 10_000


@pytest.mark.parametrize("text", ["{}", "nonsense", '{"offsets": {"1": -1}}'])
async def test_a_client_that_says_something_wrong_learns_what(gateway: Any, backend: Any, text: str) -> None:
    job = backend.new_job(1)
    async with gateway.http.ws_connect(url(job, "?resume=true")) as socket:
        await socket.send_str(text)
        message = await socket.receive(timeout=10)
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)
    assert "offsets" in message.extra
    assert not job.asked


async def test_a_broken_source_is_picked_up_without_loss_or_repeat(gateway: Any, backend: Any) -> None:
    job = backend.new_job(2)
    job.write(1, b"before ")
    viewer = Viewer()
    async with gateway.http.ws_connect(url(job, "?output=true")) as socket:
        await viewer.read(socket, texts=2)
        job.fail(Unavailable("DATABASE_UNAVAILABLE", "gone"))
        await until(lambda: job.readers == 0 or len(job.asked) == 2)
        job.write(1, b"after")
        job.change(2, status=FAILED)
        job.finish()
        assert await viewer.read(socket) == 1000
    assert viewer.output == {1: b"before after"}
    assert viewer.targets[2]["status"] == "failed"
    assert len(job.asked) == 2


async def test_a_job_goes_on_across_a_restart_of_the_executor(gateway: Any, backend: Any) -> None:
    job = backend.new_job(2)
    viewer = Viewer()
    async with gateway.http.ws_connect(url(job, "?output=true")) as socket:
        await viewer.read(socket, texts=2)
        await backend.stop("executor")
        job.write(2, b"meanwhile")
        job.finish()
        await backend.start("executor")
        assert await viewer.read(socket) == 1000
    assert (viewer.output, viewer.job["status"]) == ({2: b"meanwhile"}, "success")


async def test_a_source_that_stays_away_is_said_and_the_client_told_to_come_back(
    start_gateway: Any, backend: Any
) -> None:
    async with start_gateway(stream_heal_s=0.5) as gateway:
        job = backend.new_job(1)
        viewer = Viewer()
        async with gateway.http.ws_connect(url(job)) as socket, gateway.http.get(url(job)) as answer:
            await until(lambda: job.readers == 2)
            await backend.stop("executor")
            try:
                assert await viewer.read(socket) == 1013
                events = await read_events(answer)
                problem = await gateway.problem("GET", url(job))
            finally:
                await backend.start("executor")
    assert events[-1][0] == "close"
    assert events[-1][2]["reason"] == "JOB_SOURCE_LOST"
    assert (problem["status"], problem["reason"]) == (503, "JOB_SOURCE_LOST")


async def test_an_error_that_does_not_pass_ends_the_stream(gateway: Any, backend: Any) -> None:
    for error in (Internal("BROKEN", "password hunter2"), NotFound("JOB_NOT_FOUND", "deleted")):
        job = backend.new_job(1)
        viewer = Viewer()
        async with gateway.http.ws_connect(url(job)) as socket:
            await until(lambda job=job: job.readers == 1)
            job.fail(error)
            assert await viewer.read(socket) == 1011


@pytest.mark.parametrize("query", ["?after_revision=x", "?after_revision=-1", f"?after_revision={'9' * 19}"])
async def test_a_bad_revision_is_refused_before_the_stream_begins(gateway: Any, backend: Any, query: str) -> None:
    job = backend.new_job(1)
    problem = await gateway.problem("GET", url(job, query))
    assert (problem["status"], list(problem["fields"])) == (400, ["after_revision"])
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.http.ws_connect(url(job, query))
    assert refused.value.status == 400
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.http.ws_connect(url(job, "?output=perhaps"))
    assert refused.value.status == 400


async def test_an_unknown_job_is_404_before_the_stream_begins(gateway: Any, backend: Any) -> None:
    backend.errors["GetJob"] = NotFound("JOB_NOT_FOUND", "no such job")
    assert (await gateway.problem("GET", "/api/v1/jobs/none/stream"))["reason"] == "JOB_NOT_FOUND"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.http.ws_connect("/api/v1/jobs/none/stream?resume=true")
    assert refused.value.status == 404


async def read_events(answer: Any) -> list[tuple[str, str, Any]]:
    """(event, id, data) of a stream until it ends; an id alone as event ""."""
    async with asyncio.timeout(20):
        body = (await answer.read()).decode()
    events = []
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields or "id" in fields:
            events.append((fields.get("event", ""), fields.get("id", ""), json.loads(fields.get("data", "null"))))
    return events


async def test_events_tell_the_same_and_resume_by_their_id(gateway: Any, backend: Any) -> None:
    job = backend.new_job(2)
    job.write(1, b"out")
    async with gateway.http.get(url(job, "?output=true")) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        await until(lambda: job.given_bytes == 3)
        job.change(2, status=RUNNING)
        await until(lambda: job.asked)
        await answer.content.readuntil(b"event: job\n")
        answer.close()
    await until(lambda: job.readers == 0)
    job.write(2, b"err\n", 2)
    job.finish()
    async with gateway.http.get(url(job, "?output=true"), headers={"Last-Event-ID": "1;1:2"}) as answer:
        events = await read_events(answer)
    kinds = [event for event, _, _ in events]
    assert kinds == ["targets", "output", "output", "job"]
    assert [target["number"] for target in events[0][2]["targets"]] == [2]
    first = {"number": 1, "stream": "stdout", "offset": 2, "data": base64.b64encode(b"t").decode()}
    second = {"number": 2, "stream": "stderr", "offset": 0, "data": base64.b64encode(b"err\n").decode()}
    assert [event[2] for event in events[1:3]] == [first, second]
    assert events[3][1] == "3;1:3,2:4"
    assert events[3][2]["job"]["status"] == "success"
    problem = await gateway.problem("GET", url(job), headers={"Last-Event-ID": "soup"})
    assert (problem["status"], list(problem["fields"])) == (400, ["Last-Event-ID"])


async def test_silence_is_filled_with_pings(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(stream_ping_s=0.2) as gateway:
        job = backend.new_job(1)
        async with gateway.http.ws_connect(url(job)) as socket, gateway.http.get(url(job)) as answer:
            assert await answer.content.readuntil(b": ping\n\n")
            while json.loads((await socket.receive(timeout=5)).data) != {"type": "ping"}:
                pass
            job.finish()


async def test_a_client_that_leaves_ends_the_source(gateway: Any, backend: Any) -> None:
    job = backend.new_job(1)
    sockets = [await gateway.http.ws_connect(url(job)), await gateway.http.ws_connect(url(job, "?resume=true"))]
    answer = await gateway.http.get(url(job))
    await until(lambda: job.readers == 2)
    for socket in sockets:
        await socket.close()
    answer.close()
    await until(lambda: job.readers == 0)


async def test_a_stop_ends_the_streams_with_a_word(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(drain_s=3) as gateway:
        job = backend.new_job(1)
        viewer = Viewer()
        async with (
            gateway.http.ws_connect(url(job)) as socket,
            gateway.http.ws_connect(url(job, "?resume=true")) as silent,
            gateway.http.get(url(job)) as answer,
        ):
            await until(lambda: job.readers == 2)
            stopping = asyncio.create_task(asyncio.to_thread(gateway.program.stop, timeout_s=15))
            assert await viewer.read(socket) == 1012
            assert await Viewer().read(silent) == 1012
            assert (await read_events(answer))[-1][2]["reason"] == "STOPPING"
            assert await stopping == 0


async def test_a_client_that_does_not_read_costs_no_memory_and_harms_nobody(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(stream_stall_s=1) as gateway:
        job = backend.new_job(1)
        base = gateway.rss_bytes()
        head = f"GET {url(job, '?output=true')} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {gateway.token}\r\n"
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        with sockets.create_connection(("127.0.0.1", gateway.port)) as lazy:
            lazy.sendall(f"{head}{upgrade}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
            viewer = Viewer()
            async with gateway.http.ws_connect(url(job, "?output=true"), max_msg_size=0) as socket:
                await until(lambda: job.readers == 2)
                reading = asyncio.create_task(viewer.read(socket))
                for _ in range(128):
                    job.write(1, bytes(MB // 4))
                    await asyncio.sleep(0.005)
                await until(lambda: "1008" in gateway.program.log.read_text(), 20)
                job.finish()
                assert await reading == 1000
        assert len(viewer.output[1]) == 32 * MB
        assert gateway.rss_bytes() - base < 32 * MB
