"""ETag and If-Match."""

from typing import Annotated

from fastapi import Header, Response

from myx_kit.errors import Aborted, InvalidArgument

IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=255, description="ETag of the state that is to be changed.")
]


def put_etag(etag: str, response: Response) -> None:
    """Tell the state that the answer shows."""
    response.headers["ETag"] = f'"{etag}"'


def etag_in(if_match: str | None) -> str:
    """The etag inside `If-Match`; empty for none and for `*`."""
    if if_match is None or if_match.strip() == "*":
        return ""
    text = if_match.strip()
    if text.startswith("W/"):
        raise Aborted("ETAG_MISMATCH", "a weak ETag matches nothing (RFC 9110, 13.1.1)", field="etag")
    if len(text) < 3 or text[0] != '"' or text[-1] != '"' or '"' in text[1:-1]:
        raise InvalidArgument("REQUEST_INVALID", "If-Match is wrong", **{"If-Match": "one ETag in quotes, or *"})
    return text[1:-1]
