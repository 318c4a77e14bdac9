"""From where in a browser a request comes."""

import hmac
import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Scope

from myx_kit.errors import PermissionDenied

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS: Final = {"http": 80, "https": 443}
# Every browser sends one of these with a POST, and no page can keep it from that.
_OF_BROWSERS: Final = (b"origin", b"sec-fetch-site", b"sec-fetch-mode")


class Origins:
    """Knows our own origin: `public_url` ("https://host[:port]"), or else the host that each request names.

    That host must be an address, `localhost` or one of `host_names` (in lower case): else it could be a name of
    somebody else that leads to us (DNS rebinding), whose pages would be ours. Over TLS the browser has checked it.
    """

    def __init__(self, public_url: str = "", host_names: Iterable[str] = ()) -> None:
        self._public = _origin(public_url) if public_url else None
        self._names = frozenset({"localhost", *host_names})

    def check_session(self, scope: Scope, csrf_token: str) -> None:
        """That a page of ours sends this, and no other; PermissionDenied `CSRF_REFUSED`, `HOST_UNKNOWN`.

        Safe methods change nothing and need no proof. A WebSocket is not held back by CORS and cannot carry a header of
        its own: its `Origin` must be ours. Everything else needs the session's token and a sign of the browser that the
        page is ours.
        """
        self._check_host(scope)
        if scope["type"] == "websocket":
            if not self._is_ours(scope, needs_sign=True):
                raise _refused("this page may not open a stream with your session")
            return
        if scope["method"] in _SAFE:
            return
        sent = _header(scope["headers"], b"x-csrf-token")
        if not hmac.compare_digest(sent, csrf_token.encode()):
            raise _refused("send the session's csrf_token as X-CSRF-Token")
        if not self._is_ours(scope, needs_sign=True):
            raise _refused("send an Origin that is this server's own, as browsers do")

    def check_login(self, scope: Scope) -> None:
        """That no page of somebody else's sends this; programs may.

        PermissionDenied `CSRF_REFUSED`, `HOST_UNKNOWN`.
        """
        if any(_header(scope["headers"], name) for name in _OF_BROWSERS):
            self._check_host(scope)
        if not self._is_ours(scope, needs_sign=False):
            raise _refused("this page may not log you in")

    def _check_host(self, scope: Scope) -> None:
        if self._public is not None or scope.get("scheme") in {"https", "wss"}:
            return
        named = _host(_header(scope["headers"], b"host").decode("latin-1"), _PORTS["http"])
        if named is None or not (named[0] in self._names or _is_address(named[0])):
            text = (
                "browsers are not expected under this name: set MYX_GATEWAY_PUBLIC_URL to the address that people"
                " use, or add the name to MYX_GATEWAY_HOST_NAMES"
            )
            raise PermissionDenied("HOST_UNKNOWN", text)

    def _is_ours(self, scope: Scope, *, needs_sign: bool) -> bool:
        """Whether `Origin` and `Sec-Fetch-Site`, as far as they are there, are those of our own pages."""
        origin = _header(scope["headers"], b"origin")
        site = _header(scope["headers"], b"sec-fetch-site")
        if not origin and not site:
            return not needs_sign
        if site and site != b"same-origin":
            return False
        if not origin:
            # Only browsers say from where they fetch, and no page can make them lie.
            return bool(scope["type"] != "websocket")
        return self._is_own(origin.decode("latin-1"), scope)

    def _is_own(self, text: str, scope: Scope) -> bool:
        origin = _origin(text)
        if origin is None:
            return False
        if self._public is not None:
            return origin == self._public
        scheme, host, port = origin
        if scope.get("scheme") in {"https", "wss"} and scheme != "https":
            return False
        named = _host(_header(scope["headers"], b"host").decode("latin-1"), _PORTS[scheme])
        return (host, port) == named


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """The one value of a header; two are as wrong as none that fits."""
    values = [value for key, value in headers if key == name]
    return values[0] if len(values) == 1 else b", ".join(values)


def _origin(text: str) -> tuple[str, str, int] | None:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return None
    if url.scheme not in _PORTS or not url.hostname or url.path or url.query or url.fragment or "@" in url.netloc:
        return None
    return url.scheme, url.hostname, port or _PORTS[url.scheme]


def _host(text: str, default_port: int) -> tuple[str, int] | None:
    try:
        url = urlsplit(f"//{text}")
        return (url.hostname, url.port or default_port) if url.hostname and "@" not in text else None
    except ValueError:
        return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _refused(text: str) -> PermissionDenied:
    return PermissionDenied("CSRF_REFUSED", text)
