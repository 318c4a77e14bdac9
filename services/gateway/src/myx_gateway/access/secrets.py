"""Random secrets that let somebody in; only their digests are kept."""

import hashlib
import hmac
import re
import secrets
from typing import Final
from uuid import UUID

_TOKEN: Final = re.compile(rb"myx_([0-9a-f]{32})_[A-Za-z0-9_-]{43}")
# Also one that was cut off, or has something behind it.
_LIKE_TOKEN: Final = re.compile(r"(myx_[0-9a-f]{32}_)[A-Za-z0-9_-]+", re.IGNORECASE)


def new_secret() -> str:
    """256 random bits, URL safe."""
    return secrets.token_urlsafe(32)


def digest(secret: str | bytes) -> bytes:
    """What is kept of a secret: it is random, so that one round of a fast hash is enough."""
    return hashlib.sha256(secret.encode() if isinstance(secret, str) else secret).digest()


def token_text(token_id: UUID, secret: str) -> str:
    """An API token as its owner sees it, once."""
    return f"myx_{token_id.hex}_{secret}"


def token_id_in(token: bytes) -> UUID | None:
    """Which API token this claims to be; None when it has not the form of one."""
    found = _TOKEN.fullmatch(token)
    return None if found is None else UUID(found[1].decode())


def masked(text: str) -> str:
    """`text` without the secrets of the API tokens in it; which tokens they are can still be read."""
    return _LIKE_TOKEN.sub(r"\1***", text)


def csrf_token(session_secret: str | bytes) -> str:
    """What a page has to send back to show that it can read answers: follows from the secret, and not back."""
    key = session_secret.encode() if isinstance(session_secret, str) else session_secret
    return hmac.new(key, b"myx csrf", hashlib.sha256).hexdigest()
