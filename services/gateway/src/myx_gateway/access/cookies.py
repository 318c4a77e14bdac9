"""Cookies of the door."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_SESSION: Final = "myx_session"
_DEVICE: Final = "myx_device"
_DEVICE_S: Final = 180 * 86_400


@dataclass(frozen=True)
class Cookies:
    """How the cookies are called and written; `secure`: people reach the door over TLS.

    Over TLS the name itself keeps other hosts of the domain from setting it (`__Host-`, RFC 6265bis 4.1.3.2).
    """

    secure: bool

    def session_in(self, headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
        """Every distinct session secret that a request brings; more than one is somebody's trick."""
        return _values(headers, self._name(_SESSION))

    def device_in(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """What marks this browser, empty when nothing does."""
        found = _values(headers, self._name(_DEVICE))
        return found[0].decode("latin-1") if len(found) == 1 else ""

    def set_session(self, secret: str) -> str:
        """The `Set-Cookie` of a new session; it ends when the browser does, or earlier."""
        return self._cookie(_SESSION, secret)

    def set_device(self, mark: str) -> str:
        """The `Set-Cookie` that marks a browser in which somebody logged in."""
        return f"{self._cookie(_DEVICE, mark)}; Max-Age={_DEVICE_S}"

    def end_session(self) -> str:
        """The `Set-Cookie` that takes the session's away."""
        return f"{self._cookie(_SESSION, '')}; Max-Age=0"

    def _cookie(self, name: str, value: str) -> str:
        text = f"{self._name(name)}={value}; Path=/; HttpOnly; SameSite=Strict"
        return f"{text}; Secure" if self.secure else text

    def _name(self, name: str) -> str:
        return f"__Host-{name}" if self.secure else name


def _values(headers: Iterable[tuple[bytes, bytes]], name: str) -> list[bytes]:
    wanted = name.encode()
    found: dict[bytes, None] = {}
    for header, line in headers:
        if header == b"cookie":
            for pair in line.split(b";"):
                key, equals, value = pair.strip().partition(b"=")
                if equals and key.strip() == wanted:
                    found[value.strip()] = None
    return list(found)
