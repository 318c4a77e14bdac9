"""The state of MyX itself."""

from typing import Literal

from pydantic import Field

from myx_gateway.schemas.common import Answer

Health = Literal["ok", "unavailable"]


class Status(Answer):
    """Services and servers."""

    version: str
    services: dict[str, Health]
    servers: dict[str, int] | None = Field(
        description="Servers by the status of their agent, `no_agent` for those without; null when unknown."
    )
    paused: int | None = Field(description="How many of them are not checked for now; null when unknown.")
