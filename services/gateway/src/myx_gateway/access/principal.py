"""Principals."""

import hashlib
from dataclasses import dataclass, field

from myx_gateway.access.rights import Rights
from myx_kit.ids import new_id


@dataclass(frozen=True)
class Principal:
    """Who a request comes from, as it was authenticated; `name` is what records show, for example `token:admin`."""

    # `user:alice`, or `token:admin` for whoever has the token of the installation.
    name: str
    rights: Rights = field(default_factory=Rights)
    # How it came: `session`, `token:` and the name of the API token, or empty for the token of the installation.
    via: str = ""
    user_id: str = ""
    session_id: str = ""
    token_id: str = ""

    def request_id(self, idempotency_key: str | None) -> str:
        """The id under which the services know this request: the same for the same key of the same principal.

        Without a key it is new each time: then it guards only against our own retries on the way.
        """
        key = idempotency_key if idempotency_key is not None else f"once:{new_id()}"
        scope = "key" if idempotency_key is not None else "once"
        return hashlib.sha256("\0".join((self.name, scope, key)).encode()).hexdigest()
