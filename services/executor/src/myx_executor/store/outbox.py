"""Rows of the outbox, written by the statement that makes the change they tell of."""

from dataclasses import dataclass
from functools import cache
from typing import LiteralString
from uuid import UUID


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event ready to be stored: serialized `myx.events.v1.Event`."""

    event_id: UUID
    subject: str
    payload: bytes

    def params(self, number: int) -> dict[str, object]:
        """Parameters of `insert_event(number)`."""
        return {
            f"event_id_{number}": str(self.event_id),
            f"subject_{number}": self.subject,
            f"payload_{number}": self.payload,
        }


@cache
def insert_event(number: int) -> LiteralString:
    """An insert to be put before `from <change>`: it writes one row when the change has one."""
    text: LiteralString = (
        "insert into executor.outbox (event_id, subject, payload)"
        " select %(event_id_N)s::text, %(subject_N)s::text, %(payload_N)b::bytea"
    )
    return text.replace("_N", f"_{number}")


INSERT_EVENT: LiteralString = insert_event(0)
