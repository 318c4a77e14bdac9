"""Requests: what is sent, what comes back, what is tried again and what is not."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from myx_client import Client, Unreachable, errors, models
from tests.component.client.conftest import COMMAND, TOKEN, problem

ROOT = Path(__file__).resolve().parents[3]
PAGE = {"items": [], "next_page_token": None}


async def test_a_command_is_run_with_what_was_given_and_nothing_else(gateway, myx):
    gateway.answers.append(COMMAND)
    command = await myx.commands.run(server="web-1", command="uptime", args=("-p",), timeout_s=60)
    assert gateway.said == ["POST /api/v1/commands"]
    assert gateway.body() == {"server": "web-1", "command": "uptime", "args": ["-p"], "timeout_s": 60}
    request = gateway.requests[0][0]
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert len(request.headers["Idempotency-Key"]) == 32
    assert command.status is models.CommandStatus.SUCCESS
    assert command.created_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert command.changes[0].from_ == ""


async def test_what_a_newer_myx_answers_is_understood(gateway, myx):
    gateway.answers.append({**COMMAND, "status": "dreaming", "brand_new": {"a": 1}})
    command = await myx.commands.get("c1")
    assert (command.status, str(command.status)) == ("dreaming", "dreaming")


async def test_an_answer_that_is_not_myxs_is_an_error(gateway, myx):
    gateway.answers += [{"hello": "world"}, web.Response(text="<html>"), web.Response(status=302)]
    for _ in range(3):
        with pytest.raises(errors.AnswerError):
            await myx.commands.get("c1")


async def test_queries_and_paths_are_encoded(gateway, myx):
    gateway.answers += [PAGE, PAGE, {"metrics": {}, "step_s": 60}]
    await myx.commands.list(status=["running", models.CommandStatus.QUEUED], server="a&b=c")
    with pytest.raises(errors.AnswerError):
        await myx.servers.get("../a/b?c")
    await myx.servers.series("x", metric=["load_1m"], start=datetime(2026, 1, 1, tzinfo=UTC))
    assert gateway.said == [
        "GET /api/v1/commands?server=a%26b%3Dc&status=running&status=queued",
        "GET /api/v1/servers/..%2Fa%2Fb%3Fc",
        "GET /api/v1/servers/x/series?metric=load_1m&start=2026-01-01T00%3A00%3A00%2B00%3A00",
    ]


@pytest.mark.parametrize("name", [".", ".."])
async def test_a_name_of_dots_stays_a_name(gateway, myx, name):
    gateway.answers.append(problem(404, "SERVER_NOT_FOUND"))
    with pytest.raises(errors.NotFound):
        await myx.servers.get(name)
    assert gateway.requests[0][0].raw_path == f"/api/v1/servers/{name.replace('.', '%2E')}"


async def test_null_is_sent_where_it_means_something(gateway, myx):
    gateway.answers.append(problem(412, "ETAG_MISMATCH"))
    with pytest.raises(errors.ChangedMeanwhile):
        await myx.servers.update("web-1", credential=None, labels={}, if_match="e7")
    assert gateway.body() == {"credential": None, "labels": {}}
    assert gateway.requests[0][0].headers["If-Match"] == '"e7"'


async def test_nested_models_leave_out_what_was_not_given(gateway, myx):
    gateway.answers.append(problem(400, "X"))
    work = models.NewJobWork(command=models.CommandWork(command="id", args=["-u"]))
    with pytest.raises(errors.BadRequest):
        await myx.jobs.create(selector="all", work=work, options=models.JobOptions(concurrency="10%"))
    assert gateway.body() == {
        "selector": "all",
        "work": {"command": {"command": "id", "args": ["-u"]}},
        "options": {"concurrency": "10%"},
    }


async def test_all_pages_are_gone_over_or_one_is_awaited(gateway, myx):
    pages = [{"items": [{**COMMAND, "id": str(n)}], "next_page_token": None if n == 2 else f"t{n}"} for n in range(3)]
    gateway.answers += [*pages, pages[0]]
    assert [command.id async for command in myx.commands.list(job_id="j")] == ["0", "1", "2"]
    assert gateway.said[1:] == [f"GET /api/v1/commands?job_id=j&page_token=t{n}" for n in range(2)]
    page = await myx.commands.list(page_size=1)
    assert (len(page.items), page.next_page_token) == (1, "t0")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (401, errors.Unauthenticated),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (410, errors.NotFound),
        (412, errors.ChangedMeanwhile),
        (422, errors.BadRequest),
        (500, errors.ServerError),
        (418, errors.ApiError),
    ],
)
async def test_an_error_has_the_fields_of_its_problem(gateway, myx, status, kind):
    gateway.answers.append(problem(status, "SOME_REASON", name="must be shorter"))
    with pytest.raises(kind) as caught:
        await myx.commands.get("c1")
    error = caught.value
    assert (error.status, error.reason, error.request_id) == (status, "SOME_REASON", "r1")
    assert error.fields == {"name": "must be shorter"}
    assert str(error) == "because of SOME_REASON"


async def test_a_get_is_tried_again_when_myx_is_away_for_a_moment(gateway, myx):
    gateway.answers += ["drop", problem(503, "STOPPING"), web.Response(status=502, text="proxy"), COMMAND]
    assert (await myx.commands.get("c1")).id == "c1"
    assert len(gateway.requests) == 4


async def test_a_start_whose_answer_was_lost_is_sent_again_with_the_same_key(gateway, myx):
    gateway.answers += ["drop", problem(503, "STOPPING"), COMMAND]
    await myx.commands.run(server="web-1", command="x")
    keys = {request.headers["Idempotency-Key"] for request, _ in gateway.requests}
    assert (len(gateway.requests), len(keys)) == (3, 1)


async def test_ones_own_key_is_used(gateway, myx):
    gateway.answers.append(COMMAND)
    await myx.commands.run(server="web-1", command="x", idempotency_key="mine")
    assert gateway.requests[0][0].headers["Idempotency-Key"] == "mine"


async def test_what_is_not_harmless_to_repeat_is_not_repeated(gateway, myx):
    gateway.answers += ["drop", problem(503, "SERVICE_UNAVAILABLE")]
    with pytest.raises(Unreachable) as caught:
        await myx.commands.cancel("c1")
    assert caught.value.maybe_sent
    with pytest.raises(errors.ServerError):
        await myx.servers.delete("web-1")
    assert len(gateway.requests) == 2


async def test_trying_again_ends(gateway):
    async with Client("http://127.0.0.1:9", TOKEN, retry_for_s=0.3) as myx:
        with pytest.raises(Unreachable) as caught:
            await myx.status.get()
    assert not caught.value.maybe_sent
    assert "cannot reach MyX at http://127.0.0.1:9" in str(caught.value)
    assert TOKEN not in str(caught.value)


async def test_a_wait_that_myx_asks_for_is_kept(gateway, myx):
    late = problem(429, "TOO_MANY")
    late.headers["Retry-After"] = "1"
    gateway.answers += [late, COMMAND]
    began = asyncio.get_running_loop().time()
    await myx.commands.get("c1")
    assert asyncio.get_running_loop().time() - began >= 1


async def test_a_download_comes_in_pieces_and_one_that_breaks_off_is_an_error(gateway, myx):
    async def whole(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"abc", b"def"):
            await response.write(piece)
        return response

    async def broken(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"abc")
        request.transport.abort()
        return response

    gateway.answers += [whole, broken, problem(404, "COMMAND_NOT_FOUND")]
    assert b"".join([piece async for piece in myx.commands.log("c1", offset=0, stream="stdout")]) == b"abcdef"
    assert gateway.said == ["GET /api/v1/commands/c1/log?offset=0&stream=stdout"]
    with pytest.raises(Unreachable):
        _ = [piece async for piece in myx.commands.log("c1")]
    with pytest.raises(errors.NotFound):
        _ = [piece async for piece in myx.commands.log("c1")]


async def test_an_upload_is_sent_as_it_is_made(gateway, myx):
    async def content():
        yield b"abc"
        yield b"def"

    gateway.answers.append(problem(413, "ARTIFACT_TOO_LARGE"))
    with pytest.raises(errors.ApiError, match="ARTIFACT_TOO_LARGE"):
        await myx.artifacts.push(name="x", content=content())
    request, body = gateway.requests[0]
    assert (body, request.headers["Content-Type"]) == (b"abcdef", "application/octet-stream")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://x", "not a URL"),
        ("http://example.com", "in the clear"),
        ("https://u:pw-4711@x", "more than"),
        ("https://x/?token=pw-4711", "more than"),
    ],
)
def test_an_address_that_the_token_must_not_go_to_is_refused(url, said):
    with pytest.raises(ValueError, match=said) as caught:
        Client(url, TOKEN)
    assert "4711" not in str(caught.value)


def test_the_token_is_not_shown(gateway):
    client = Client("https://example.com", TOKEN)
    assert TOKEN not in repr(client) + repr(client.commands) + str(vars(client))
    secret = models.NewSecret(password="pw-4711")
    assert "4711" not in repr(models.NewServer(name="x", address="y", credential=secret))
    with pytest.raises(ValueError, match="characters that no token has") as caught:
        Client("https://example.com", f"{TOKEN}\n")
    assert TOKEN not in str(caught.value)


async def test_a_client_that_is_not_open_says_so():
    with pytest.raises(RuntimeError, match="async with"):
        await Client("https://example.com", TOKEN).status.get()


def test_types_are_there_for_whoever_uses_it(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "from myx_client import Client\n"
        "async def main(myx: Client) -> None:\n"
        "    command = await myx.commands.run(server='a', command='b')\n"
        "    async for frame in myx.commands.follow(command.id):\n"
        "        reveal_type(frame)\n"
        "    async for server in myx.servers.list():\n"
        "        reveal_type(server)\n"
        "    await myx.commands.run(server=1, command='b')\n"
    )
    # With the settings of the whole workspace, whose cache is used.
    done = subprocess.run(
        [sys.executable, "-m", "mypy", program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert 'Revealed type is "myx_client.models.Server"' in done.stdout
    assert "myx_client.log_stream.End[myx_client.models.Command]" in done.stdout
    assert 'Argument "server" to "run"' in done.stdout
    assert "Found 1 error in 1 file" in done.stdout
