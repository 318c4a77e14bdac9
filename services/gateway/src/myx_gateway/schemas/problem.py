"""The body of every error."""

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """Problem details (RFC 9457), `application/problem+json`."""

    type: str = Field(description="`urn:myx:problem:` and the reason in lower case.")
    title: str = Field(description="The name of the HTTP status.")
    status: int
    detail: str = Field(description="What is wrong, for people.")
    reason: str = Field(description="What is wrong, for programs: a stable name.", examples=["SERVER_NOT_FOUND"])
    fields: dict[str, str] = Field(
        description="Facts; for a bad request the name of each wrong field and what would be right."
    )
    request_id: str = Field(description="Names this request in the gateway's log.")
