"""Bearer tokens (RFC 6750). One token stands in for users and roles until they come."""

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

from myx_gateway.access.principal import Principal
from myx_gateway.access.rights import Grant, Rights, Role
from myx_kit.errors import FailedPrecondition, Unauthenticated
from myx_kit.files import read_private

ADMIN = "token:admin"
_MIN_LENGTH = 16
_SCHEME = b"bearer"


class TokenCheck:
    """Knows the digest of the admin's token; the token itself is not kept."""

    def __init__(self, digest: bytes) -> None:
        self._digest = digest
        self._admin = Principal(ADMIN, Rights((Grant(Role.ADMIN),)))

    @classmethod
    def from_file(cls, path: Path) -> "TokenCheck":
        """Read the token at `path`; FailedPrecondition when the file is missing, readable by others or too short."""
        token = read_private(path)
        if len(token) < _MIN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
            message = f"the token in {path} must be {_MIN_LENGTH} or more printable ASCII characters without a space"
            raise FailedPrecondition("TOKEN_UNUSABLE", message)
        return cls(hashlib.sha256(token.encode()).digest())

    def principal(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal:
        """Who sent these request headers; Unauthenticated for anything but one right bearer token.

        Digests are compared, in constant time, so that neither length nor content of the token leaks through timing.
        """
        values = [value for name, value in headers if name == b"authorization"]
        if not values:
            raise Unauthenticated("UNAUTHENTICATED", "send the API token as `Authorization: Bearer <token>`")
        scheme, _, token = values[0].partition(b" ")
        digest = hashlib.sha256(token.strip(b" ")).digest()
        right = hmac.compare_digest(digest, self._digest)
        if len(values) != 1 or scheme.lower() != _SCHEME or not right:
            raise Unauthenticated("UNAUTHENTICATED", "the API token is not valid")
        return self._admin
