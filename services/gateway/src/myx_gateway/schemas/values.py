"""Free JSON values that have to pass through google.protobuf.Struct."""

import math
from typing import Annotated, Any, Final

from pydantic import AfterValidator

from myx_gateway.schemas.common import Text, clean

# A Struct has but doubles: whole numbers beyond this would silently become others.
LARGEST_INTEGER: Final = 2**53
MAX_DEPTH: Final = 24


def _check(value: Any, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"must not be nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must not hold infinite numbers")
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise ValueError("must not hold whole numbers beyond 2^53; give them as text")
    if isinstance(value, str):
        clean(value)
    elif isinstance(value, dict):
        for name, item in value.items():
            clean(name)
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    _check(values)
    return values


Values = Annotated[dict[Text, Any], AfterValidator(_checked)]
