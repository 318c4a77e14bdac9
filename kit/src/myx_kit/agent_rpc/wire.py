"""JSON-RPC 2.0 and log frames as bytes: encode and decode, no I/O. Shapes: DESIGN.md section 2, CONTRACTS.md."""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from myx_kit.agent_rpc.errors import JsonRpcError

STDOUT = 1
STDERR = 2
MAX_FRAME_BYTES = 256 * 1024
# A level of a Struct is three messages, of which protobuf reads 100 in each other.
MAX_DEPTH = 28

# Any that is this short is below the largest double.
_LARGEST_BITS = 1023
_FRAME_HEAD = struct.Struct(">BQ")


class WireError(ValueError):
    """What came is not the agent protocol. The text names what is wrong, never what was received."""


@dataclass(frozen=True, slots=True)
class LogFrame:
    """A run of one stream. `stream` is STDOUT or STDERR, `offset` that of `data[0]` in the interleaved log."""

    stream: int
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LogGap:
    """Bytes [from_, to) were dropped by the agent; `reason` says by which limit."""

    from_: int
    to: int
    reason: str


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One progress event of a playbook run."""

    seq: int
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LogFinal:
    """The log ends at `offset`; `result` as in CONTRACTS.md."""

    offset: int
    result: Mapping[str, Any]


LogItem = LogFrame | LogGap | LogEvent | LogFinal


def encode_calls(calls: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
    """One request for one call, a batch for several; ids are 0, 1, 2 …"""
    requests = [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        for number, (method, params) in enumerate(calls)
    ]
    return json.dumps(requests[0] if len(requests) == 1 else requests, separators=(",", ":")).encode()


def decode_answers(body: bytes, count: int) -> list[dict[str, Any] | JsonRpcError]:
    """The answers to `count` calls in the order of the calls. Raises WireError.

    One error object with id null, as for a request that the agent could not read, stands for every call.
    """
    try:
        document = json_value(body)
    except ValueError:
        raise WireError("the answer is not JSON") from None
    if isinstance(document, dict):
        if document.get("id") is None and "error" in document:
            return [_decode_answer(document)] * count
        document = [document]
    if not isinstance(document, list):
        raise WireError("the answer is not a JSON-RPC answer")
    answers: dict[int, dict[str, Any] | JsonRpcError] = {}
    for item in document:
        if not isinstance(item, dict) or not isinstance(item.get("id"), int) or item["id"] in answers:
            raise WireError("the answer is not a JSON-RPC answer")
        answers[item["id"]] = _decode_answer(item)
    if sorted(answers) != list(range(count)):
        raise WireError("the answer does not belong to the request")
    return [answers[number] for number in range(count)]


def json_value(text: str | bytes) -> Any:
    """A JSON value as RFC 8259 has it; ValueError for the NaN and Infinity that Python would take, `1e999` too.

    ValueError as well where it is nested too deeply to be read.
    """
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number)
    return value


def _decode_answer(item: Mapping[str, Any]) -> dict[str, Any] | JsonRpcError:
    if item.get("jsonrpc") != "2.0" or ("error" in item) == ("result" in item):
        raise WireError("the answer is not a JSON-RPC answer")
    if "error" in item:
        return decode_error(item["error"])
    result = item["result"]
    if not isinstance(result, dict):
        raise WireError("the result is not an object")
    return result


def decode_error(error: object) -> JsonRpcError:
    """A JSON-RPC error object; `data` that is no object is left out. Raises WireError."""
    if (
        not isinstance(error, dict)
        or not isinstance(error.get("code"), int)
        or not isinstance(error.get("message"), str)
    ):
        raise WireError("the error is not a JSON-RPC error")
    data = error.get("data")
    return JsonRpcError(error["code"], clean(error["message"]), data if isinstance(data, dict) else {})


def clean(text: str) -> str:
    """Text of an agent as our databases and messages can carry it: no NUL, no lone surrogates, which JSON allows."""
    return text.encode(errors="replace").decode().replace("\0", "")


def clean_all(value: Any) -> Any:
    """A JSON value with all its texts cleaned, as JSONB and protobuf's Struct can carry it.

    What is nested beyond MAX_DEPTH becomes a text that says so, whole numbers beyond a double their digits.
    """
    return _cleaned(value, MAX_DEPTH)


def is_beyond_double(number: int) -> bool:
    """Whether a whole number may be larger than any double, in which protobuf's Struct carries numbers."""
    return number.bit_length() > _LARGEST_BITS


def _cleaned(value: Any, depth: int) -> Any:
    match value:
        case str():
            return clean(value)
        case int() if is_beyond_double(value):
            return str(value)
        case list() | dict() if depth == 0:
            return "(nested too deeply)"
        case list():
            return [_cleaned(one, depth - 1) for one in value]
        case dict():
            return {clean(name): _cleaned(one, depth - 1) for name, one in value.items()}
        case _:
            return value


def decode_frame(message: bytes) -> LogFrame:
    """A binary frame: 1 byte type, 8 bytes big-endian offset, payload. Raises WireError."""
    if len(message) <= _FRAME_HEAD.size:
        raise WireError("a log frame without payload")
    stream, offset = _FRAME_HEAD.unpack_from(message)
    if stream not in (STDOUT, STDERR):
        raise WireError("a log frame of an unknown stream")
    return LogFrame(stream, offset, message[_FRAME_HEAD.size :])


def decode_text(text: str | bytes) -> LogGap | LogEvent | LogFinal | JsonRpcError | None:
    """A text frame; None for a type that this client does not know (a newer agent may send one). Raises WireError."""
    try:
        frame = json_value(text)
        match frame["type"]:
            case "gap":
                return LogGap(_offset(frame["from"]), _offset(frame["to"]), str(frame["reason"]))
            case "event":
                return LogEvent(_offset(frame["seq"]), clean_all(_object(frame["event"])))
            case "final":
                return LogFinal(_offset(frame["offset"]), _object(frame["result"]))
            case "error":
                return decode_error(frame["error"])
            case _:
                return None
    except WireError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError):
        raise WireError("a malformed text frame") from None


def _offset(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise WireError("a malformed text frame")
    return value


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WireError("a malformed text frame")
    return value
