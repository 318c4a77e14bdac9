"""Events of the fleet."""

from datetime import datetime
from typing import Any

from pydantic import Field

from myx_gateway.schemas.common import Answer


class Event(Answer):
    """Something that happened. docs/streams.md lists the types and what their `data` holds."""

    id: str = Field(description="Where in the stream of events it stands: give it as `after` to go on behind it.")
    time: datetime
    type: str = Field(description="`agent.online`, `job.finished` …")
    server_id: str | None = Field(description="The server that it is about; null: it is about none, or about many.")
    data: dict[str, Any]
