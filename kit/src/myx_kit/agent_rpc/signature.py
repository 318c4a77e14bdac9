"""Request signatures of the agent protocol (CONTRACTS.md, "Signature")."""

import hashlib
import hmac

HEADER = "X-Agent-Signature"


def sign(  # noqa: PLR0917 - the order is that of the signed lines
    secret_key: str, method: str, path_and_query: str, body: bytes, now_s: int, nonce_hex: str
) -> str:
    """The value of `X-Agent-Signature` for one request: `v1;t=<unix s>;n=<nonce>;s=<hex HMAC-SHA-256>`.

    `path_and_query` is what stands in the request line; `nonce_hex` is 16 random bytes in hex, never used twice.
    """
    digest = hashlib.sha256(body).hexdigest()
    text = f"{method}\n{path_and_query}\n{now_s}\n{nonce_hex}\n{digest}"
    mac = hmac.digest(secret_key.encode(), text.encode(), "sha256").hex()
    return f"v1;t={now_s};n={nonce_hex};s={mac}"
