"""The examples of the JSON-RPC 2.0 specification as they stand (https://www.jsonrpc.org/specification, 7 Examples)."""

import json
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request

from myx_gateway import openrpc
from myx_gateway.access.operation import On, Operation
from myx_gateway.access.rights import Role
from myx_gateway.api.rpc_door import RpcDoor

NAMES = ("subtract", "sum", "get_data", "update", "notify_hello", "notify_sum")


class Pair(BaseModel):
    minuend: int
    subtrahend: int


class Three(BaseModel):
    a: int
    b: int
    c: int


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> RpcDoor:
    """The door of an interface that has the methods of the examples, but no `foobar`."""
    table = [Operation(name, "POST", f"/{name}", Role.VIEWER, On.ANY, reads=True) for name in NAMES]
    monkeypatch.setattr(openrpc, "OPERATIONS", table)
    app = FastAPI(generate_unique_id_function=lambda route: route.name)

    def subtract(body: Pair) -> int:
        return body.minuend - body.subtrahend

    def add_up(body: Three) -> int:
        return body.a + body.b + body.c

    handlers = {"subtract": subtract, "sum": add_up, "get_data": lambda: ["hello", 5]}
    for name in NAMES:
        app.post(f"/{name}", name=name, summary=name, tags=["x"])(handlers.get(name, lambda: None))
    return RpcDoor(app, app.openapi(), "")


async def answer(door: RpcDoor, text: str) -> Any:
    """What the door says to a text; None for nothing."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/rpc",
        "headers": [(b"content-type", b"application/json")],
        "state": {"request_id": "r"},
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": text.encode(), "more_body": False}

    said = await door.answer(Request(scope, receive))
    return json.loads(bytes(said.body)) if said.body else None


def error(code: int, message: str, id_: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": {"code": code, "message": message}, "id": id_}


# What is sent, as the specification has it, and what is answered.
EXAMPLES: list[tuple[str, Any]] = [
    # rpc call with positional parameters
    (
        '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
        {"jsonrpc": "2.0", "result": 19, "id": 1},
    ),
    (
        '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
        {"jsonrpc": "2.0", "result": -19, "id": 2},
    ),
    # rpc call with named parameters
    (
        '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
        {"jsonrpc": "2.0", "result": 19, "id": 3},
    ),
    (
        '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
        {"jsonrpc": "2.0", "result": 19, "id": 4},
    ),
    # a Notification
    ('{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', None),
    ('{"jsonrpc": "2.0", "method": "foobar"}', None),
    # rpc call of non-existent method
    ('{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', error(-32601, "Method not found", "1")),
    # rpc call with invalid JSON
    ('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', error(-32700, "Parse error")),
    # rpc call with invalid Request object
    ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', error(-32600, "Invalid Request")),
    # rpc call Batch, invalid JSON
    (
        """[
  {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
  {"jsonrpc": "2.0", "method"
]""",
        error(-32700, "Parse error"),
    ),
    # rpc call with an empty Array
    ("[]", error(-32600, "Invalid Request")),
    # rpc call with an invalid Batch (but not empty)
    ("[1]", [error(-32600, "Invalid Request")]),
    # rpc call with invalid Batch
    ("[1,2,3]", [error(-32600, "Invalid Request")] * 3),
    # rpc call Batch
    (
        """[
        {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
        {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
    ]""",
        [
            {"jsonrpc": "2.0", "result": 7, "id": "1"},
            {"jsonrpc": "2.0", "result": 19, "id": "2"},
            error(-32600, "Invalid Request"),
            error(-32601, "Method not found", "5"),
            {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"},
        ],
    ),
    # rpc call Batch (all notifications)
    (
        """[
        {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
    ]""",
        None,
    ),
]


@pytest.mark.parametrize(("sent", "answered"), EXAMPLES)
async def test_the_examples_of_the_specification(door: RpcDoor, sent: str, answered: Any) -> None:
    assert await answer(door, sent) == answered
