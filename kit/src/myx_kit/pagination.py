"""Pages of lists: opaque tokens and a bounded page size (AIP-158)."""

import base64
import binascii
import json

from myx_kit.errors import InvalidArgument

_TOKEN_LIMIT = 2048


def encode_token(*values: str) -> str:
    """An opaque page token of the sort key of the last item given; URL safe."""
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_token(token: str, n: int) -> tuple[str, ...]:
    """The `n` values of a token made by `encode_token`; InvalidArgument `PAGE_TOKEN_INVALID` for anything else."""
    try:
        if len(token) > _TOKEN_LIMIT:
            raise ValueError
        values = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
        if not isinstance(values, list) or len(values) != n or not all(isinstance(value, str) for value in values):
            raise ValueError
    except (ValueError, binascii.Error, RecursionError):
        raise InvalidArgument("PAGE_TOKEN_INVALID", "page_token is not one that MyX gave", field="page_token") from None
    return tuple(values)


def clamp(page_size: int, default: int, maximum: int) -> int:
    """The page size to use: 0 means `default`, more than `maximum` means `maximum`; negative is InvalidArgument."""
    if page_size < 0:
        raise InvalidArgument("PAGE_SIZE_INVALID", "page_size must not be negative", field="page_size")
    return min(page_size or default, maximum)
