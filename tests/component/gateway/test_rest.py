"""Each route: what reaches the service behind, and what comes back."""

import asyncio
import base64
from typing import Any

import aiohttp
import pytest

from myx_gateway.api import status as status_api
from myx_kit.errors import Aborted, Unavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_servers_are_listed_with_their_agents(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/servers?page_size=2&page_token=abc") as answer:
        assert answer.status == 200
        page = await answer.json()
    assert page["next_page_token"] == "more"
    server = page["items"][0]
    assert server["name"] == "web-1"
    assert server["created_at"] == "2026-11-22T10:00:00.500000Z"
    assert server["agent"]["status"] == "online"
    assert server["agent"]["latency_s"] == 0.0025
    assert server["agent"]["facts"]["hostname"] == "web-1"
    assert server["agent"]["last_heartbeat"] is None
    assert (backend.last("ListServers").page_size, backend.last("ListServers").page_token) == (2, "abc")


async def test_a_server_is_added(gateway: Any, backend: Any) -> None:
    body = {"name": "web-1", "address": "10.0.0.1", "labels": {"tier": "web"}}
    async with gateway.http.post("/api/v1/servers", json=body) as answer:
        assert answer.status == 201
        assert answer.headers["Location"] == "/api/v1/servers/s1"
        assert answer.headers["ETag"] == '"e7"'
    request = backend.last("CreateServer")
    assert (request.name, request.address, dict(request.labels)) == ("web-1", "10.0.0.1", {"tier": "web"})
    assert len(request.request_id) == 64


async def test_one_server_has_an_etag(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/servers/web-1") as answer:
        assert (answer.status, answer.headers["ETag"]) == (200, '"e7"')
    assert backend.last("GetServer").server == "web-1"


async def test_a_server_is_changed_under_its_etag(gateway: Any, backend: Any) -> None:
    headers = {"If-Match": '"e6"'}
    async with gateway.http.patch("/api/v1/servers/s1", json={"labels": {}}, headers=headers) as answer:
        assert answer.status == 200
    request = backend.last("UpdateServer")
    assert (request.etag, list(request.update_mask.paths), dict(request.labels)) == ("e6", ["labels"], {})


async def test_a_server_is_deleted_only_under_its_etag(gateway: Any, backend: Any) -> None:
    async with gateway.http.delete("/api/v1/servers/s1", headers={"If-Match": '"e7"'}) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
    assert (backend.last("DeleteServer").server, backend.last("DeleteServer").etag) == ("s1", "e7")
    backend.errors["DeleteServer"] = Aborted("ETAG_MISMATCH", "the server has been changed since")
    problem = await gateway.problem("DELETE", "/api/v1/servers/s1", headers={"If-Match": '"old"'})
    assert (problem["status"], problem["reason"]) == (412, "ETAG_MISMATCH")


@pytest.mark.parametrize("value", ["e7", '"', '"a", "b"', ""])
async def test_a_crooked_if_match_is_refused(gateway: Any, backend: Any, value: str) -> None:
    problem = await gateway.problem("PATCH", "/api/v1/servers/s1", json={"name": "b"}, headers={"If-Match": value})
    assert (problem["status"], list(problem["fields"])) == (400, ["If-Match"])
    assert backend.requests.keys() <= {"ResolveServers"}


async def test_agents_are_listed_and_shown(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/agents") as answer:
        page = await answer.json()
    assert (page["items"][0]["id"], page["next_page_token"]) == ("a1", None)
    async with gateway.http.get("/api/v1/servers/web-1/agent") as answer:
        assert (await answer.json())["version"] == "1.2.3"
    assert backend.last("GetAgent").server == "web-1"


async def test_an_agent_is_checked_now(gateway: Any, backend: Any) -> None:
    async with gateway.http.post("/api/v1/servers/web-1/check") as answer:
        assert answer.status == 200
        result = await answer.json()
    assert (result["status"], result["cause"], len(result["attempts"])) == ("offline", "refused", 1)


async def test_a_command_reaches_the_executor_as_it_was_sent(gateway: Any, backend: Any) -> None:
    body = {
        "server": "web-1",
        "command": "sh",
        "args": ["-c", "exit 7", "", "ä\n"],
        "env": {"A": "1"},
        "secret_env": {"PASSWORD": "hunter2"},
        "cwd": "/tmp",
        "user": "nobody",
        "stdin": base64.b64encode(b"\0\xff").decode(),
        "timeout_s": 1.5,
        "no_output_timeout_s": 30,
    }
    async with gateway.http.post("/api/v1/commands", json=body) as answer:
        assert answer.status == 201
        assert answer.headers["Location"] == "/api/v1/commands/0192-command"
        command = await answer.json()
    assert (command["status"], command["exit_code"], command["signal"]) == ("failed", 7, "")
    assert command["result"]["stdout"] == {"bytes": 12, "sha256": "", "dropped": 0}
    assert command["log_completeness"] == "complete"
    request = backend.last("RunCommand")
    assert list(request.args) == body["args"]
    assert dict(request.secret_env) == {"PASSWORD": "hunter2"}
    assert request.stdin == b"\0\xff"
    assert (request.timeout.seconds, request.timeout.nanos) == (1, 500_000_000)
    assert request.no_output_timeout.seconds == 30
    assert request.requested_by == "token:admin"


async def test_no_timeout_and_no_limit_are_two_things(gateway: Any, backend: Any) -> None:
    for body, present in (({}, False), ({"timeout_s": None}, False), ({"timeout_s": 0}, True)):
        full = {"server": "web-1", "command": "true", **body}
        async with gateway.http.post("/api/v1/commands", json=full) as answer:
            assert answer.status == 201
        assert backend.last("RunCommand").HasField("timeout") is present


async def test_an_idempotency_key_becomes_one_request_id(gateway: Any, backend: Any) -> None:
    for key in ("k1", "k1", "k2", None, None):
        headers = {"Idempotency-Key": key} if key else {}
        body = {"server": "web-1", "command": "true"}
        async with gateway.http.post("/api/v1/commands", json=body, headers=headers) as answer:
            assert answer.status == 201
    first, same, other, *without = [request.request_id for request in backend.requests["RunCommand"]]
    assert first == same
    assert len({first, other, *without}) == 4


@pytest.mark.parametrize("key", ["", "x" * 256, "ä"])
async def test_an_unusable_idempotency_key_is_refused(gateway: Any, backend: Any, key: str) -> None:
    body = {"server": "web-1", "command": "true"}
    problem = await gateway.problem("POST", "/api/v1/commands", json=body, headers={"Idempotency-Key": key})
    assert (problem["status"], list(problem["fields"])) == (400, ["Idempotency-Key"])
    assert not backend.requests


async def test_commands_are_filtered(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/commands?server=web-1&status=running&status=lost") as answer:
        page = await answer.json()
    assert (page["items"][0]["id"], page["next_page_token"]) == ("0192-command", "older")
    assert backend.last("ListCommands").server == "web-1"
    assert list(backend.last("ListCommands").statuses) == [3, 9]


async def test_one_command_is_shown(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/commands/abc") as answer:
        command = await answer.json()
    assert (command["timeout_s"], command["no_output_timeout_s"]) == (86_400, None)
    assert command["secret_env_names"] == ["PASSWORD"]
    assert backend.last("GetCommand").command_id == "abc"


async def test_a_command_is_cancelled(gateway: Any, backend: Any) -> None:
    async with gateway.http.post("/api/v1/commands/abc/cancel") as answer:
        assert answer.status == 202
    assert not backend.last("CancelCommand").HasField("grace")
    async with gateway.http.post("/api/v1/commands/abc/cancel", json={"grace_s": 0}) as answer:
        assert answer.status == 202
    assert backend.last("CancelCommand").HasField("grace")
    assert backend.last("CancelCommand").requested_by == "token:admin"


async def test_status_counts_servers_and_says_which_service_is_away(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/status") as answer:
        status = await answer.json()
    assert status["services"] == {"registry": "ok", "heartbeat": "ok", "executor": "ok"}
    assert (status["servers"], status["paused"]) == ({"online": 2, "unknown": 1, "no_agent": 1}, 1)
    await backend.stop("heartbeat")
    try:
        async with gateway.http.get("/api/v1/status") as answer:
            status = await answer.json()
        assert status["services"] == {"registry": "ok", "heartbeat": "unavailable", "executor": "ok"}
    finally:
        await backend.start("heartbeat")
    backend.errors["CountServers"] = Unavailable("SERVICE_UNAVAILABLE", "away")
    async with gateway.http.get("/api/v1/status") as answer:
        status = await answer.json()
    assert (status["servers"], status["paused"]) == (None, None)


async def test_a_registry_that_hangs_keeps_the_status_from_nobody(
    gateway: Any, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_api, "_COUNT_DEADLINE_S", 0.1)
    backend.holds["CountServers"] = asyncio.Event()
    async with gateway.http.get("/api/v1/status", timeout=aiohttp.ClientTimeout(total=5)) as answer:
        status = await answer.json()
    assert (status["servers"], status["services"]["registry"]) == (None, "ok")


async def test_servers_are_counted_by_status(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/server-counts", params={"selector": "env=prod"}) as answer:
        counts = await answer.json()
    assert counts == {"total": 4, "by_status": {"online": 2, "unknown": 1, "no_agent": 1}, "paused": 1}
    assert backend.last("CountServers").selector == "env=prod"


async def test_probes_need_no_token_and_tell_nothing(gateway: Any) -> None:
    for path in ("/healthz", "/readyz"):
        async with gateway.stranger.get(path) as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")


async def test_every_answer_forbids_sniffing_framing_and_caching(gateway: Any) -> None:
    for path in ("/api/v1/servers", "/healthz", "/nowhere"):
        async with gateway.http.get(path) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert "Server" not in answer.headers
            assert answer.headers["X-Request-Id"]
