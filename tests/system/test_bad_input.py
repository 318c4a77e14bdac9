"""Wrong requests: a clear error of the right code, nothing done, nothing internal shown."""

import http.client
import json
from typing import Any

import pytest

from myx_testkit.standalone import Standalone

GOOD = {"server": "local", "command": "true"}


def call(
    myx: Standalone, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", myx.port, timeout=20)
    token = myx.api().token
    sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers}
    try:
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        text = response.read().decode()
        return response.status, json.loads(text) if text else {}
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"server": "nobody-knows"}, 404),
        ({"server": ""}, 400),
        ({"command": ""}, 400),
        ({"command": "a\0b"}, 400),
        ({"timeout_s": -1}, 400),
        ({"timeout_s": "soon"}, 400),
        ({"args": "not a list"}, 400),
        ({"env": {"A=B": "x"}}, 400),
        ({"cwd": "relative"}, 400),
        ({"stdin": "%%%"}, 400),
        ({"no_such_field": 1}, 400),
    ],
)
def test_a_wrong_command_is_refused(myx: Standalone, changes: dict[str, Any], status: int) -> None:
    before = myx.api().request("GET", "/commands?page_size=1")["items"]
    answered, problem = call(myx, "POST", "/api/v1/commands", json.dumps(GOOD | changes).encode())
    assert answered == status, problem
    assert problem["reason"].isupper()
    assert problem["detail"]
    assert "Traceback" not in json.dumps(problem)
    assert myx.api().request("GET", "/commands?page_size=1")["items"] == before


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'{"server": "local"', b"\xff\xfe", b""])
def test_a_malformed_body_is_refused(myx: Standalone, body: bytes) -> None:
    answered, problem = call(myx, "POST", "/api/v1/commands", body)
    assert answered == 400, problem
    assert problem["status"] == 400


def test_an_oversize_body_is_refused(myx: Standalone) -> None:
    body = json.dumps(GOOD | {"stdin": "A" * (20 << 20)}).encode()
    try:
        answered, _ = call(myx, "POST", "/api/v1/commands", body)
    except (BrokenPipeError, ConnectionResetError):
        return  # refused before all of it was sent
    assert answered == 413


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer ", "Basic eDp5", ""])
def test_a_wrong_token_is_refused(myx: Standalone, header: str) -> None:
    answered, problem = call(myx, "GET", "/api/v1/servers", Authorization=header)
    assert (answered, problem["reason"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/commands/not-an-id", 404),
        ("GET", "/api/v1/commands/0199f000-0000-7000-8000-000000000000", 404),
        ("GET", "/api/v1/commands/0199f000-0000-7000-8000-000000000000/log", 404),
        ("POST", "/api/v1/commands/0199f000-0000-7000-8000-000000000000/cancel", 404),
        ("GET", "/api/v1/commands?page_token=nonsense", 400),
        ("GET", "/api/v1/commands?status=nonsense", 400),
        ("GET", "/api/v1/servers/nobody-knows", 404),
        ("GET", "/api/v1/nothing", 404),
        ("PUT", "/api/v1/servers", 405),
        ("GET", "/api/nothing", 404),
    ],
)
def test_a_wrong_address_is_a_clear_error(myx: Standalone, method: str, path: str, status: int) -> None:
    answered, problem = call(myx, method, path, b"{}" if method == "POST" else None)
    assert answered == status, problem


def test_an_offset_beyond_the_end_is_refused(myx: Standalone) -> None:
    command = myx.api().request("POST", "/commands", {"server": "local", "command": "echo", "args": ["x"]})["id"]
    assert myx.cli("logs", "-f", command).stdout == b"x\n"
    answered, problem = call(myx, "GET", f"/api/v1/commands/{command}/log?offset=1000")
    assert answered == 416, problem
    answered, problem = call(myx, "GET", f"/api/v1/commands/{command}/log?offset=-1")
    assert answered == 416, problem


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("run", "nobody-knows", "--", "true"), 125, b"nobody-knows"),
        (("run", "local", "--timeout", "-1", "--", "true"), 2, b"timeout"),
        (("run", "local"), 2, b"--"),
        (("logs", "not-an-id"), 125, b"not-an-id"),
        (("server", "show", "nobody-knows"), 125, b"nobody-knows"),
        (("no-such-command",), 2, b"no-such-command"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    myx: Standalone, arguments: tuple[str, ...], status: int, told: bytes
) -> None:
    done = myx.cli(*arguments)
    assert done.returncode == status, done
    assert told in done.stderr
    assert b"Traceback" not in done.stderr
