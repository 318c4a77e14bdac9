"""One `myx run` seen from outside: one trace through all services, one request id in all logs, figures that move."""

import contextlib
import json
import re
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.api import RawStreamMsg

from myx_testkit.collector import Collector, SeenSpan
from myx_testkit.event_stream import connected
from myx_testkit.ports import free_port
from myx_testkit.standalone import Standalone
from myx_testkit.wait import until, until_sync

SERVICES = ("registry", "heartbeat", "executor", "gateway")
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE_ID}-b7ad6b7169203331-01"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations" / "monitoring.md"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as one:
        yield one


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {name: free_port() for name in SERVICES}


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory, collector: Collector, ports: dict[str, int]):
    environment = {}
    for name in SERVICES:
        environment[f"MYX_{name.upper()}_OTLP_ENDPOINT"] = collector.endpoint
        environment[f"MYX_{name.upper()}_HTTP_LISTEN"] = f"127.0.0.1:{ports[name]}"
    deployment = Standalone(tmp_path_factory.mktemp("observed") / "home", environment=environment)
    deployment.start()
    yield deployment
    deployment.stop()


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


def run(myx: Standalone, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A command from its acceptance to its end."""
    body = {"server": "local", "command": "echo", "args": ["hello"], **more}
    command = myx.api().request("POST", "/commands", body, headers)

    def final() -> Any:
        found = myx.api().request("GET", f"/commands/{command['id']}")
        return found if found["ended_at"] else None

    return until_sync(final, 30) or final()


def spans_of(collector: Collector, trace_id: str, command_id: str) -> list[SeenSpan]:
    def has_all() -> bool:
        spans = collector.trace(trace_id)
        return any(one.attributes.get("myx.command_id") == command_id for one in spans) and any(
            one.service == "myx-gateway" for one in spans
        )

    until_sync(has_all, 20, what="the spans of the request and of the command have come")
    return collector.trace(trace_id)


def test_one_run_is_one_trace_from_the_request_to_the_agent_and_its_events(observed, collector):
    command = run(observed, {"traceparent": CALLER, "X-Request-Id": "run-for-the-trace"})

    def services() -> set[str]:
        return {one.service for one in collector.trace(TRACE_ID)}

    # Each process sends its spans when it likes.
    until_sync(lambda: services() >= {"myx-gateway", "myx-executor", "myx-registry"}, 20)
    assert services() == {"myx-gateway", "myx-executor", "myx-registry"}
    spans = spans_of(collector, TRACE_ID, command["id"])
    by_id = {one.span_id: one for one in spans}
    (request,) = [one for one in spans if one.name == "commands.run"]
    assert (request.parent_id, request.attributes["http.response.status_code"]) == ("b7ad6b7169203331", 201)
    assert request.attributes["myx.request_id"] == "run-for-the-trace"
    (call,) = [one for one in spans if one.name.startswith("agent execute_command")]
    way = []
    while call is not None:
        way.append((call.service, call.name))
        call = by_id.get(call.parent_id)
    assert way == [
        ("myx-executor", "agent execute_command, get_command_log"),
        ("myx-executor", "command"),
        ("myx-executor", "myx.executor.v1.CommandService/RunCommand"),
        ("myx-gateway", "myx.executor.v1.CommandService/RunCommand"),
        ("myx-gateway", "commands.run"),
    ]
    (work,) = [one for one in spans if one.name == "command"]
    assert work.attributes["myx.command_id"] == command["id"]


def test_the_agent_notes_the_trace_in_its_log_and_in_the_record_of_the_command(observed):
    other = TRACE_ID.replace("0af7", "0cf7")
    body = {"server": "local", "command": "sleep", "args": ["600"]}
    headers = {"traceparent": CALLER.replace("0af7", "0cf7")}
    command = observed.api().request("POST", "/commands", body, headers)["id"]
    try:
        until_sync(lambda: observed.api().request("GET", f"/commands/{command}")["status"] == "running", 20)
        (folder,) = [path for path in observed.home.agent.rglob(command) if path.is_dir()]
        assert json.loads((folder / "meta.json").read_text())["trace_id"] == other
        assert f"command {command} started, trace {other}" in log_of(observed, "agent")
    finally:
        observed.api().cancel(command, 1)


def test_the_commands_of_a_job_are_in_the_trace_of_the_request_that_made_it(observed, collector):
    trace_id = TRACE_ID.replace("0af7", "0df7")
    body = {"selector": "all", "work": {"command": {"command": "true"}}, "options": {}}
    job = observed.api().request("POST", "/jobs", body, {"traceparent": CALLER.replace("0af7", "0df7")})["id"]

    def named() -> dict[str, SeenSpan]:
        return {one.name: one for one in collector.trace(trace_id)}

    until_sync(lambda: {"job", "command", "jobs.create"} <= named().keys(), 40)
    assert named()["job"].attributes["myx.job_id"] == job
    assert named()["command"].attributes["myx.command_id"]


async def test_the_events_of_a_run_carry_its_trace(observed):
    command = run(observed, {"traceparent": CALLER})
    headers = await headers_of(observed, f"myx.events.command.finished.{command['id']}")
    assert re.fullmatch(rf"00-{TRACE_ID}-[0-9a-f]{{16}}-01", headers["traceparent"])


def test_without_a_traceparent_a_request_begins_a_trace_and_heartbeats_begin_none(observed, collector):
    command = run(observed)
    until_sync(lambda: any(one.attributes.get("myx.command_id") == command["id"] for one in list(collector.spans)), 20)
    (work,) = [one for one in collector.spans if one.attributes.get("myx.command_id") == command["id"]]

    def roots() -> list[tuple[str, str]]:
        return [(one.service, one.name) for one in collector.trace(work.trace_id) if not one.parent_id]

    until_sync(roots, 20)
    assert roots() == [("myx-gateway", "commands.run")]
    others = {one.service for one in collector.spans if not one.parent_id}
    assert others == {"myx-gateway"}


def test_no_secret_and_nothing_that_a_user_wrote_is_in_a_span(observed, collector):
    given, typed, argued, said = (secrets.token_hex(12) for _ in range(4))
    command = run(
        observed,
        {"traceparent": CALLER.replace("0af7", "0bf7")},
        command="sh",
        args=["-c", f": {argued}; printf '%s%s' {said[:12]} {said[12:]}"],
        secret_env={"VERY_SECRET": given},
        env={"PLAIN": typed},
    )
    spans_of(collector, TRACE_ID.replace("0af7", "0bf7"), command["id"])
    facts = json.loads(observed.home.agent_config.read_text())
    hidden = [given, typed, argued, said, observed.home.token, *(facts[k] for k in ("agent_token", "rpc_path"))]
    assert [value for value in hidden if value.encode() in collector.received] == []
    assert b"select" not in collector.received.lower()


def test_the_logs_of_all_services_are_found_by_the_request_id(observed):
    run(observed, server="local")  # whatever was not known yet is
    observed.api().request("GET", "/servers/local", None, {"X-Request-Id": "look-1"})
    command = run(observed, {"X-Request-Id": "run-7"})

    def chain() -> dict[str, list[dict[str, Any]]]:
        return {name: lines_with(observed, name, "request_id", "run-7") for name in SERVICES}

    until_sync(lambda: any(line["event"] == "command_finished" for line in chain()["executor"]), 20)
    lines = chain()
    assert [line["operation"] if "operation" in line else line["event"] for line in lines["gateway"]]
    assert {"RunCommand"} <= {line["method"].rpartition("/")[2] for line in lines["executor"] if line["event"] == "rpc"}
    (finished,) = [line for line in lines["executor"] if line["event"] == "command_finished"]
    assert finished["command_id"] == command["id"]
    assert all("trace_id" in line for line in lines["executor"])
    assert lines_with(observed, "registry", "request_id", "look-1")


@pytest.mark.parametrize("wrong", ["a b", "x" * 65, "../../etc", 'q"uote', "é"])
def test_a_request_id_that_cannot_stand_in_a_log_is_replaced(observed, wrong):
    request = urllib.request.Request(
        f"http://127.0.0.1:{observed.port}/api/v1/status",
        headers={"Authorization": f"Bearer {observed.home.token}", "X-Request-Id": wrong.encode().decode("latin-1")},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-Id"])


def test_the_answer_says_the_request_id_of_the_caller(observed):
    request = urllib.request.Request(
        f"http://127.0.0.1:{observed.port}/api/v1/status",
        headers={"Authorization": f"Bearer {observed.home.token}", "X-Request-Id": "mine-1"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["X-Request-Id"] == "mine-1"


def figures(ports: dict[str, int]) -> dict[str, dict[str, float]]:
    """The values of all services: by name of the figure, by its labels."""
    found: dict[str, dict[str, float]] = {}
    for port in ports.values():
        for name, labels, value in re.findall(r"^(myx_\w+)({.*})? (\S+)$", metrics(port), re.MULTILINE):
            found.setdefault(name, {})[labels] = max(float(value), found.get(name, {}).get(labels, 0.0))
    return found


def test_the_page_lists_exactly_the_figures_that_the_services_have(observed, ports):
    there = {
        (name, kind)
        for port in ports.values()
        for name, kind in re.findall(r"^# TYPE (myx_\w+) (\w+)$", metrics(port), re.MULTILINE)
        if not name.endswith("_created")
    }
    listed = set(re.findall(r"^\| `(myx_\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE))
    assert there == listed


# What a run, a job, a refused login and a look at the output of a command move, beside what never stands still.
MOVED = {
    "myx_build_info": '{python="3',
    "myx_bus_connected": "",
    "myx_database_pool_size": '{pool="executor"}',
    "myx_event_loop_lag_seconds_count": "",
    "myx_loop_turns_total": '{loop="sweep",outcome="ok"}',
    "myx_outbox_published_events_total": "",
    "myx_rpc_client_seconds_count": '{code="OK",peer="executor"}',
    "myx_rpc_server_seconds_count": '{code="OK",method="/myx.executor.v1.CommandService/RunCommand"}',
    "myx_registry_agent_changes_total": '{fact="online"}',
    "myx_registry_agents": '{status="online"}',
    "myx_registry_reports_total": "",
    "myx_registry_servers": "",
    "myx_heartbeat_agents": "",
    "myx_heartbeat_check_seconds_count": "",
    "myx_heartbeat_checks_total": '{status="online"}',
    "myx_heartbeat_members": "",
    "myx_heartbeat_schedule_lag_seconds_count": "",
    "myx_executor_active_commands": "",
    "myx_executor_open_commands": '{status="running"}',
    "myx_executor_dispatch_seconds_count": "",
    "myx_executor_finished_commands_total": '{status="success"}',
    "myx_executor_log_store_lag_seconds_count": "",
    "myx_executor_stored_log_bytes_total": "",
    "myx_executor_claimed_jobs_total": "",
    "myx_executor_claimed_commands_total": "",
    "myx_executor_finished_jobs_total": '{status="success"}',
    "myx_executor_started_job_targets_total": '{kind="command"}',
    "myx_executor_job_start_seconds_count": "",
    "myx_gateway_audit_entries_total": "",
    "myx_gateway_requests_total": '{operation="commands.run",status="201"}',
    "myx_gateway_request_seconds_count": '{operation="commands.run"}',
    "myx_gateway_refused_logins_total": '{reason="wrong"}',
    "myx_gateway_open_streams": "",
    "myx_rpc_server_open_streams": '{method="/myx.executor.v1.CommandService/FollowLog"}',
}


def test_the_figures_of_work_move(observed, ports):
    done = observed.cli("run", "-l", "all", "--yes", "--", "echo", "hello")
    assert done.returncode == 0, done.stderr
    wrong = urllib.request.Request(
        f"http://127.0.0.1:{observed.port}/api/v1/session",
        json.dumps({"name": "nobody", "password": "not the password"}).encode(),
        {"Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(wrong, timeout=20)
    script = "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done; sleep 600"
    body = {"server": "local", "command": "sh", "args": ["-c", script]}
    command = observed.api().request("POST", "/commands", body)["id"]
    follower = observed.follow("logs", "-f", command)

    def still() -> set[str]:
        now = figures(ports)
        return {
            name
            for name, labels in MOVED.items()
            if not any(value > 0 for key, value in now.get(name, {}).items() if key.startswith(labels))
        }

    try:
        with contextlib.suppress(AssertionError):
            until_sync(lambda: not still(), 90, interval_s=0.5)  # a check is due within a minute
        assert still() == set()
    finally:
        follower.kill()
        follower.communicate()
        observed.api().cancel(command, 1)


def log_of(myx: Standalone, name: str) -> str:
    return (myx.home.logs / f"{name}.log").read_text()


def lines_with(myx: Standalone, name: str, key: str, value: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log_of(myx, name).splitlines() if line.startswith("{")]
    return [line for line in lines if line.get(key) == value]


async def headers_of(myx: Standalone, subject: str) -> dict[str, str]:
    async with connected(myx.home) as client:
        stream = client.jetstream()

        async def published() -> RawStreamMsg | None:
            try:
                return await stream.get_last_msg("MYX_EVENTS", subject)
            except nats.js.errors.NotFoundError:
                return None

        message = await until(published, 20, what=f"the event {subject}")
        return dict(message.headers or {})
