"""JSON objects as google.protobuf.Struct and back."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Struct, Value

from myx_kit.agent_rpc.wire import is_beyond_double

# What a double holds exactly.
_LARGEST_INTEGER = 1 << 53


def to_struct(values: Mapping[str, Any]) -> Struct:
    """The wire form of a JSON object; whole numbers that no double holds become their digits."""
    return Struct(fields={name: _to_value(value) for name, value in values.items()})


def from_struct(message: Struct) -> dict[str, Any]:
    """The JSON object; whole numbers are integers again."""
    return {name: _from_value(value) for name, value in message.fields.items()}


def _to_value(value: Any) -> Value:
    if value is None:
        return Value(null_value=0)  # type: ignore[arg-type]
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, int) and is_beyond_double(value):
        return Value(string_value=str(value))
    if isinstance(value, int | float):
        return Value(number_value=value)
    if isinstance(value, Mapping):
        return Value(struct_value=to_struct(value))
    if isinstance(value, list | tuple):
        return Value(list_value=ListValue(values=[_to_value(item) for item in value]))
    return Value(string_value=str(value))


def _from_value(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) <= _LARGEST_INTEGER else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return from_struct(value.struct_value)
        case "list_value":
            return [_from_value(item) for item in value.list_value.values]
        case _:
            return None
