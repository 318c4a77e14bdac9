"""Schedules over REST: what reaches the executor, and what comes back."""

from typing import Any

import pytest

from myx.executor.v1 import schedule_service_pb2 as executor
from myx_kit.errors import Aborted, InvalidArgument

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The id of the one server of the fake registry: schedules keep ids.
MATCHED = "0192e4a0-0000-7000-8000-0000000000a1"
COMMAND = {"server": "web-1", "command": "uptime"}
SCHEDULE = {"name": "nightly", "cron": "0 3 * * *", "work": {"command": COMMAND}}


async def test_a_schedule_reaches_the_executor_as_it_was_sent(gateway: Any, backend: Any) -> None:
    body = {
        **SCHEDULE,
        "time_zone": "Europe/Berlin",
        "missed": "run_once",
        "missed_within_s": 90,
        "overlap": "wait",
        "paused": True,
    }
    async with gateway.http.post("/api/v1/schedules", json=body, headers={"Idempotency-Key": "k"}) as answer:
        assert (answer.status, answer.headers["Location"]) == (201, "/api/v1/schedules/k1")
        assert answer.headers["ETag"] == '"n1"'
    request = backend.last("CreateSchedule")
    assert (request.name, request.cron, request.time_zone) == ("nightly", "0 3 * * *", "Europe/Berlin")
    assert (request.missed, request.overlap) == (executor.MISSED_POLICY_RUN_ONCE, executor.OVERLAP_POLICY_WAIT)
    assert (request.missed_within.seconds, request.paused) == (90, True)
    assert (request.work.command.server, request.work.command.command) == (MATCHED, "uptime")
    assert (request.requested_by, len(request.request_id)) == ("token:admin", 64)


async def test_each_kind_of_work_is_passed_on(gateway: Any, backend: Any) -> None:
    deployment = {"server": "web-1", "kind": "caddy", "extra_vars": {"port": 80}}
    job = {"selector": "all", "work": {"command": {"command": "true"}}, "options": {"concurrency": "10%"}}
    for kind, work in (("deployment", deployment), ("job", job)):
        async with gateway.http.post("/api/v1/schedules", json={**SCHEDULE, "work": {kind: work}}) as answer:
            assert answer.status == 201
        assert backend.last("CreateSchedule").work.WhichOneof("work") == kind
    sent = backend.requests["CreateSchedule"]
    assert (sent[0].work.deployment.server, sent[0].work.deployment.extra_vars["port"]) == (MATCHED, 80)
    assert (sent[1].work.job.selector, sent[1].work.job.work.command.command) == ("all", "true")
    assert sent[1].work.job.options.concurrency.percent == 10


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"cron": ""}, "cron"),
        ({"cron": 5}, "cron"),
        ({"missed": "often"}, "missed"),
        ({"missed_within_s": -1}, "missed_within_s"),
        ({"work": {}}, "work"),
        ({"work": {"command": {"command": "true"}}}, "work.command.server"),
        ({"work": {"job": {"selector": "all"}}}, "work.job.work"),
        ({"work": {"job": {"selector": "all", "work": {"command": COMMAND}}}}, "work.job.work.command.server"),
        ({"work": {"command": COMMAND, "deployment": {"server": "a", "kind": "caddy"}}}, "work"),
        ({"owner": "me"}, "owner"),
    ],
)
async def test_a_wrong_field_is_named(gateway: Any, backend: Any, change: dict[str, Any], field: str) -> None:
    problem = await gateway.problem("POST", "/api/v1/schedules", json={**SCHEDULE, **change})
    assert (problem["status"], list(problem["fields"])) == (400, [field])
    assert not backend.requests


async def test_the_executors_word_on_a_field_comes_under_its_public_name(gateway: Any, backend: Any) -> None:
    wrong = InvalidArgument("SCHEDULE_INVALID", "must be positive", field="missed_within")
    backend.errors["CreateSchedule"] = wrong
    problem = await gateway.problem("POST", "/api/v1/schedules", json=SCHEDULE)
    assert problem["fields"] == {"missed_within_s": "must be positive"}


async def test_one_schedule_shows_its_times_and_its_work_without_secrets(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/schedules/nightly") as answer:
        assert answer.headers["ETag"] == '"n1"'
        schedule = await answer.json()
    assert backend.last("GetSchedule").schedule == "nightly"
    assert (schedule["missed"], schedule["overlap"], schedule["owner"]) == ("run_once", "wait", "token:admin")
    assert schedule["next_times"] == ["2026-11-22T10:00:00Z"]
    assert (schedule["last_fire"]["outcome"], schedule["last_fire"]["started_id"]) == ("started", "j1")
    job = schedule["work"]["job"]
    assert schedule["work"]["command"] is schedule["work"]["deployment"] is None
    assert (job["selector"], job["work"]["deployment"]["kind"]) == ("all", "caddy")
    assert job["work"]["deployment"]["secret_var_names"] == ["token"]


async def test_a_schedule_is_removed_as_it_was_seen(gateway: Any, backend: Any) -> None:
    async with gateway.http.delete("/api/v1/schedules/nightly", headers={"If-Match": '"n1"'}) as answer:
        assert answer.status == 204
    assert backend.last("DeleteSchedule") == executor.DeleteScheduleRequest(schedule="nightly", etag="n1")
    backend.errors["DeleteSchedule"] = Aborted("ETAG_MISMATCH", "it was changed", field="etag")
    problem = await gateway.problem("DELETE", "/api/v1/schedules/nightly", headers={"If-Match": '"n0"'})
    assert (problem["status"], list(problem["fields"])) == (412, ["If-Match"])


async def test_only_what_is_sent_is_changed(gateway: Any, backend: Any) -> None:
    path, headers = "/api/v1/schedules/nightly", {"If-Match": '"n1"'}
    body = {"paused": False, "missed_within_s": 5, "overlap": "allow"}
    async with gateway.http.patch(path, json=body, headers=headers) as answer:
        assert answer.status == 200
    request = backend.last("UpdateSchedule")
    assert list(request.update_mask.paths) == ["missed_within", "overlap", "paused"]
    assert (request.schedule, request.etag, request.requested_by) == ("nightly", "n1", "token:admin")
    assert (request.paused, request.missed_within.seconds) == (False, 5)
    assert request.overlap == executor.OVERLAP_POLICY_ALLOW
    for wrong in ({}, {"cron": None}, {"name": "other"}):
        assert (await gateway.problem("PATCH", path, json=wrong))["status"] == 400
    backend.errors["UpdateSchedule"] = Aborted("ETAG_MISMATCH", "changed since")
    assert (await gateway.problem("PATCH", path, json={"paused": True}, headers=headers))["status"] == 412


async def test_schedules_and_their_fires_are_listed_and_one_is_removed(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/schedules?page_size=5") as answer:
        page = await answer.json()
    assert (page["items"][0]["name"], page["next_page_token"]) == ("nightly", None)
    async with gateway.http.get("/api/v1/schedules/nightly/fires?page_token=t") as answer:
        page = await answer.json()
    assert (page["items"][0]["slot_at"], page["next_page_token"]) == ("2026-11-22T10:00:00Z", "older")
    assert (backend.last("ListScheduleFires").page_token, backend.last("ListScheduleFires").page_size) == ("t", 100)
    async with gateway.http.delete("/api/v1/schedules/nightly") as answer:
        assert (answer.status, await answer.read()) == (204, b"")


async def test_an_expression_is_looked_at(gateway: Any, backend: Any) -> None:
    body = {"cron": "0 3 * * *", "time_zone": "Europe/Berlin", "count": 3, "after": "2026-11-22T10:00:00+01:00"}
    async with gateway.http.post("/api/v1/schedules/preview", json=body) as answer:
        assert (await answer.json()) == {"times": ["2026-11-22T10:00:00Z"]}
    request = backend.last("PreviewSchedule")
    assert (request.count, request.after.ToJsonString()) == (3, "2026-11-22T09:00:00Z")
    for change in ({"count": 101}, {"count": "3"}, {"after": "yesterday"}, {"after": "2026-11-22T10:00:00"}):
        problem = await gateway.problem("POST", "/api/v1/schedules/preview", json={**body, **change})
        assert (problem["status"], list(problem["fields"])) == (400, list(change))
