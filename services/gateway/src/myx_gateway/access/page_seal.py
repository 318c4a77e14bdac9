"""Page tokens of lists that are looked through for what somebody may see.

The services' tokens hold the sort key of the last item, which may be one that is not seen.
"""

import base64
import binascii
import hashlib
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from myx_gateway.access.principal import Principal
from myx_kit.errors import InvalidArgument
from myx_kit.files import read_private

_NONCE: Final = 12
# All tokens of usual names have one length.
_BLOCK: Final = 256


class PageSeal:
    """Seals tokens for the one who gets them; every gateway with the same key opens them."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def from_file(cls, path: Path) -> "PageSeal":
        """With a key that follows from the installation's token, which all gateways have.

        Slowly, so that sealed tokens are no help in guessing one that somebody made up.
        """
        token = read_private(path).encode()
        return cls(hashlib.scrypt(token, salt=b"myx page tokens", n=2**14, r=8, p=1, dklen=32))

    def sealed(self, token: str, principal: Principal) -> str:
        """The token as its principal gets it; none stays none."""
        if not token:
            return ""
        text = token.encode()
        text += b"\0" * (-len(text) % _BLOCK)
        nonce = secrets.token_bytes(_NONCE)
        box = nonce + self._cipher.encrypt(nonce, text, principal.name.encode())
        return base64.urlsafe_b64encode(box).decode().rstrip("=")

    def opened(self, token: str, principal: Principal) -> str:
        """The token that was sealed. InvalidArgument `PAGE_TOKEN_INVALID`."""
        if not token:
            return ""
        try:
            box = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            text = self._cipher.decrypt(box[:_NONCE], box[_NONCE:], principal.name.encode())
        except (InvalidTag, ValueError, binascii.Error):
            message = "page_token is not one that MyX gave"
            raise InvalidArgument("PAGE_TOKEN_INVALID", message, field="page_token") from None
        return text.rstrip(b"\0").decode()
