"""The control plane's client holds to the same golden files."""

import json

from myx_kit.agent_rpc.errors import JsonRpcError
from myx_kit.agent_rpc.signature import sign
from myx_kit.agent_rpc.wire import LogFinal, LogGap, decode_answers, decode_frame, decode_text


def test_signatures_are_made_so(signing):
    body = signing["body"].encode()
    made = sign(signing["secret_key"], signing["method"], signing["target"], body, signing["time"], signing["nonce"])

    assert made == signing["header"]


def test_answers_are_understood_so(exchange, fill):
    for step in exchange["steps"]:
        answer = step["answer"]
        one = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
        if not isinstance(one, dict) or one["id"] not in {1, None}:
            continue
        sent = fill(one) | ({"id": 0} if one["id"] == 1 else {})
        (understood,) = decode_answers(json.dumps(sent).encode(), 1) if "error" in sent or sent["id"] == 0 else [None]
        if "error" in sent:
            assert isinstance(understood, JsonRpcError)
            assert (understood.code, understood.reason) == (sent["error"]["code"], sent["error"]["data"]["reason"])
            assert understood.retryable is sent["error"]["data"]["retryable"]
        elif understood is not None:
            assert understood == sent["result"]


def test_frames_are_understood_so(stream_case, fill):
    for frame in stream_case["frames"]:
        if "binary" in frame:
            understood = decode_frame(bytes.fromhex(frame["binary"]))
            assert (understood.stream, understood.offset, understood.data.hex()) == (
                frame["stream"],
                frame["offset"],
                frame["data"],
            )
            continue
        text = fill(frame["text"])
        match decode_text(json.dumps(text)):
            case LogFinal(offset=offset, result=result):
                assert (offset, result) == (text["offset"], text["result"])
            case LogGap(from_=start, to=end, reason=reason):
                assert (start, end, reason) == (text["from"], text["to"], text["reason"])
            case JsonRpcError(code=code):
                assert code == text["error"]["code"]
            case other:
                raise AssertionError(other)
