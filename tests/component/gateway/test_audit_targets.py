"""Whom an act was about is in its entry, by what stays: the ids of servers."""

from typing import Any

import pytest

from myx.executor.v1 import job_pb2, job_service_pb2
from myx_gateway.operations import BY_NAME
from myx_kit.errors import NotFound, Unavailable
from myx_kit.ids import new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The id of web-1 as selectors are resolved, and as services answer it (conftest).
MATCHED, ANSWERED = "0192e4a0-0000-7000-8000-0000000000a1", "s1"
DIGEST = "b" * 64


async def entry_of(gateway: Any, operation: str, body: Any = None, **path: str) -> dict[str, Any]:
    """The entry of a call of this operation now."""
    one = BY_NAME[operation]
    address = f"/api/v1{one.path.format(**path)}"
    async with gateway.http.request(one.verb, address, json=body) as answer:
        request_id = answer.headers["X-Request-Id"]
    async with gateway.http.get("/api/v1/audit", params={"operation": operation}) as answer:
        (entry,) = [item for item in (await answer.json())["items"] if item["request_id"] == request_id]
    return dict(entry)


@pytest.mark.parametrize(
    ("operation", "path", "body"),
    [
        ("commands.run", {}, {"server": "web-1", "command": "uptime"}),
        ("commands.cancel", {"command_id": "c1"}, None),
        ("deployments.create", {}, {"server": "web-1", "kind": "caddy"}),
        ("deployments.cancel", {"deployment_id": "d1"}, None),
        ("deployments.retry", {"deployment_id": "d1"}, None),
    ],
)
async def test_work_names_its_server_by_id_and_name(
    gateway: Any, backend: Any, operation: str, path: dict[str, str], body: Any
) -> None:
    entry = await entry_of(gateway, operation, body, **path)
    assert (entry["result"], entry["targets"]) == ("ok", ["web-1", ANSWERED])


@pytest.mark.parametrize(
    ("operation", "path", "body"),
    [
        ("servers.check", {"server": "web-1"}, None),
        ("servers.delete", {"server": "web-1"}, None),
        ("servers.trust_host_key", {"server": "web-1"}, {"fingerprint": "SHA256:abc"}),
        ("servers.pause", {}, {"servers": ["web-1"], "for_s": 60}),
        ("servers.resume", {}, {"servers": ["web-1"]}),
    ],
)
async def test_what_is_done_to_a_server_by_its_name_is_found_by_its_id(
    gateway: Any, backend: Any, operation: str, path: dict[str, str], body: Any
) -> None:
    entry = await entry_of(gateway, operation, body, **path)
    assert (entry["result"], entry["targets"]) == ("ok", ["web-1", MATCHED])


@pytest.mark.parametrize("operation", ["servers.pause", "servers.resume"])
async def test_an_act_by_selector_names_the_servers_that_match(gateway: Any, backend: Any, operation: str) -> None:
    body = {"selector": "env=prod", **({"for_s": 60} if operation == "servers.pause" else {})}
    entry = await entry_of(gateway, operation, body)
    assert (entry["result"], entry["targets"]) == ("ok", [MATCHED])


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("jobs.create", {"selector": "env=prod", "work": {"command": {"command": "uptime"}}}),
        ("jobs.pause", None),
        ("jobs.resume", None),
        ("jobs.cancel", None),
        ("jobs.update", {"concurrency": "1"}),
        ("jobs.retry", None),
    ],
)
async def test_what_is_done_to_a_job_names_its_frozen_targets(
    gateway: Any, backend: Any, operation: str, body: Any
) -> None:
    # It has twelve; the page tells of one.
    entry = await entry_of(gateway, operation, body, job_id="j1")
    assert (entry["result"], entry["targets"]) == ("ok", [ANSWERED, "and 11 more"])
    assert (entry["details"]["target_count"], entry["details"]["targets_sha256"]) == (12, DIGEST)


async def test_of_a_large_job_the_first_hundred_are_named_by_id(gateway: Any, backend: Any) -> None:
    ids = [str(new_id()) for _ in range(100)]
    job = job_pb2.Job(id="j2", target_count=250, targets_sha256=DIGEST)
    page = job_service_pb2.ListJobTargetsResponse(targets=[job_pb2.JobTarget(server_id=id_) for id_ in ids])
    backend.answers |= {"CreateJob": job_service_pb2.CreateJobResponse(job=job), "ListJobTargets": page}
    body = {"servers": ["web-1", "web-2"], "work": {"command": {"command": "uptime"}}}
    entry = await entry_of(gateway, "jobs.create", body)
    assert backend.last("ListJobTargets").page_size == 100
    # The names that were typed have to give way; `details` has them.
    assert entry["targets"] == [*ids, "and 152 more"]
    assert entry["details"]["servers"] == ["web-1", "web-2"]


async def test_a_job_is_answered_though_its_targets_cannot_be_read(gateway: Any, backend: Any) -> None:
    backend.errors["ListJobTargets"] = Unavailable("UNAVAILABLE", "away")
    entry = await entry_of(gateway, "jobs.cancel", job_id="j1")
    assert (entry["result"], entry["status"], entry["targets"]) == ("ok", 202, [])
    assert entry["details"]["target_count"] == 12


async def test_what_was_refused_names_what_was_asked_for(gateway: Any, backend: Any) -> None:
    backend.errors["CancelCommand"] = NotFound("COMMAND_NOT_FOUND", "there is no such command")
    entry = await entry_of(gateway, "commands.cancel", command_id="c9")
    assert (entry["result"], entry["targets"], entry["resource"]) == ("refused", [], "c9")
