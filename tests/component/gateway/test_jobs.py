"""Jobs over REST: what reaches the executor, and what comes back."""

from typing import Any

import pytest

from myx.executor.v1 import command_pb2, job_pb2
from myx_kit.errors import FailedPrecondition, InvalidArgument

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMMAND = {"command": "sh", "args": ["-c", "uptime"]}
JOB = {"selector": "env=prod", "work": {"command": COMMAND}}
SHARES = {
    "concurrency": "12.5%",
    "batches": ["1", "10%"],
    "canary": "2",
    "max_failed": "0",
    "max_unreachable": "5%",
}
TIMES = {"batch_pause_s": 1.5, "canary_soak_s": 60, "deadline_s": 3600}


async def test_a_job_reaches_the_executor_as_it_was_sent(gateway: Any, backend: Any) -> None:
    work = {
        **COMMAND,
        "secret_env": {"PASSWORD": "hunter2"},
        "offline": "queue",
        "queue_timeout_s": 60,
        "lock": "shared",
    }
    body = {
        **JOB,
        "name": "patch",
        "work": {"command": {**work, "connect_timeout_s": 5}},
        "options": {**SHARES, **TIMES},
        "expected_targets_sha256": "b" * 64,
    }
    async with gateway.http.post("/api/v1/jobs", json=body, headers={"Idempotency-Key": "k"}) as answer:
        assert (answer.status, answer.headers["Location"]) == (201, "/api/v1/jobs/j1")
        assert "hunter2" not in await answer.text()
    request = backend.last("CreateJob")
    assert (request.name, request.selector, list(request.servers)) == ("patch", "env=prod", [])
    assert (request.requested_by, len(request.request_id)) == ("token:admin", 64)
    assert request.expected_targets_sha256 == "b" * 64
    command = request.work.command
    assert (list(command.args), dict(command.secret_env)) == (["-c", "uptime"], {"PASSWORD": "hunter2"})
    assert (command.server, command.request_id, command.requested_by) == ("", "", "")
    assert (command.offline, command.lock) == (command_pb2.OFFLINE_POLICY_QUEUE, command_pb2.LOCK_MODE_SHARED)
    assert (command.queue_timeout.seconds, command.connect_timeout.seconds) == (60, 5)
    options = request.options
    assert (options.concurrency.percent, [share.count for share in options.batches]) == (12.5, [1, 0])
    assert (options.batches[1].percent, options.canary.count) == (10, 2)
    assert options.max_failed.WhichOneof("amount") == "count"
    assert options.max_unreachable.percent == 5
    assert (options.batch_pause.nanos, options.canary_soak.seconds, options.deadline.seconds) == (500_000_000, 60, 3600)


async def test_what_is_not_said_is_left_to_the_executor(gateway: Any, backend: Any) -> None:
    body = {"servers": ["web-1", "web-2"], "work": {"deployment": {"kind": "caddy"}}}
    async with gateway.http.post("/api/v1/jobs", json=body) as answer:
        assert answer.status == 201
    request = backend.last("CreateJob")
    assert (request.selector, list(request.servers)) == ("", ["web-1", "web-2"])
    assert request.work.deployment.kind == "caddy"
    assert request.options == job_pb2.JobOptions()
    assert not request.work.deployment.HasField("queue_timeout")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"selector": ""}, "selector"),
        ({"selector": "x" * 5000}, "selector"),
        ({"selector": None}, "servers"),
        ({"servers": ["a"]}, "servers"),
        ({"selector": None, "servers": [""]}, "servers.0"),
        ({"work": {}}, "work"),
        ({"work": {"command": COMMAND, "deployment": {"kind": "caddy"}}}, "work"),
        ({"work": {"command": {**COMMAND, "server": "web-1"}}}, "work.command.server"),
        ({"work": {"command": {**COMMAND, "offline": "maybe"}}}, "work.command.offline"),
        ({"work": {"command": {**COMMAND, "timeout_s": -1}}}, "work.command.timeout_s"),
        ({"options": {"concurrency": 10}}, "options.concurrency"),
        ({"options": {"concurrency": "0"}}, "options.concurrency"),
        ({"options": {"batches": ["10%", "0%"]}}, "options.batches.1"),
        ({"options": {"max_failed": "-1"}}, "options.max_failed"),
        ({"options": {"deadline_s": "1h"}}, "options.deadline_s"),
        ({"options": {"canarry": "1"}}, "options.canarry"),
        ({"expected_targets_sha256": "b"}, "expected_targets_sha256"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_field_is_named(gateway: Any, backend: Any, change: dict[str, Any], field: str) -> None:
    problem = await gateway.problem("POST", "/api/v1/jobs", json={**JOB, **change})
    assert (problem["status"], problem["reason"], list(problem["fields"])) == (400, "REQUEST_INVALID", [field])
    assert not backend.requests


async def test_what_is_empty_is_called_that(gateway: Any, backend: Any) -> None:
    problem = await gateway.problem("POST", "/api/v1/jobs", json={**JOB, "selector": ""})
    assert problem["detail"] == "selector must not be empty"


async def test_the_executors_word_on_a_field_comes_under_its_public_name(gateway: Any, backend: Any) -> None:
    wrong = InvalidArgument("JOB_OPTIONS_INVALID", "the soak needs a canary", field="options.canary_soak")
    backend.errors["CreateJob"] = wrong
    problem = await gateway.problem("POST", "/api/v1/jobs", json=JOB)
    assert problem["fields"] == {"options.canary_soak_s": "the soak needs a canary"}
    backend.errors["CreateJob"] = FailedPrecondition("TARGETS_CHANGED", "other servers match now")
    assert (await gateway.problem("POST", "/api/v1/jobs", json=JOB))["status"] == 409


async def test_a_preview_shows_the_targets(gateway: Any, backend: Any) -> None:
    body = {"selector": "all", "options": {"batches": ["1"]}}
    async with gateway.http.post("/api/v1/jobs/preview", json=body) as answer:
        assert answer.status == 200
        preview = await answer.json()
    assert (preview["targets"][0]["server_name"], preview["targets_sha256"]) == ("web-1", "b" * 64)
    assert backend.last("PreviewJob").options.batches[0].count == 1
    wrong = InvalidArgument("SELECTOR_INVALID", "a value was expected", field="selector", position="4")
    backend.errors["PreviewJob"] = wrong
    problem = await gateway.problem("POST", "/api/v1/jobs/preview", json={"selector": "env="})
    assert problem["fields"] == {"selector": "a value was expected", "position": "4"}


async def test_one_job_shows_its_state_its_counts_and_its_work_without_secrets(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/jobs/j1") as answer:
        job = await answer.json()
    assert next(iter(job)) == "id"
    assert (job["status"], job["counts"], job["target_count"]) == ("paused", {"success": 10, "not_started": 2}, 12)
    assert (job["owner"], job["next"], job["revision"]) == ("executor-1", "goes on when it is resumed", 9)
    assert (job["changes"][0]["from"], job["changes"][0]["to"]) == ("", "pending")
    assert job["work"]["deployment"] is None
    assert (job["work"]["command"]["command"], job["work"]["command"]["secret_env_names"]) == ("uptime", ["PASSWORD"])
    assert (job["options"]["concurrency"], job["options"]["max_failed"]) == ("12.5%", "0")
    assert (job["options"]["batches"], job["options"]["canary"], job["options"]["deadline_s"]) == (["1"], None, 60)


async def test_jobs_and_targets_are_filtered(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/jobs?status=running&status=paused&page_size=3&page_token=t") as answer:
        page = await answer.json()
    assert (page["items"][0]["id"], page["next_page_token"]) == ("j1", "older")
    request = backend.last("ListJobs")
    assert list(request.statuses) == [job_pb2.JOB_STATUS_RUNNING, job_pb2.JOB_STATUS_PAUSED]
    assert (request.page_size, request.page_token) == (3, "t")
    async with gateway.http.get("/api/v1/jobs/j1/targets?status=not_started") as answer:
        page = await answer.json()
    assert (page["items"][0]["status"], page["items"][0]["exit_code"]) == ("unreachable", 0)
    assert page["next_page_token"] == "more"
    assert list(backend.last("ListJobTargets").statuses) == [job_pb2.TARGET_STATUS_NOT_STARTED]
    assert (await gateway.problem("GET", "/api/v1/jobs?status=glad"))["status"] == 400
    async with gateway.http.get("/api/v1/commands?job_id=j1") as answer:
        assert answer.status == 200
    assert backend.last("ListCommands").job_id == "j1"


async def test_a_job_is_paused_resumed_and_cancelled(gateway: Any, backend: Any) -> None:
    for verb, method, status in (
        ("pause", "PauseJob", 200),
        ("resume", "ResumeJob", 200),
        ("cancel", "CancelJob", 202),
    ):
        async with gateway.http.post(f"/api/v1/jobs/j1/{verb}") as answer:
            assert (answer.status, (await answer.json())["id"]) == (status, "j1")
        assert (backend.last(method).job_id, backend.last(method).requested_by) == ("j1", "token:admin")
    assert not backend.last("CancelJob").HasField("grace")
    async with gateway.http.post("/api/v1/jobs/j1/cancel", json={"grace_s": 0}) as answer:
        assert answer.status == 202
    assert backend.last("CancelJob").HasField("grace")


async def test_concurrency_is_changed_while_it_runs(gateway: Any, backend: Any) -> None:
    async with gateway.http.patch("/api/v1/jobs/j1", json={"concurrency": "25%"}) as answer:
        assert answer.status == 200
    assert backend.last("UpdateJob").concurrency.percent == 25
    for body in ({}, {"concurrency": None}, {"concurrency": 5}, {"concurrency": "5", "batches": []}):
        assert (await gateway.problem("PATCH", "/api/v1/jobs/j1", json=body))["status"] == 400


async def test_a_job_is_tried_again(gateway: Any, backend: Any) -> None:
    async with gateway.http.post("/api/v1/jobs/j1/retry") as answer:
        assert (answer.status, answer.headers["Location"]) == (201, "/api/v1/jobs/j1")
    assert not backend.last("RetryJob").statuses
    body = {"statuses": ["failed", "lost"], "secrets": {"PASSWORD": "x"}}
    for _ in range(2):
        async with gateway.http.post("/api/v1/jobs/j1/retry", json=body, headers={"Idempotency-Key": "k"}) as answer:
            assert answer.status == 201
    first, second = backend.requests["RetryJob"][-2:]
    assert first == second
    assert list(first.statuses) == [job_pb2.TARGET_STATUS_FAILED, job_pb2.TARGET_STATUS_LOST]
    assert dict(first.secrets) == {"PASSWORD": "x"}
    assert (await gateway.problem("POST", "/api/v1/jobs/j1/retry", json={"statuses": ["sad"]}))["status"] == 400


async def test_servers_are_selected(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/servers", params={"selector": "env=prod,role in (web)"}) as answer:
        assert answer.status == 200
    assert backend.last("ListServers").selector == "env=prod,role in (web)"


async def test_a_command_says_how_it_waits_and_what_happens_next(gateway: Any, backend: Any) -> None:
    body = {"server": "web-1", "command": "true", "offline": "skip", "lock": "exclusive", "queue_timeout_s": 0.5}
    async with gateway.http.post("/api/v1/commands", json={**body, "connect_timeout_s": 2}) as answer:
        command = await answer.json()
    request = backend.last("RunCommand")
    assert (request.offline, request.lock) == (command_pb2.OFFLINE_POLICY_SKIP, command_pb2.LOCK_MODE_EXCLUSIVE)
    assert (request.queue_timeout.nanos, request.connect_timeout.seconds) == (500_000_000, 2)
    assert (command["offline"], command["lock"], command["queue_timeout_s"]) == ("queue", "shared", 60)
    assert command["status_since"] == "2023-11-14T22:13:20Z"
    assert command["changes"][0] == {
        "at": None, "from": "pending", "to": "running", "actor": "executor:a", "cause": "sent",
        "evidence": "the agent said so",
    }  # fmt: skip
    assert (command["deadline_at"], command["log_purged_at"], command["job_id"]) == (None, None, "")
    for change in ({"offline": "wait"}, {"lock": True}, {"queue_timeout_s": -1}, {"connect_timeout_s": "1"}):
        problem = await gateway.problem("POST", "/api/v1/commands", json={**body, **change})
        assert list(problem["fields"]) == list(change)
    deployment = {"server": "web-1", "kind": "caddy", "offline": "queue", "lock": "exclusive", "queue_timeout_s": 9}
    async with gateway.http.post("/api/v1/deployments", json=deployment) as answer:
        shown = await answer.json()
    assert (shown["offline"], shown["changes"], shown["schedule_id"]) == ("fail", [], "")
    request = backend.last("CreateDeployment")
    assert (request.offline, request.queue_timeout.seconds) == (command_pb2.OFFLINE_POLICY_QUEUE, 9)


async def test_a_log_is_searched(gateway: Any, backend: Any) -> None:
    query = {"pattern": "err.r", "regex": "true", "ignore_case": "1", "from_offset": "7", "max_matches": "5"}
    for noun in ("commands", "deployments"):
        async with gateway.http.get(f"/api/v1/{noun}/c1/log/search", params=query) as answer:
            assert answer.status == 200
            found = await answer.json()
        request = backend.last("SearchLog")
        assert (request.command_id, request.pattern, request.regex, request.ignore_case) == ("c1", "err.r", True, True)
        assert (request.from_offset, request.max_matches) == (7, 5)
        match = found["items"][0]
        assert match["line"] == "größe: \ufffd error"
        assert match["line"][match["match_start"] : match["match_end"]] == "error"
        assert (match["offset"], match["stream"]) == (40, "stderr")
        assert (found["next_offset"], found["is_end"], found["log_size_bytes"]) == (99, False, 200)
    assert backend.requests["GetDeployment"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "pattern"),
        ("pattern=", "pattern"),
        ("pattern=a%00", "pattern"),
        (f"pattern={'x' * 1001}", "pattern"),
        ("pattern=a&from_offset=-1", "from_offset"),
        (f"pattern=a&from_offset={1 << 63}", "from_offset"),
        ("pattern=a&max_matches=1001", "max_matches"),
        ("pattern=a&regex=maybe", "regex"),
    ],
)
async def test_a_wrong_search_is_named(gateway: Any, backend: Any, query: str, field: str) -> None:
    problem = await gateway.problem("GET", f"/api/v1/commands/c1/log/search?{query}")
    assert (problem["status"], list(problem["fields"])) == (400, [field])
    assert not backend.requests
