"""Events of the fleet as they are shown."""

from datetime import UTC
from typing import Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from myx.events.v1 import events_pb2
from myx_gateway.schemas.events import Event

_FACTS: Final = events_pb2.Event.DESCRIPTOR.oneofs_by_name["fact"].fields
# `agent.online` of the field `agent_online`.
TYPES: Final = {field.name: field.name.replace("_", ".", 1) for field in _FACTS}


def event(id_: str, message: events_pb2.Event) -> Event:
    """An event of a kind that is known here."""
    kind = message.WhichOneof("fact")
    assert kind is not None  # noqa: S101 - the caller has looked
    data = fields_of(getattr(message, kind))
    server_id = str(data.pop("server_id", ""))
    return Event(
        id=id_,
        time=message.occurred_at.ToDatetime(tzinfo=UTC),
        type=TYPES[kind],
        server_id=server_id or None,
        data=data,
    )


def fields_of(message: Message) -> dict[str, object]:
    """All fields of a message, texts never null; what is optional and not there is null."""
    told = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return {field.name: told.get(field.name) for field in message.DESCRIPTOR.fields}
