"""Deployments: requests, what they show, their events and their log."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from myx.executor.v1 import command_pb2, deployment_pb2
from myx_gateway.convert.values import from_struct
from myx_kit.errors import FailedPrecondition, NotFound

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_deployment_reaches_the_executor_as_it_was_sent(gateway: Any, backend: Any) -> None:
    body = {
        "server": "web-1",
        "kind": "playbook",
        "method": "agent",
        "project": "site",
        "playbook": "up.yml",
        "extra_vars": {"port": 8080, "deep": {"list": [1, "a", None, True, 0.5]}},
        "secret_vars": {"token": "hunter2"},
        "check": True,
        "diff": True,
        "tags": ["a"],
        "skip_tags": ["b"],
        "limit": "localhost",
        "timeout_s": 1.5,
        "no_output_timeout_s": 2.5,
        "force": True,
        "new_port": True,
        "new_path": True,
        "artifact_sha256": "a" * 64,
    }
    async with gateway.http.post("/api/v1/deployments", json=body, headers={"Idempotency-Key": "k"}) as answer:
        assert (answer.status, answer.headers["Location"]) == (201, "/api/v1/deployments/d1")
        assert "hunter2" not in await answer.text()
    request = backend.last("CreateDeployment")
    assert request.method == deployment_pb2.DEPLOYMENT_METHOD_AGENT
    assert (request.project, request.playbook, request.limit) == ("site", "up.yml", "localhost")
    assert from_struct(request.extra_vars) == body["extra_vars"]
    assert dict(request.secret_vars) == {"token": "hunter2"}
    assert (list(request.tags), list(request.skip_tags), request.timeout.nanos) == (["a"], ["b"], 500_000_000)
    assert request.no_output_timeout.seconds == 2
    assert (request.check, request.diff, request.force, request.new_port, request.new_path) == (True,) * 5
    assert (request.artifact_sha256, request.requested_by) == ("a" * 64, "token:admin")
    assert len(request.request_id) == 64


async def test_what_is_not_said_is_left_to_the_executor(gateway: Any, backend: Any) -> None:
    async with gateway.http.post("/api/v1/deployments", json={"server": "a", "kind": "install_agent"}) as answer:
        assert answer.status == 201
    request = backend.last("CreateDeployment")
    assert request.method == deployment_pb2.DEPLOYMENT_METHOD_AUTO
    assert not request.HasField("timeout")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"extra_vars": {"n": 2**53 + 1}}, "extra_vars"),
        ({"extra_vars": {"n": json.loads("[" * 30 + "]" * 30)}}, "extra_vars"),
        ({"extra_vars": {"n": ["a\0"]}}, "extra_vars"),
        ({"extra_vars": ["a"]}, "extra_vars"),
        ({"secret_vars": {"a": 1}}, "secret_vars.a"),
        ({"method": "pigeon"}, "method"),
        ({"artifact_sha256": "A" * 64}, "artifact_sha256"),
        ({"timeout_s": -1}, "timeout_s"),
        ({"tags": [""]}, "tags.0"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_field_is_named(gateway: Any, backend: Any, change: dict[str, Any], field: str) -> None:
    body = {"server": "web-1", "kind": "caddy", **change}
    problem = await gateway.problem("POST", "/api/v1/deployments", json=body)
    assert (problem["status"], list(problem["fields"])) == (400, [field])
    assert not backend.requests


async def test_infinite_numbers_are_refused(gateway: Any, backend: Any) -> None:
    body = '{"server": "a", "kind": "caddy", "extra_vars": {"n": [Infinity]}}'
    headers = {"Content-Type": "application/json"}
    problem = await gateway.problem("POST", "/api/v1/deployments", data=body, headers=headers)
    assert problem["status"] == 400
    assert not backend.requests


async def test_one_deployment_shows_steps_cause_and_cure(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/deployments/d1") as answer:
        deployment = await answer.json()
    step = deployment["steps"][0]
    assert (step["status"], step["reason"], step["cure"]) == ("failed", "PORT_BLOCKED", "open it in the firewall")
    assert (deployment["method"], deployment["method_used"], deployment["status"]) == ("auto", "ssh", "failed")
    assert deployment["extra_vars"] == {"port": 8080, "names": ["a"]}
    assert deployment["secret_var_names"] == ["token"]
    assert (deployment["recap"]["changed"], deployment["recap"]["duration_s"]) == (2, 3)
    assert deployment["details"] == {"previous_version": "1"}
    assert deployment["timeout_s"] is None
    assert backend.last("GetDeployment").deployment_id == "d1"


async def test_deployments_are_filtered(gateway: Any, backend: Any) -> None:
    path = "/api/v1/deployments?server=web-1&kind=caddy&status=running&status=lost&page_size=3&page_token=t"
    async with gateway.http.get(path) as answer:
        page = await answer.json()
    assert (page["items"][0]["id"], page["next_page_token"]) == ("d1", None)
    request = backend.last("ListDeployments")
    assert (request.server, request.kind, list(request.statuses)) == ("web-1", "caddy", [3, 9])
    assert (request.page_size, request.page_token) == (3, "t")


async def test_a_deployment_is_cancelled_and_repeated(gateway: Any, backend: Any) -> None:
    async with gateway.http.post("/api/v1/deployments/d1/cancel") as answer:
        assert answer.status == 202
    assert backend.last("CancelDeployment").requested_by == "token:admin"
    async with gateway.http.post("/api/v1/deployments/d1/retry", headers={"Idempotency-Key": "k"}) as answer:
        assert (answer.status, answer.headers["Location"]) == (201, "/api/v1/deployments/d1")
    async with gateway.http.post("/api/v1/deployments/d1/retry", json={"secret_vars": {"a": "b"}}) as answer:
        assert answer.status == 201
    assert dict(backend.last("RetryDeployment").secret_vars) == {"a": "b"}
    backend.errors["RetryDeployment"] = FailedPrecondition("SECRETS_GONE", "give them again")
    problem = await gateway.problem("POST", "/api/v1/deployments/d1/retry")
    assert (problem["status"], problem["reason"]) == (409, "SECRETS_GONE")


async def test_events_are_asked_for_after_a_number(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/deployments/d1/events?after=3&wait=2.5") as answer:
        events = await answer.json()
    assert events == {
        "items": [{"seq": 4, "event": {"type": "task_result", "status": "ok", "duration_s": 0.5}}],
        "is_final": True,
    }
    request = backend.last("ListPlayEvents")
    assert (request.after_seq, request.wait.seconds, request.wait.nanos) == (3, 2, 500_000_000)
    for query in ("after=-1", "wait=31", "wait=nan", f"after={1 << 63}"):
        assert (await gateway.problem("GET", f"/api/v1/deployments/d1/events?{query}"))["status"] == 400


async def test_the_log_ends_with_the_deployment(gateway: Any, backend: Any) -> None:
    deployment_id, log = backend.new_log()
    log.write(b"one\n")
    messages = []
    async with gateway.socket(deployment_id, noun="deployments") as socket:
        messages.append(await socket.receive())
        log.write(b"two\n")
        log.finish()
        messages += [message async for message in socket]
    assert b"".join(m.data[9:] for m in messages if m.type is aiohttp.WSMsgType.BINARY) == b"one\ntwo\n"
    final = json.loads(messages[-1].data)
    assert (final["type"], final["offset"], final["deployment"]["id"]) == ("final", 8, "d1")
    assert "command" not in final
    assert socket.close_code == 1000
    async with gateway.http.get(f"/api/v1/deployments/{deployment_id}/log?offset=4") as answer:
        assert await answer.read() == b"two\n"
    path = f"/api/v1/deployments/{deployment_id}/log/stream"
    async with gateway.http.get(path, headers={"Last-Event-ID": "4"}) as answer:
        text = await answer.text()
    assert "event: log" in text
    assert '"deployment": {"id":"d1"' in text


async def test_the_log_of_a_deployment_that_is_none_is_a_404(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    log.finish()
    backend.errors["GetDeployment"] = NotFound("DEPLOYMENT_NOT_FOUND", "no such deployment")
    for way in ("log", "log/stream"):
        problem = await gateway.problem("GET", f"/api/v1/deployments/{command_id}/{way}")
        assert (problem["status"], problem["reason"]) == (404, "DEPLOYMENT_NOT_FOUND")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.socket(command_id, noun="deployments")
    assert refused.value.status == 404


async def test_a_log_goes_on_across_a_restart_of_the_executor(gateway: Any, backend: Any) -> None:
    deployment_id, log = backend.new_log()
    log.write(b"one\n")
    async with gateway.socket(deployment_id, noun="deployments") as socket:
        assert (await socket.receive()).data[9:] == b"one\n"
        await backend.stop("executor")
        log.write(b"two\n")
        log.finish(status=command_pb2.COMMAND_STATUS_SUCCESS)
        await asyncio.sleep(0.2)
        await backend.start("executor")
        assert (await socket.receive(timeout=20)).data[9:] == b"two\n"
        assert json.loads((await socket.receive(timeout=20)).data)["type"] == "final"
