"""Logs by WebSocket, server-sent events and download: every byte once, whatever breaks behind or in front."""

import asyncio
import base64
import json
import secrets
import struct
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from myx_kit.errors import Internal, NotFound, Unavailable
from myx_testkit.wait import until

sys.path.insert(0, str(Path(__file__).parent))
from people import new_token, new_user, with_token

pytestmark = pytest.mark.asyncio(loop_scope="module")

STDOUT, STDERR = 1, 2
BINARY = bytes(range(256)) * 5


async def read_socket(socket: Any) -> tuple[list[tuple[int, int, bytes]], list[dict[str, Any]], int]:
    """(binary messages, text messages, close code) of a WebSocket until it closes."""
    frames, texts = [], []
    async with asyncio.timeout(20):
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                frames.append((*struct.unpack_from("!BQ", message.data), message.data[9:]))
            else:
                texts.append(json.loads(message.data))
    return frames, texts, socket.close_code


async def read_events(answer: Any) -> list[tuple[str, str, Any]]:
    """(event, id, data) of a stream of server-sent events until it ends; comments as event ""."""
    events = []
    async with asyncio.timeout(20):
        body = (await answer.read()).decode()
    for block in body.split("\n\n"):
        if not block.strip():
            continue
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "event" in fields:
            events.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return events


def joined(frames: list[tuple[int, int, bytes]], start: int = 0) -> bytes:
    """The payloads, checked to follow each other without gap or repeat."""
    position, data = start, b""
    for _, offset, payload in frames:
        assert offset == position
        position += len(payload)
        data += payload
    return data


def events_url(command_id: str, query: str = "") -> str:
    return f"/api/v1/commands/{command_id}/log/stream{query}"


async def test_a_socket_gives_what_is_stored_then_live_then_the_end(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    log.write(b"out\n")
    log.write(BINARY, STDERR)
    async with gateway.socket(command_id) as socket:
        await until(lambda: log.readers == 1)
        log.write(b"live")
        log.finish(exit_code=3, id=command_id)
        frames, texts, code = await read_socket(socket)
    assert frames == [(STDOUT, 0, b"out\n"), (STDERR, 4, BINARY), (STDOUT, 4 + len(BINARY), b"live")]
    assert [text["type"] for text in texts] == ["final"]
    assert texts[0]["offset"] == log.size
    assert (texts[0]["command"]["exit_code"], texts[0]["command"]["status"]) == (3, "success")
    assert code == 1000
    await until(lambda: log.readers == 0)


async def test_a_socket_resumes_at_any_offset(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    content = secrets.token_bytes(1000)
    for start in range(0, 1000, 100):
        log.write(content[start : start + 100])
    log.finish()
    for offset in (0, 1, 250, 999, 1000):
        async with gateway.socket(command_id, offset) as socket:
            frames, texts, code = await read_socket(socket)
        assert joined(frames, offset) == content[offset:]
        assert (texts[-1]["type"], code) == ("final", 1000)


async def test_a_big_frame_is_cut_and_small_neighbours_are_joined(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    content = secrets.token_bytes(700_000)
    log.write(content)
    log.finish()
    async with gateway.socket(command_id) as socket:
        frames, _, _ = await read_socket(socket)
    assert [len(payload) for _, _, payload in frames] == [262_144, 262_144, 700_000 - 524_288]
    assert joined(frames) == content


async def test_a_gap_is_said(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    log.write(b"kept")
    log.gap(100, "size_limit")
    log.write(b"tail")
    log.finish()
    async with gateway.socket(command_id) as socket:
        frames, texts, _ = await read_socket(socket)
    assert texts[0] == {"type": "gap", "from": 4, "to": 104, "reason": "size_limit"}
    assert frames == [(STDOUT, 0, b"kept"), (STDOUT, 104, b"tail")]
    async with gateway.http.get(events_url(command_id)) as answer:
        events = await read_events(answer)
    assert events[1] == ("gap", "104", {"from": 4, "to": 104, "reason": "size_limit"})


@pytest.mark.parametrize(
    ("offset", "status", "reason"),
    [("-1", 416, "OFFSET_BEYOND_END"), ("11", 416, "OFFSET_BEYOND_END"), ("x", 400, "REQUEST_INVALID"),
     ("9" * 30, 416, "OFFSET_BEYOND_END"), ("1.5", 400, "REQUEST_INVALID"), ("", 400, "REQUEST_INVALID")],
)  # fmt: skip
async def test_a_bad_offset_is_refused_before_the_stream_begins(
    gateway: Any, backend: Any, offset: str, status: int, reason: str
) -> None:
    command_id, log = backend.new_log()
    log.write(b"0123456789")
    log.finish()
    for path in (f"/api/v1/commands/{command_id}/log", events_url(command_id)):
        problem = await gateway.problem("GET", f"{path}?offset={offset}")
        assert (problem["status"], problem["reason"]) == (status, reason)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.socket(command_id, offset)
    assert refused.value.status == status
    assert refused.value.headers["Content-Type"] == "application/problem+json"


async def test_an_unknown_command_is_404_before_the_stream_begins(gateway: Any, backend: Any) -> None:
    for path in ("/api/v1/commands/none/log", events_url("none")):
        assert (await gateway.problem("GET", path))["reason"] == "COMMAND_NOT_FOUND"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.socket("none")
    assert refused.value.status == 404


async def test_a_socket_at_an_unknown_address_is_404(gateway: Any) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.http.ws_connect("/api/v1/nothing")
    assert refused.value.status == 404


async def test_a_silent_command_is_followed_at_once(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    started = time.monotonic()
    async with gateway.socket(command_id) as socket:
        assert time.monotonic() - started < 1
        log.finish()
        assert (await read_socket(socket))[2] == 1000


async def test_events_carry_the_same_bytes_and_resume_by_their_id(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    log.write(b"out\n")
    log.write(BINARY, STDERR)
    log.finish(exit_code=0)
    async with gateway.http.get(events_url(command_id), headers={"Accept": "text/event-stream"}) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        events = await read_events(answer)
    assert [event for event, _, _ in events] == ["log", "log", "final"]
    assert events[0][1:] == ("4", {"stream": "stdout", "offset": 0, "data": "b3V0Cg=="})
    assert base64.b64decode(events[1][2]["data"]) == BINARY
    assert events[1][2]["stream"] == "stderr"
    assert events[2][2]["command"]["status"] == "success"
    async with gateway.http.get(events_url(command_id, "?offset=1"), headers={"Last-Event-ID": "4"}) as answer:
        events = await read_events(answer)
    assert events[0][2]["offset"] == 4
    problem = await gateway.problem("GET", events_url(command_id), headers={"Last-Event-ID": "soup"})
    assert (problem["status"], list(problem["fields"])) == (400, ["Last-Event-ID"])


async def test_a_download_is_the_raw_log_or_one_stream_of_it(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    log.write(b"out")
    log.write(BINARY, STDERR)
    log.write(b"more")
    path = f"/api/v1/commands/{command_id}/log"
    for query, expected in (
        ("", b"out" + BINARY + b"more"),
        ("?offset=2", b"t" + BINARY + b"more"),
        ("?stream=stdout", b"outmore"),
        ("?stream=stderr&offset=4", BINARY[1:]),
    ):
        async with gateway.http.get(path + query) as answer:
            assert (answer.status, answer.content_type) == (200, "application/octet-stream")
            assert await answer.read() == expected
    assert log.asked[-1] == (4, False)
    problem = await gateway.problem("GET", path + "?stream=stdin")
    assert list(problem["fields"]) == ["stream"]


async def test_an_executor_that_restarts_is_not_noticed(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    log.write(b"before ")
    async with gateway.socket(command_id) as socket:
        await until(lambda: log.given_bytes == 7)
        await backend.stop("executor")
        log.write(b"meanwhile ")
        await backend.start("executor")
        await until(lambda: log.given_bytes == 17)
        log.write(b"after")
        log.finish()
        frames, texts, code = await read_socket(socket)
    assert joined(frames) == b"before meanwhile after"
    assert (texts[-1]["type"], code) == ("final", 1000)
    assert [offset for offset, _ in log.asked] == [0, 7]


@pytest.mark.parametrize("path", ["/log", "/log/stream"])
async def test_a_broken_source_is_picked_up_at_the_offset(gateway: Any, backend: Any, path: str) -> None:
    command_id, log = backend.new_log()
    content = [secrets.token_bytes(1000) for _ in range(10)]
    for piece in content:
        log.write(piece)
    log.finish()
    log.fail(Unavailable("DATABASE_UNAVAILABLE", "gone"), at=5000)
    async with gateway.http.get(f"/api/v1/commands/{command_id}{path}") as answer:
        if path == "/log":
            data = await answer.read()
        else:
            data = b"".join(base64.b64decode(d["data"]) for e, _, d in await read_events(answer) if e == "log")
    assert data == b"".join(content)
    assert [offset for offset, _ in log.asked] == [0, 5000]


async def test_a_source_that_ends_without_the_end_is_asked_again(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    log.write(b"one")
    log.write(b"two")
    log.finish()
    log.end_early(at=3)
    async with gateway.socket(command_id) as socket:
        frames, _, code = await read_socket(socket)
    assert (joined(frames), code) == (b"onetwo", 1000)


async def test_a_source_that_stays_away_is_said_and_the_client_told_to_come_back(
    start_gateway: Any, backend: Any
) -> None:
    async with start_gateway(stream_heal_s=0.5) as gateway:
        command_id, log = backend.new_log()
        log.write(b"before")
        async with gateway.socket(command_id) as socket, gateway.http.get(events_url(command_id)) as answer:
            await until(lambda: log.given_bytes == 12)
            await backend.stop("executor")
            try:
                frames, texts, code = await read_socket(socket)
                events = await read_events(answer)
                problem = await gateway.problem("GET", events_url(command_id))
            finally:
                await backend.start("executor")
    assert (joined(frames), texts, code) == (b"before", [], 1013)
    assert [event for event, _, _ in events] == ["log", "close"]
    assert events[-1][2]["reason"] == "LOG_SOURCE_LOST"
    assert (problem["status"], problem["reason"]) == (503, "LOG_SOURCE_LOST")


@pytest.mark.parametrize("error", [Internal("BROKEN", "password hunter2"), NotFound("COMMAND_NOT_FOUND", "deleted")])
async def test_an_error_that_does_not_pass_ends_the_stream(gateway: Any, backend: Any, error: Any) -> None:
    command_id, log = backend.new_log()
    log.write(b"before")
    async with gateway.socket(command_id) as socket:
        await until(lambda: log.given_bytes == 6)
        log.fail(error)
        _, texts, code = await read_socket(socket)
    assert (texts, code) == ([], 1011)


async def test_an_incomplete_download_has_no_end_mark(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    log.write(b"a" * 1000)
    log.write(b"b" * 1000)
    log.finish()
    log.fail(Internal("BROKEN", "x"), at=1000)
    async with gateway.http.get(f"/api/v1/commands/{command_id}/log") as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_a_client_that_leaves_ends_the_source(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    socket = await gateway.socket(command_id)
    answer = await gateway.http.get(events_url(command_id))
    await until(lambda: log.readers == 2)
    await socket.close()
    answer.close()
    await until(lambda: log.readers == 0)


async def test_a_client_may_talk_and_is_not_answered(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    async with gateway.socket(command_id) as socket:
        for _ in range(100):
            await socket.send_str("hello")
        log.write(b"x")
        log.finish()
        frames, _, code = await read_socket(socket)
    assert (joined(frames), code) == (b"x", 1000)


async def test_silence_is_filled_with_pings(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(stream_ping_s=0.2) as gateway:
        command_id, log = backend.new_log()
        async with gateway.socket(command_id) as socket, gateway.http.get(events_url(command_id)) as answer:
            message = await socket.receive(timeout=5)
            assert json.loads(message.data) == {"type": "ping"}
            assert await answer.content.readuntil(b": ping\n\n")
            log.finish()
            assert (await read_socket(socket))[2] == 1000


async def test_streams_beyond_the_limit_are_refused(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(max_streams=1) as gateway:
        command_id, log = backend.new_log()
        async with gateway.socket(command_id) as socket:
            problem = await gateway.problem("GET", events_url(command_id))
            assert (problem["status"], problem["reason"]) == (503, "TOO_MANY_STREAMS")
            log.finish()
            await read_socket(socket)
        async with gateway.http.get(events_url(command_id)) as answer:
            assert answer.status == 200


async def test_who_has_as_many_streams_as_one_may_have_leaves_the_others_theirs(
    start_gateway: Any, backend: Any
) -> None:
    async with start_gateway(max_streams_per_principal=2) as gateway:
        command_id, log = backend.new_log()
        alice = await new_user(gateway, "viewer")
        tokens = [await new_token(gateway, alice) for _ in range(3)]
        as_alice = [{"Authorization": f"Bearer {token}"} for token in tokens]
        path = f"/api/v1/commands/{command_id}/log/stream"
        async with gateway.stranger.ws_connect(path, headers=as_alice[0]) as socket:
            async with gateway.stranger.get(path, headers=as_alice[1]) as answer:
                assert answer.status == 200
                status, problem = await with_token(gateway, tokens[2], "GET", f"/commands/{command_id}/log/stream")
                assert (status, problem["reason"]) == (429, "TOO_MANY_OWN_STREAMS")
                assert problem["fields"] == {"limit": "2"}
                assert "close some" in problem["detail"]
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await gateway.stranger.ws_connect(path, headers=as_alice[0])
                assert refused.value.status == 429
                async with gateway.socket(command_id) as others, gateway.http.get(events_url(command_id)) as other:
                    assert (others.closed, other.status) == (False, 200)

            async def is_free() -> bool:
                async with gateway.stranger.get(path, headers=as_alice[2]) as again:
                    return again.status == 200

            await until(is_free)
            log.finish()
            await read_socket(socket)
