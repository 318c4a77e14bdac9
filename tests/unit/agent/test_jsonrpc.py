import json

import pytest

from myx_agent.jsonrpc import Dispatcher, RpcError

CALLS = []


@pytest.fixture
def dispatcher():
    dispatcher = Dispatcher(max_batch=3)

    async def subtract(minuend: int, subtrahend: int = 1) -> int:
        CALLS.append((minuend, subtrahend))
        return minuend - subtrahend

    async def fail() -> None:
        raise RuntimeError("the inside is not told")

    async def refuse() -> None:
        raise RpcError(-32004, "not now", "BUSY", retryable=True, after=3)

    for function in (subtract, fail, refuse):
        dispatcher.add(function.__name__, function)
    CALLS.clear()
    return dispatcher


async def ask(dispatcher, document):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    answer = await dispatcher.handle(body)
    return None if answer is None else json.loads(answer)


def call(method="subtract", params=(5, 3), **more):
    return {"jsonrpc": "2.0", "method": method, "params": list(params) if isinstance(params, tuple) else params, **more}


@pytest.mark.parametrize("request_id", [1, 0, -1, 1.5, "", "text", None, 2**63, "é"])
async def test_every_legal_id_comes_back_as_it_was(dispatcher, request_id):
    assert await ask(dispatcher, call(id=request_id)) == {"jsonrpc": "2.0", "id": request_id, "result": 2}


@pytest.mark.parametrize("request_id", [True, [], {}, [1]])
async def test_an_illegal_id_is_an_invalid_request_of_id_null(dispatcher, request_id):
    answer = await ask(dispatcher, call(id=request_id))

    assert (answer["id"], answer["error"]["code"]) == (None, -32600)
    assert CALLS == []


@pytest.mark.parametrize("params", [(5, 3), {"minuend": 5, "subtrahend": 3}, {"subtrahend": 3, "minuend": 5}])
async def test_parameters_go_by_position_or_name(dispatcher, params):
    assert (await ask(dispatcher, call(params=params, id=1)))["result"] == 2


async def test_defaults_fill_what_is_not_given(dispatcher):
    assert (await ask(dispatcher, call(params=(5,), id=1)))["result"] == 4


@pytest.mark.parametrize(
    "params", [(), (1, 2, 3), ("1", 2), {"minuend": 1, "other": 2}, {"subtrahend": 1}, (1.5,), (None,), (True,)]
)
async def test_wrong_parameters_are_told_apart(dispatcher, params):
    error = (await ask(dispatcher, call(params=params, id=1)))["error"]

    assert (error["code"], error["data"]["reason"], error["data"]["retryable"]) == (-32602, "INVALID_PARAMS", False)
    assert CALLS == []


@pytest.mark.parametrize("params", ["bar", 1, None, True])
async def test_parameters_that_are_no_structure_make_an_invalid_request(dispatcher, params):
    assert (await ask(dispatcher, call(params=params, id=7)))["error"]["code"] == -32600


@pytest.mark.parametrize(
    "document", [1, "text", None, True, {}, {"jsonrpc": "2.0"}, {"method": "subtract"},
                 {"jsonrpc": "1.0", "method": "x"}, {"jsonrpc": 2.0, "method": "x"},
                 {"jsonrpc": "2.0", "method": 1}, []]
)  # fmt: skip
async def test_what_is_no_request_is_an_invalid_one(dispatcher, document):
    answer = await ask(dispatcher, document)

    assert (answer["id"], answer["error"]["code"]) == (None, -32600)


async def test_an_invalid_request_keeps_an_id_that_can_be_read(dispatcher):
    assert (await ask(dispatcher, {"jsonrpc": "1.0", "method": "x", "id": 9}))["id"] == 9


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"jsonrpc": "2.0", "method"', b"\xff", b'{"a": "\xff"}', b"[1,", b"[" * 100_000]
)
async def test_what_is_no_json_is_a_parse_error(dispatcher, body):
    answer = await ask(dispatcher, body)

    assert (answer["id"], answer["error"]["code"]) == (None, -32700)


async def test_an_unknown_method_is_told(dispatcher):
    assert (await ask(dispatcher, call("nope", id=1)))["error"]["code"] == -32601


@pytest.mark.parametrize("document", [call(), call("nope"), call(params=("x",)), call("fail", ()), call("refuse", ())])
async def test_notifications_are_never_answered(dispatcher, document):
    assert await ask(dispatcher, document) is None


async def test_a_failure_inside_tells_nothing(dispatcher, caplog):
    answer = await ask(dispatcher, call("fail", (), id=1))

    assert answer["error"] == {
        "code": -32603,
        "message": "Internal error",
        "data": {"reason": "INTERNAL", "retryable": False},
    }
    assert "the inside is not told" in caplog.text


async def test_an_application_error_carries_its_data(dispatcher):
    error = (await ask(dispatcher, call("refuse", (), id=1)))["error"]

    assert error == {"code": -32004, "message": "not now", "data": {"reason": "BUSY", "retryable": True, "after": 3}}


async def test_a_batch_is_done_in_order_and_bad_items_fail_alone(dispatcher):
    answers = await ask(dispatcher, [call(params=(9,), id=1), 1, call(params=(8,), id=2)])

    assert [(answer["id"], answer.get("result")) for answer in answers] == [(1, 8), (None, None), (2, 7)]
    assert [first for first, _second in CALLS] == [9, 8]


async def test_a_batch_of_notifications_is_not_answered(dispatcher):
    assert await ask(dispatcher, [call(), call()]) is None
    assert len(CALLS) == 2


async def test_a_batch_that_is_too_large_is_refused_as_a_whole(dispatcher):
    answer = await ask(dispatcher, [call(id=number) for number in range(4)])

    assert (answer["error"]["code"], answer["error"]["data"]["reason"], CALLS) == (-32600, "BATCH_TOO_LARGE", [])
