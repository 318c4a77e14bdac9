"""Bad requests and failing services: a clear problem of the right status, nothing half done, no secret told."""

import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest

from myx_kit.errors import Code, error_for
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUN = {"server": "web-1", "command": "true"}


@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [
        (Code.INVALID_ARGUMENT, "COMMAND_EMPTY", 400),
        (Code.UNAUTHENTICATED, "CALLER_UNKNOWN", 401),
        (Code.PERMISSION_DENIED, "CALLER_NOT_ALLOWED", 403),
        (Code.NOT_FOUND, "SERVER_NOT_FOUND", 404),
        (Code.ALREADY_EXISTS, "SERVER_NAME_TAKEN", 409),
        (Code.ABORTED, "LOST_UPDATE", 409),
        (Code.ABORTED, "ETAG_MISMATCH", 412),
        (Code.ABORTED, "REQUEST_ID_REUSED", 422),
        (Code.FAILED_PRECONDITION, "AGENT_NOT_FOUND", 409),
        (Code.OUT_OF_RANGE, "OFFSET_BEYOND_END", 416),
        (Code.RESOURCE_EXHAUSTED, "QUOTA", 429),
        (Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", 504),
    ],
)
async def test_a_services_error_has_its_http_status(
    gateway: Any, backend: Any, code: Code, reason: str, status: int
) -> None:
    backend.errors["GetCommand"] = error_for(code, reason, "what an operator may see", {"command": "abc"})
    problem = await gateway.problem("GET", "/api/v1/commands/abc")
    request_id = problem.pop("request_id")
    assert len(request_id) == 16
    title = problem.pop("title")
    assert title
    assert problem == {
        "type": f"urn:myx:problem:{reason.lower()}",
        "status": status,
        "detail": "what an operator may see",
        "reason": reason,
        "fields": {"command": "abc"},
    }


async def test_a_service_that_is_away_is_503_with_retry_after(gateway: Any, backend: Any) -> None:
    await backend.stop("heartbeat")
    try:
        async with gateway.http.post("/api/v1/servers/web-1/check") as answer:
            problem = await answer.json()
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert problem["detail"] == "heartbeat does not answer"
    finally:
        await backend.start("heartbeat")


async def test_a_fault_behind_tells_nothing(gateway: Any, backend: Any) -> None:
    backend.errors["GetCommand"] = RuntimeError("password is hunter2")
    problem = await gateway.problem("GET", "/api/v1/commands/abc")
    assert (problem["status"], problem["reason"], problem["fields"]) == (500, "INTERNAL", {})
    assert "hunter2" not in json.dumps(problem)


@pytest.mark.parametrize("path", ["/api", "/api/v1/nothing", "/api/v1/servers/", "/docs", "/api/v1/commands/a/log/"])
async def test_an_unknown_address_is_404(gateway: Any, path: str) -> None:
    problem = await gateway.problem("GET", path)
    assert (problem["status"], problem["reason"]) == (404, "ROUTE_NOT_FOUND")


async def test_a_wrong_method_is_405_and_names_the_right_ones(gateway: Any) -> None:
    async with gateway.http.put("/api/v1/servers/web-1") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "DELETE, GET, PATCH")
        assert (await answer.json())["reason"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"command": ""}, "command"),
        ({"command": None}, "command"),
        ({"command": 7}, "command"),
        ({"command": "a\0b"}, "command"),
        ({"command": "\ud800"}, "command"),
        ({"server": ""}, "server"),
        ({"server": "a\nb"}, "server"),
        ({"args": "ls"}, "args"),
        ({"args": ["a", 1]}, "args.1"),
        ({"args": ["a", "\0"]}, "args.1"),
        ({"env": {"A": 1}}, "env.A"),
        ({"env": {"A=B": "1"}}, "env.A=B.[key]"),
        ({"env": {"": "1"}}, "env..[key]"),
        ({"secret_env": {"A": ["hunter2"]}}, "secret_env.A"),
        ({"stdin": "no base64!"}, "stdin"),
        ({"timeout_s": -1}, "timeout_s"),
        ({"timeout_s": 1e12}, "timeout_s"),
        ({"timeout_s": "10"}, "timeout_s"),
        ({"timeout_s": True}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"timeout_s": float("inf")}, "timeout_s"),
        ({"no_output_timeout_s": -0.1}, "no_output_timeout_s"),
        ({"env": {"\udfff": "1"}}, "env.\ufffd\ufffd\ufffd.[key]"),
        ({"tiemout_s": 1}, "tiemout_s"),
    ],
)
async def test_a_bad_field_is_named(gateway: Any, backend: Any, change: dict[str, Any], field: str) -> None:
    problem = await gateway.problem("POST", "/api/v1/commands", json={**RUN, **change})
    assert (problem["status"], problem["reason"], list(problem["fields"])) == (400, "REQUEST_INVALID", [field])
    assert field in problem["detail"]
    assert "hunter2" not in json.dumps(problem)
    assert not backend.requests


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"server": "a", }', b"\xff\xfe", b'{"command": "\xc3\x28"}', b"[" * 100_000, b"{}{}", b"NaN nonsense"],
)
async def test_what_is_not_json_is_400(gateway: Any, backend: Any, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    problem = await gateway.problem("POST", "/api/v1/commands", data=body, headers=headers)
    assert (problem["status"], problem["reason"]) == (400, "BODY_MALFORMED")
    assert not backend.requests


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"7", b"null", b""])
async def test_json_of_another_shape_is_400(gateway: Any, backend: Any, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    problem = await gateway.problem("POST", "/api/v1/commands", data=body, headers=headers)
    assert (problem["status"], problem["reason"]) == (400, "REQUEST_INVALID")
    assert not backend.requests


async def test_another_content_type_is_refused(gateway: Any, backend: Any) -> None:
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        problem = await gateway.problem("POST", "/api/v1/commands", data=json.dumps(RUN).encode(), headers=headers)
        assert problem["status"] == 400
    assert not backend.requests


@pytest.mark.parametrize(
    "query",
    [
        "page_size=0",
        "page_size=1001",
        "page_size=x",
        "page_size=-1",
        "status=glad",
        "server=a%00b",
        f"page_token={'x' * 5000}",
    ],
)
async def test_a_bad_query_is_named(gateway: Any, backend: Any, query: str) -> None:
    problem = await gateway.problem("GET", f"/api/v1/commands?{query}")
    assert problem["status"] == 400
    assert next(iter(problem["fields"])).startswith(query.partition("=")[0])
    assert not backend.requests


@pytest.mark.parametrize("body", [{}, {"name": None}, {"colour": "red"}, {"labels": {"a": 1}}, {"name": "x" * 300}])
async def test_a_change_of_nothing_or_of_something_unknown_is_400(gateway: Any, backend: Any, body: Any) -> None:
    problem = await gateway.problem("PATCH", "/api/v1/servers/web-1", json=body)
    assert (problem["status"], problem["reason"]) == (400, "REQUEST_INVALID")
    assert backend.requests.keys() <= {"ResolveServers"}


async def test_a_body_over_the_limit_is_413(gateway: Any, backend: Any) -> None:
    body = json.dumps({**RUN, "stdin": "A" * (5 << 20)}).encode()
    headers = {"Content-Type": "application/json"}
    problem = await gateway.problem("POST", "/api/v1/commands", data=io.BytesIO(body), headers=headers)
    assert (problem["status"], problem["reason"]) == (413, "BODY_TOO_LARGE")

    async def pieces() -> Any:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]

    problem = await gateway.problem("POST", "/api/v1/commands", data=pieces(), headers=headers)
    assert (problem["status"], problem["fields"]) == (413, {"limit_bytes": str(4 << 20)})
    assert not backend.requests


async def test_a_body_up_to_the_limit_is_taken(gateway: Any, backend: Any) -> None:
    body = io.BytesIO(json.dumps({**RUN, "stdin": "A" * (4_000_000)}).encode())
    headers = {"Content-Type": "application/json"}
    async with gateway.http.post("/api/v1/commands", data=body, headers=headers) as answer:
        assert answer.status == 201
    assert len(backend.last("RunCommand").stdin) == 3_000_000


async def exchange(port: int, request: bytes) -> bytes:
    """Send bytes, read until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 1_000_000, b"431"),
        (b"GET /" + b"y" * 1_000_000, b"431"),
    ],
)
async def test_what_is_not_http_is_answered_with_a_problem(gateway: Any, request_bytes: bytes, status: bytes) -> None:
    answer = await exchange(gateway.port, request_bytes)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == status
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == int(status)


async def test_the_limit_is_on_each_head_and_not_on_the_connection(gateway: Any) -> None:
    request = f"GET /healthz HTTP/1.1\r\nHost: a\r\nX: {'y' * 30_000}\r\n\r\n".encode()
    last = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = await exchange(gateway.port, request * 5 + last)
    assert answer.count(b"HTTP/1.1 200") == 6


async def test_a_body_that_never_comes_is_given_up(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(body_timeout_s=0.3) as gateway:
        head = f"POST /api/v1/commands HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {gateway.token}\r\n"
        request = f"{head}Content-Type: application/json\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{{".encode()
        answer = await exchange(gateway.port, request)
    assert b"408" in answer.splitlines()[0]
    assert b"BODY_TIMEOUT" in answer
    assert not backend.requests


async def test_logs_hold_no_token_no_query_and_no_secret(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(log_level="debug") as gateway:
        body = {**RUN, "secret_env": {"PASSWORD": "hunter2"}, "stdin": "aHVudGVyMg=="}
        async with gateway.http.post("/api/v1/commands?access_token=qqq", json=body) as answer:
            request_id = answer.headers["X-Request-Id"]
        backend.errors["GetCommand"] = RuntimeError("hunter2")
        await gateway.problem("GET", "/api/v1/commands/abc?token=qqq")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await gateway.http.ws_connect("/api/v1/commands/abc/log/stream?token=qqq")
        await exchange(gateway.port, f"GET /{gateway.token} nonsense\r\n\r\n".encode())
        assert gateway.program.stop() == 0
        output = await until(gateway.program.log.read_text)
    for secret in (gateway.token, "hunter2", "aHVudGVyMg", "qqq"):
        assert secret not in output
    lines = [json.loads(line) for line in output.splitlines()]
    line = next(line for line in lines if line.get("request_id") == request_id)
    assert (line["event"], line["method"], line["path"]) == ("request", "POST", "/api/v1/commands")
    assert (line["status"], line["principal"], line["client"]) == (201, "token:admin", "127.0.0.1")
