"""`POST /rpc`: JSON-RPC 2.0 to the letter, over the very routes of REST.

The specification's own examples stand in tests/unit/gateway/test_rpc_examples.py.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from myx.registry.v1 import server_service_pb2
from myx_gateway.api.rpc_door import MAX_CALLS
from myx_kit.errors import NotFound, Unavailable

sys.path.insert(0, str(Path(__file__).parent))
from people import browser, new_token, new_user

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_METHOD = {"code": -32601, "message": "Method not found"}
INVALID = {"code": -32600, "message": "Invalid Request"}


async def post(gateway: Any, text: str) -> Any:
    """What the door answers to a text; None for nothing at all."""
    async with gateway.http.post("/rpc", data=text, headers={"Content-Type": "application/json"}) as answer:
        body = await answer.read()
        if answer.status == 204:
            assert body == b""
            return None
        assert answer.status == 200, body
        assert answer.content_type == "application/json"
        return json.loads(body)


async def call(gateway: Any, method: str, **params: Any) -> Any:
    """The result of a method."""
    said = await post(gateway, json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}))
    assert "error" not in said, said
    return said["result"]


async def error_of(gateway: Any, method: str, **params: Any) -> Any:
    """The error object of a method."""
    said = await post(gateway, json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}))
    assert set(said) == {"jsonrpc", "error", "id"}, said
    return said["error"]


async def test_a_mixed_batch_is_answered_call_by_call(gateway: Any) -> None:
    sent = """[
        {"jsonrpc": "2.0", "method": "servers.get", "params": {"server": "web-1"}, "id": "1"},
        {"jsonrpc": "2.0", "method": "servers.check", "params": {"server": "web-1"}},
        {"jsonrpc": "2.0", "method": "servers.list", "params": {"page_size": 1}, "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "playbooks.list", "id": "9"}
    ]"""
    said = await post(gateway, sent)
    assert [one["id"] for one in said] == ["1", "2", None, "5", "9"]
    assert said[0]["result"]["name"] == "web-1"
    assert said[1]["result"]["items"][0]["id"] == "s1"
    assert said[2]["error"] == INVALID
    assert said[3]["error"] == NO_METHOD
    assert said[4]["result"]["items"][0]["name"] == "site"


@pytest.mark.parametrize("id_", ["a", "", 1, -7, 1.5, None, 10**30, "日本"])
async def test_an_answer_has_the_id_of_its_call(gateway: Any, id_: Any) -> None:
    said = await post(gateway, json.dumps({"jsonrpc": "2.0", "method": "playbooks.list", "id": id_}))
    assert said["id"] == id_
    assert "result" in said


@pytest.mark.parametrize(
    "sent",
    [
        '{"method": "playbooks.list", "id": 1}',
        '{"jsonrpc": 2.0, "method": "playbooks.list", "id": 1}',
        '{"jsonrpc": "1.0", "method": "playbooks.list", "id": 1}',
        '{"jsonrpc": "2.0", "id": 1}',
        '{"jsonrpc": "2.0", "method": null, "id": 1}',
        '{"jsonrpc": "2.0", "method": "playbooks.list", "params": 7, "id": 1}',
        '{"jsonrpc": "2.0", "method": "playbooks.list", "params": null, "id": 1}',
        '{"jsonrpc": "2.0", "method": "playbooks.list", "id": true}',
        '{"jsonrpc": "2.0", "method": "playbooks.list", "id": [1]}',
        "7",
        "null",
        '"text"',
    ],
)
async def test_what_is_no_request_object_is_said_to_be_none(gateway: Any, sent: str) -> None:
    assert (await post(gateway, sent))["error"]["code"] == -32600


@pytest.mark.parametrize("id_", ["1e400", "-1e400", r'"\ud800"'])
async def test_an_id_that_cannot_be_sent_back_costs_the_other_calls_nothing(
    gateway: Any, backend: Any, id_: str
) -> None:
    wrong = f'{{"jsonrpc": "2.0", "method": "servers.get", "params": {{"server": "not-done"}}, "id": {id_}}}'
    said = await post(gateway, wrong)
    assert (said["error"]["code"], said["id"]) == (-32600, None)
    right = '{"jsonrpc": "2.0", "method": "servers.get", "params": {"server": "done"}, "id": 1}'
    said = await post(gateway, f"[{right}, {wrong}, {right}]")
    assert [(one["id"], "result" in one) for one in said] == [(1, True), (None, False), (1, True)]
    assert [request.server for request in backend.requests["GetServer"]] == ["done", "done"]


async def test_names_that_no_utf_8_can_say_cost_the_other_calls_nothing(gateway: Any, backend: Any) -> None:
    def wrong(params: str) -> str:
        return f'{{"jsonrpc": "2.0", "method": "commands.run", "params": {params}, "id": 2}}'

    right = '{"jsonrpc": "2.0", "method": "servers.get", "params": {"server": "done"}, "id": 1}'
    calls = [right, wrong(r'{"\ud800": 1}'), wrong(r'{"server": "a", "command": "b", "env": {"\ud800": "\ud800"}}')]
    said = await post(gateway, f"[{', '.join(calls)}]")
    assert "result" in said[0]
    assert [one["error"]["code"] for one in said[1:]] == [-32602, -32602]


@pytest.mark.parametrize("sent", ["", "{", "nonsense", "[1,", '{"id": NaN}', "[" * 100_000, "\ufeff{}"])
async def test_what_is_no_json_is_a_parse_error(gateway: Any, sent: str) -> None:
    said = await post(gateway, sent)
    assert (said["error"]["code"], said["id"]) == (-32700, None)


async def test_what_is_no_utf_8_is_a_parse_error(gateway: Any) -> None:
    assert (await post(gateway, b'{"jsonrpc": "\xff"}'))["error"]["code"] == -32700  # type: ignore[arg-type]


async def test_parameters_of_path_query_body_and_headers_are_one_object(gateway: Any, backend: Any) -> None:
    await call(gateway, "servers.get", server="web 1 ü")
    assert backend.last("GetServer").server == "web 1 ü"
    await call(gateway, "servers.update", server="s1", labels={"a": "b"}, if_match='"e7"')
    request = backend.last("UpdateServer")
    assert (request.server, dict(request.labels), request.etag) == ("s1", {"a": "b"}, "e7")
    await call(gateway, "commands.list", status=["running", "queued"], server="web-1", page_size=7)
    request = backend.last("ListCommands")
    assert (request.server, request.page_size, len(request.statuses)) == ("web-1", 7, 2)
    await call(gateway, "servers.get_host_key", server="web-1", scan=True)
    assert backend.last("ScanHostKey").server == "web-1"
    command = await call(gateway, "commands.run", server="web-1", command="uptime", idempotency_key="k")
    first = backend.last("RunCommand").request_id
    await call(gateway, "commands.run", server="web-1", command="uptime", idempotency_key="k")
    assert backend.last("RunCommand").request_id == first
    assert backend.last("RunCommand").requested_by == "token:admin"
    assert command["id"] == "0192-command"


async def test_a_body_that_may_be_left_out_is_left_out(gateway: Any, backend: Any) -> None:
    await call(gateway, "commands.cancel", command_id="c")
    assert not backend.last("CancelCommand").HasField("grace")
    await call(gateway, "commands.cancel", command_id="c", grace_s=3)
    assert backend.last("CancelCommand").grace.seconds == 3


async def test_what_has_no_answer_has_the_result_null(gateway: Any) -> None:
    said = await post(gateway, '{"jsonrpc": "2.0", "method": "servers.delete", "params": {"server": "web-1"}, "id": 1}')
    assert said == {"jsonrpc": "2.0", "result": None, "id": 1}


async def by_position(gateway: Any, method: str, *params: Any) -> Any:
    """What the door answers to parameters in their order."""
    return await post(gateway, json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}))


async def test_parameters_by_position_are_those_of_the_document_in_its_order(gateway: Any, backend: Any) -> None:
    methods = {one["name"]: one for one in (await call(gateway, "rpc.discover"))["methods"]}
    for method, request, given in (
        ("commands.run", "RunCommand", {"server": "web-1", "command": "uptime"}),
        ("servers.list", "ListServers", {"selector": "env=prod", "page_size": 7}),
    ):
        names = [one["name"] for one in methods[method]["params"]][:2]
        assert set(names) == set(given)
        assert "result" in await by_position(gateway, method, *(given[name] for name in names))
        assert {name: getattr(backend.last(request), name) for name in given} == given
    assert "result" in await by_position(gateway, "playbooks.list")


async def test_too_few_or_too_many_parameters_by_position_are_refused(gateway: Any, backend: Any) -> None:
    for method, params, wrong in (
        ("servers.get", [], "server"),
        ("servers.get", ["web-1", "x", "y"], "2"),
    ):
        error = (await by_position(gateway, method, *params))["error"]
        assert (error["code"], error["data"]["reason"]) == (-32602, "REQUEST_INVALID")
        assert wrong in error["data"]["fields"]
    assert (await by_position(gateway, "rpc.discover", 1))["error"]["code"] == -32602
    assert backend.requests.keys() <= {"ResolveServers"}


async def test_wrong_parameters_are_named(gateway: Any, backend: Any) -> None:
    for params, wrong in (
        ({}, "server"),
        ({"server": "web-1", "servre": "x"}, "servre"),
        ({"server": None}, "server"),
        ({"server": ["web-1"]}, "server"),
        ({"server": ""}, "server"),
        ({"server": "web-1/agent"}, "server"),
        ({"server": "{x}"}, "server"),
        ({"server": "\ud800"}, "server"),
        ({"server": "web-1", "scan": "perhaps"}, "scan"),
        ({"server": "web-1", "scan": [True]}, "scan"),
    ):
        method = "servers.get_host_key" if "scan" in params else "servers.get"
        error = await error_of(gateway, method, **params)
        assert error["code"] == -32602, params
        assert error["data"]["reason"] == "REQUEST_INVALID"
        assert wrong in error["data"]["fields"], params
    error = await error_of(gateway, "commands.run", server="web-1", command=7)
    assert (error["code"], set(error["data"]["fields"])) == (-32602, {"command"})
    assert "RunCommand" not in backend.requests


async def test_errors_carry_the_problem_and_a_code_of_its_status(gateway: Any, backend: Any) -> None:
    backend.errors["GetServer"] = NotFound("SERVER_NOT_FOUND", "there is none", server="x")
    error = await error_of(gateway, "servers.get", server="x")
    assert (error["code"], error["message"]) == (-32004, "there is none")
    assert error["data"]["type"] == "urn:myx:problem:server_not_found"
    assert error["data"]["status"] == 404
    backend.errors["GetServer"] = Unavailable("SERVICE_UNAVAILABLE", "registry is away")
    assert (await error_of(gateway, "servers.get", server="x"))["code"] == -32053
    backend.errors["GetServer"] = RuntimeError("secret detail")
    error = await error_of(gateway, "servers.get", server="x")
    assert error["code"] == -32603
    assert "secret" not in json.dumps(error)


async def test_a_batch_is_done_in_its_order_and_is_bounded(gateway: Any, backend: Any) -> None:
    calls = [
        {"jsonrpc": "2.0", "method": "servers.get", "params": {"server": str(number)}, "id": number}
        for number in range(MAX_CALLS)
    ]
    said = await post(gateway, json.dumps(calls))
    assert [one["id"] for one in said] == list(range(MAX_CALLS))
    assert [request.server for request in backend.requests["GetServer"]] == [str(n) for n in range(MAX_CALLS)]
    said = await post(gateway, json.dumps([*calls, calls[0]]))
    assert said["error"]["code"] == -32600
    assert len(backend.requests["GetServer"]) == MAX_CALLS


async def test_a_notification_is_done(gateway: Any, backend: Any) -> None:
    assert await post(gateway, '{"jsonrpc": "2.0", "method": "servers.delete", "params": {"server": "w"}}') is None
    assert backend.last("DeleteServer") == server_service_pb2.DeleteServerRequest(server="w")


async def test_streams_files_and_logins_are_no_methods(gateway: Any) -> None:
    for method in ("commands.stream_log", "commands.log", "playbooks.push", "session.create", "rpc.other", "__class__"):
        assert (await error_of(gateway, method))["code"] == -32601


async def test_nobody_calls_without_a_login_or_in_another_form(gateway: Any) -> None:
    call = {"jsonrpc": "2.0", "method": "playbooks.list", "id": 1}
    async with gateway.stranger.post("/rpc", json=call) as answer:
        assert answer.status == 401
    problem = await gateway.problem("POST", "/rpc", data=json.dumps(call), headers={"Content-Type": "text/plain"})
    assert problem["reason"] == "MEDIA_TYPE_UNSUPPORTED"
    problem = await gateway.problem("GET", "/rpc")
    assert problem["reason"] == "METHOD_NOT_ALLOWED"


async def test_a_browser_must_prove_that_its_page_is_ours(gateway: Any) -> None:
    call = {"jsonrpc": "2.0", "method": "session.get", "id": 1}
    name = await new_user(gateway, "viewer")
    async with browser(gateway, name) as one:
        async with one.http.post("/rpc", json=call, headers=one.headers()) as answer:
            assert (await answer.json())["result"]["me"]["name"] == f"user:{name}"
        for headers in ({}, {"Origin": one.url}, {**one.headers(), "Origin": "https://elsewhere.example"}):
            async with one.http.post("/rpc", json=call, headers=headers) as answer:
                assert answer.status == 403


async def test_rights_are_those_of_who_calls(gateway: Any, backend: Any) -> None:
    name = await new_user(gateway, "viewer", kind="program")
    headers = {"Authorization": f"Bearer {await new_token(gateway, name)}"}
    call = {"jsonrpc": "2.0", "method": "commands.run", "params": {"server": "web-1", "command": "true"}, "id": 1}
    async with gateway.stranger.post("/rpc", json=call, headers=headers) as answer:
        error = (await answer.json())["error"]
    assert (error["code"], error["data"]["reason"]) == (-32003, "FORBIDDEN")
    assert "RunCommand" not in backend.requests


async def test_discovery_is_openrpc_whose_references_lead_somewhere(gateway: Any) -> None:
    said = await call(gateway, "rpc.discover")
    assert said["openrpc"].startswith("1.")
    methods = {method["name"]: method for method in said["methods"]}
    assert methods["commands.run"]["paramStructure"] == "either"
    assert {one["name"] for one in methods["commands.run"]["params"] if one["required"]} == {"server", "command"}
    assert methods["servers.update"]["x-myx-role"] == "admin"

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                found = said
                for part in node["$ref"].removeprefix("#/").split("/"):
                    found = found[part]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for item in node:
                walk(item)

    walk(said)
    assert (await error_of(gateway, "rpc.discover", a=1))["code"] == -32602
