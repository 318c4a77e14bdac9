"""A number of targets, or a part of them, as one text: `10` or `10%`."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from myx_gateway.schemas.common import Text

_MAX_COUNT: Final = 1_000_000
_FORM: Final = re.compile(r"([0-9]{1,7})(?:(\.[0-9]{1,6})?(%))?")


def parse_share(text: str) -> tuple[int | None, float]:
    """(count, 0) or (None, percent). ValueError for what is neither."""
    form = _FORM.fullmatch(text)
    if form is not None:
        whole, part, percent = form.groups()
        if percent and 0 < float(whole + (part or "")) <= 100:
            return None, float(whole + (part or ""))
        if not percent and int(whole) <= _MAX_COUNT:
            return int(whole), 0
    raise ValueError('must be a number of targets ("10") or a part of them ("10%", more than 0 to 100)')


def _share(text: str) -> str:
    if parse_share(text)[0] == 0:
        raise ValueError('must be at least one target ("1"), or a part of them ("10%")')
    return text


def _threshold(text: str) -> str:
    parse_share(text)
    return text


_EXAMPLES = Field(examples=["10", "10%"], max_length=20)
Share = Annotated[Text, _EXAMPLES, AfterValidator(_share)]
# As Share, and also 0.
Threshold = Annotated[Text, _EXAMPLES, AfterValidator(_threshold)]
