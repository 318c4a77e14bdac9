"""Bearer tokens (RFC 6750), and the one of the installation, which works while the database is away."""

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from myx_gateway.access.principal import Principal
from myx_gateway.access.rights import Grant, Rights, Role
from myx_kit.errors import FailedPrecondition, Unauthenticated
from myx_kit.files import read_private

ADMIN: Final = "token:admin"
_MIN_LENGTH = 16
_SCHEME = b"bearer"


def bearer_in(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The bearer token in request headers, None without `Authorization`; Unauthenticated for anything else."""
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        return None
    scheme, _, token = values[0].partition(b" ")
    if len(values) != 1 or scheme.lower() != _SCHEME:
        raise not_valid()
    return token.strip(b" ")


def not_valid() -> Unauthenticated:
    """The error for any token that opens nothing: it does not say why."""
    return Unauthenticated("UNAUTHENTICATED", "the API token is not valid")


class TokenCheck:
    """Knows the digest of the installation's token; the token itself is not kept."""

    def __init__(self, digest: bytes) -> None:
        self._digest = digest
        self.admin = Principal(ADMIN, Rights((Grant(Role.ADMIN),)))

    @classmethod
    def from_file(cls, path: Path) -> "TokenCheck":
        """Read the token at `path`; FailedPrecondition when the file is missing, readable by others or too short."""
        token = read_private(path)
        if len(token) < _MIN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
            message = f"the token in {path} must be {_MIN_LENGTH} or more printable ASCII characters without a space"
            raise FailedPrecondition("TOKEN_UNUSABLE", message)
        return cls(hashlib.sha256(token.encode()).digest())

    def principal(self, token: bytes) -> Principal | None:
        """Who sends this token; None when it is another one.

        Digests are compared, in constant time, so that neither length nor content of the token leaks through timing.
        """
        right = hmac.compare_digest(hashlib.sha256(token).digest(), self._digest)
        return self.admin if right else None
