"""Streams: each byte once, whatever breaks, to the true end."""

import asyncio
import json

import pytest

from myx_client import Client, Unreachable, errors
from myx_client.event_stream import EventGap
from myx_client.job_stream import JobChanged, JobGap, JobOutput, TargetsChanged
from myx_client.log_stream import End, Gap, Output
from tests.component.client.conftest import COMMAND, TOKEN, frame, job_frame, problem

JOB = {
    **{name: COMMAND[name] for name in ("id", "status_since", "deadline_at", "owner", "next", "changes", "reason")},
    **{name: COMMAND[name] for name in ("message", "created_at", "started_at", "ended_at", "requested_by")},
    "name": "patch",
    "selector": "all",
    "work": {"command": None, "deployment": None},
    "options": {},
    "status": "running",
    "target_count": 1,
    "targets_sha256": "",
    "counts": {},
    "batch": 1,
    "batch_count": 1,
    "retry_of": "",
    "schedule_id": "",
    "revision": 1,
}
TARGET = {
    **{name: COMMAND[name] for name in ("server_id", "server_name", "reason", "message", "exit_code", "started_at")},
    **{name: COMMAND[name] for name in ("ended_at", "log_size_bytes", "status")},
    "number": 1,
    "batch": 1,
    "command_id": "c1",
    "output_sha256": "",
    "revision": 2,
}
EVENT = {"time": "2026-01-01T00:00:00Z", "type": "agent.online", "server_id": "s1", "data": {"version": "1"}}


def plays(*scripts):
    """One after the other, each in a connection of its own that breaks off behind it."""

    def play(script):
        async def run(socket, request):
            for message in script:
                if isinstance(message, bytes):
                    await socket.send_bytes(message)
                elif message is None:
                    await asyncio.sleep(0)
                    request.transport.abort()
                else:
                    await socket.send_str(json.dumps(message))

        return run

    return [play(script) for script in scripts]


def final(offset):
    return {"type": "final", "offset": offset, "command": {**COMMAND, "log_size_bytes": offset}}


async def test_a_log_is_followed_to_its_end_across_cuts(gateway, myx):
    gateway.plays += plays(
        [frame(1, 0, b"abc"), {"type": "ping"}, frame(2, 3, b"de"), None],
        # What is known already is not told again, and what was skipped without a word is a gap.
        [frame(1, 3, b"defg"), {"type": "gap", "from": 7, "to": 10, "reason": "size_limit"}, frame(1, 12, b"x")],
        [final(13)],
    )
    frames = [one async for one in myx.commands.follow("c1")]
    assert frames[:-1] == [
        Output("stdout", 0, b"abc"),
        Output("stderr", 3, b"de"),
        Output("stdout", 5, b"fg"),
        Gap(7, 10, "size_limit"),
        Gap(10, 12, "not sent by MyX"),
        Output("stdout", 12, b"x"),
    ]
    end = frames[-1]
    assert isinstance(end, End)
    assert (end.offset, end.document.exit_code, end.document.log_size_bytes) == (13, 0, 13)
    assert gateway.said == [f"GET /api/v1/commands/c1/log/stream?offset={offset}" for offset in (0, 5, 13)]


async def test_a_log_is_followed_from_an_offset_and_left_early(gateway, myx):
    gateway.plays += plays([frame(1, 7, b"x"), frame(1, 8, b"y")])
    async for one in myx.commands.follow("c1", offset=7):
        assert one == Output("stdout", 7, b"x")
        break
    assert gateway.said == ["GET /api/v1/commands/c1/log/stream?offset=7"]


async def test_a_deployment_ends_with_itself(gateway, myx):
    gateway.plays += plays([{"type": "final", "offset": 0, "deployment": {"id": "d"}}])
    with pytest.raises(errors.AnswerError):
        _ = [one async for one in myx.deployments.follow("d")]
    assert gateway.said == ["GET /api/v1/deployments/d/log/stream?offset=0"]


async def test_why_a_stream_is_declined_is_said(gateway, myx):
    gateway.answers += [problem(404, "COMMAND_NOT_FOUND") for _ in range(2)]
    with pytest.raises(errors.NotFound, match="because of COMMAND_NOT_FOUND"):
        _ = [one async for one in myx.commands.follow("c1")]


async def test_a_stream_that_cannot_be_had_just_now_is_asked_for_again(gateway, myx):
    gateway.answers += [problem(503, "TOO_MANY_STREAMS") for _ in range(2)]
    gateway.plays += plays([final(0)])
    frames = [one async for one in myx.commands.follow("c1")]
    assert len(frames) == 1


async def test_a_stream_without_progress_is_given_up(gateway):
    gateway.plays += plays(*([[{"type": "targets", "targets": []}]] * 100))
    async with Client(gateway.url, TOKEN, reconnect_for_s=0.3) as myx:
        with pytest.raises(Unreachable, match="closed the stream"):
            _ = [one async for one in myx.jobs.follow("j")]


@pytest.mark.parametrize("message", [b"\x01", frame(9, 0, b"x"), {"x": 1}, {"type": "gap"}, {"type": "final"}])
async def test_what_is_no_stream_of_myx_is_an_error(gateway, myx, message):
    gateway.plays += plays([message])
    with pytest.raises(errors.AnswerError):
        _ = [one async for one in myx.commands.follow("c1")]


async def test_a_job_goes_on_by_revision_and_offsets(gateway, myx):
    resumed = []

    def noting(play):
        async def run(socket, request):
            resumed.append(json.loads((await socket.receive()).data))
            await play(socket, request)

        return run

    scripts = plays(
        [
            {"type": "targets", "targets": [TARGET]},
            {"type": "job", "job": {**JOB, "revision": 2}},
            job_frame(1, 1, 0, b"abc"),
            None,
        ],
        [
            {"type": "job", "job": {**JOB, "revision": 2}},
            job_frame(1, 1, 1, b"bcd"),
            {"type": "gap", "number": 1, "from": 4, "to": 6, "reason": "size_limit"},
            {"type": "job", "job": {**JOB, "revision": 3, "status": "success"}},
        ],
    )
    gateway.plays += [noting(play) for play in scripts]
    frames = [one async for one in myx.jobs.follow("j", output=True)]
    assert resumed == [{"offsets": {}}, {"offsets": {"1": 3}}]
    assert gateway.said == [
        f"GET /api/v1/jobs/j/stream?after_revision={revision}&output=true&resume=true" for revision in (0, 2)
    ]
    assert [one for one in frames if isinstance(one, JobOutput | JobGap)] == [
        JobOutput(1, "stdout", 0, b"abc"),
        JobOutput(1, "stdout", 3, b"d"),
        JobGap(1, 4, 6, "size_limit"),
    ]
    assert [one.job.revision for one in frames if isinstance(one, JobChanged)] == [2, 2, 3]
    assert [one.targets[0].server_name for one in frames if isinstance(one, TargetsChanged)] == ["web-1"]


async def test_events_go_on_behind_the_last_one_that_was_seen(gateway, myx):
    gateway.plays += plays(
        [{"type": "start", "id": "e-4"}, {**EVENT, "id": "e-5"}, None],
        [{"type": "start", "id": "e-5"}, {"type": "ping", "id": "e-9"}],
        [
            {"type": "gap", "from": "e-9", "to": "e-20", "reason": "not_kept"},
            {"type": "start", "id": "e-20"},
            {**EVENT, "id": "e-21", "type": "job.finished", "server_id": None},
        ],
    )
    seen = []
    async for one in myx.events(types=["agent", "job.finished"], server="web-1"):
        seen.append(one)
        if len(seen) == 3:
            break
    assert [getattr(one, "id", one) for one in seen] == ["e-5", EventGap("e-9", "e-20", "not_kept"), "e-21"]
    assert (seen[0].type, seen[0].data, seen[0].time.year) == ("agent.online", {"version": "1"}, 2026)
    asked = "server=web-1&type=agent&type=job.finished"
    assert gateway.said == [
        f"GET /api/v1/events?{asked}",
        f"GET /api/v1/events?after=e-5&{asked}",
        f"GET /api/v1/events?after=e-9&{asked}",
    ]


async def test_a_close_that_says_the_client_is_wrong_is_not_tried_again(gateway, myx):
    async def wrong(socket, _request):
        await socket.close(code=1008, message=b"you did not read")

    gateway.plays += [wrong, wrong]
    with pytest.raises(Unreachable):
        _ = [one async for one in myx.commands.follow("c1")]
    assert len(gateway.requests) == 1
