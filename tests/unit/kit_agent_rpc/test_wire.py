import json

import pytest

from myx_kit.agent_rpc.errors import Cause, JsonRpcError
from myx_kit.agent_rpc.wire import WireError, decode_answers, decode_frame, decode_text, encode_calls


def test_one_call_is_a_request_and_several_are_a_batch():
    assert json.loads(encode_calls([("a", {"x": 1})])) == {"jsonrpc": "2.0", "id": 0, "method": "a", "params": {"x": 1}}
    assert [one["id"] for one in json.loads(encode_calls([("a", {}), ("b", {})]))] == [0, 1]


def test_one_error_without_id_stands_for_every_call():
    body = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse"}}'

    assert decode_answers(body, 2) == [JsonRpcError(-32700, "parse")] * 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"3",
        b"[]",
        b"[1]",
        b"[" * 100_000,
        b'{"jsonrpc":"2.0","id":0,"result":null}',
        b'{"jsonrpc":"2.0","id":0,"result":{},"error":{"code":1,"message":""}}',
        b'{"jsonrpc":"2.0","id":0}',
        b'{"jsonrpc":"1.0","id":0,"result":{}}',
        b'{"jsonrpc":"2.0","id":"0","result":{}}',
        b'{"jsonrpc":"2.0","id":0,"error":{"code":"1","message":""}}',
        b'[{"jsonrpc":"2.0","id":0,"result":{}},{"jsonrpc":"2.0","id":0,"result":{}}]',
    ],
)
def test_what_is_no_answer_is_refused(body):
    with pytest.raises(WireError):
        decode_answers(body, 1)


@pytest.mark.parametrize(("code", "data", "retryable"), [
    (-32603, {}, True),
    (-32000, {"retryable": True}, True),
    (-32099, {"retryable": True}, True),
    (-32000, {"retryable": False}, False),
    (-32000, {}, False),
    (-32602, {"retryable": True}, False),
    (-32100, {"retryable": True}, False),
    (7, {"retryable": True}, False),
])  # fmt: skip
def test_an_error_says_whether_it_may_be_tried_again(code, data, retryable):
    assert JsonRpcError(code, "", data).retryable is retryable


def test_a_frame_without_its_head_is_refused():
    with pytest.raises(WireError):
        decode_frame(b"\x01\x00")


@pytest.mark.parametrize("text", ["", "null", "[" * 100_000, '{"type":"gap","from":true,"to":1,"reason":"x"}'])
def test_a_text_frame_that_cannot_be_read_is_refused(text):
    with pytest.raises(WireError):
        decode_text(text)


def test_the_ladder_says_what_the_retry_table_says():
    not_retried = {
        Cause.PIN_MISMATCH,
        Cause.UNAUTHORIZED,
        Cause.CLOCK_SKEW,
        Cause.WRONG_PATH,
        Cause.BAD_REQUEST,
        Cause.TOO_LARGE,
        Cause.RPC_ERROR,
        Cause.OTHER_MACHINE,
    }
    assert {cause for cause in Cause if not cause.retryable} == not_retried
    assert all(cause.sentence for cause in Cause)
