"""Pieces of several schemas."""

import math
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# Ten years; more than any run and well inside google.protobuf.Duration.
MAX_SECONDS = 10 * 365 * 86_400


class Answer(BaseModel):
    """Base of what is answered. Texts are never null, numbers, objects and times are null when there is none."""

    model_config = ConfigDict(serialize_by_alias=True)


class Body(BaseModel):
    """Base of what is sent: unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


def clean(text: str) -> str:
    """`text`, unless it has NUL or is no Unicode: ValueError then."""
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        # JSON can write half of a surrogate pair.
        raise ValueError("must be valid Unicode") from None
    return text


def plain(text: str) -> str:
    """`text`, unless it has control characters: ValueError then."""
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds) or not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"must be a number of seconds from 0 to {MAX_SECONDS}")
    return seconds


Text = Annotated[str, AfterValidator(clean)]
Name = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(plain)]
Seconds = Annotated[float, AfterValidator(_finite)]
