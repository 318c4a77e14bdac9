"""Where MyX is and the token that opens it."""

import json
import os
import stat
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from myx_cli.errors import Failure, UsageError

_FILE_LIMIT_BYTES = 65536
_LOOPBACK = frozenset({"localhost", "::1"})


class Endpoint(NamedTuple):
    """Base of the API. `prefix` is the path before `/api/v1`; `origin` says where the token came from, for messages."""

    scheme: str
    host: str
    port: int
    prefix: str
    token: str
    origin: str

    @property
    def shown(self) -> str:
        """The address for messages, without any secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.prefix}"

    def __repr__(self) -> str:
        """The address only: the token never reaches a log or a trace."""
        return f"Endpoint({self.shown})"


def find(url: str | None, token_file: str | None) -> Endpoint:
    """The endpoint by options, else by MYX_URL and MYX_TOKEN, else by the `standalone.json` that belongs here.

    A token found in a `standalone.json` is only ever sent to the address in the same file. Failure when nothing is
    found, or when the file could be read or was written by somebody else.
    """
    url = url or os.environ.get("MYX_URL") or None
    token, origin = _given_token(token_file)
    if url and token:
        return _endpoint(url, token, origin)
    if url:
        _split(url)
        raise UsageError("an address was given but no token: set MYX_TOKEN or give --token-file")
    path = standalone_file()
    if path is None:
        raise Failure(
            "MyX was not found: no MYX_URL, and no .myx/standalone.json here or above; is it running (make up)?"
        )
    document = _read_private(path)
    try:
        content = json.loads(document)
        found_url, found_token = str(content["url"]), str(content["token"])
    except (ValueError, KeyError, TypeError):
        raise Failure(f"{path} is damaged: it should hold url and token; start MyX again to write it anew") from None
    return _endpoint(found_url, token or found_token, origin or str(path))


def standalone_file() -> Path | None:
    """`standalone.json` of $MYX_HOME, else of `.myx` here or in a folder above, else of this program's checkout."""
    home = os.environ.get("MYX_HOME")
    if home:
        return _expanded(home) / "standalone.json"
    here = Path.cwd()
    for folder in (here, *here.parents, Path(sys.prefix).parent):
        path = folder / ".myx" / "standalone.json"
        if os.path.lexists(path):
            return path
    return None


def _expanded(home: str) -> Path:
    try:
        return Path(home).expanduser()
    except RuntimeError:  # no such user
        return Path(home)


def _given_token(token_file: str | None) -> tuple[str, str]:
    if token_file:
        try:
            with Path(token_file).open("rb") as file:
                token = file.read(_FILE_LIMIT_BYTES).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"the token file {token_file} cannot be read: {_why(error)}") from None
        if not token:
            raise Failure(f"the token file {token_file} is empty")
        return token, token_file
    token = os.environ.get("MYX_TOKEN", "").strip()
    return token, "MYX_TOKEN" if token else ""


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            if facts.st_uid != os.geteuid():
                raise Failure(
                    f"{path} belongs to another user (uid {facts.st_uid}): it is not used; run myx as that user"
                )
            if stat.S_IMODE(facts.st_mode) & 0o077:
                raise Failure(f"{path} can be read or changed by other users: it is not used; chmod 600 it")
            return file.read(_FILE_LIMIT_BYTES)
    except FileNotFoundError:
        raise Failure(f"{path} does not exist: is MyX running (make up)?") from None
    except OSError as error:
        raise Failure(f"{path} cannot be read: {_why(error)}") from None


def _endpoint(url: str, token: str, origin: str) -> Endpoint:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Failure(f"the token from {origin} holds characters that no token has")
    parts, host, port = _split(url)
    if parts.scheme == "http" and not _is_loopback(host) and os.environ.get("MYX_INSECURE_HTTP") != "1":
        raise UsageError(
            f"http to {host} would send the token in the clear: use https (MYX_INSECURE_HTTP=1 allows it all the same)"
        )
    return Endpoint(parts.scheme, host, port, parts.path.rstrip("/"), token, origin)


def _split(url: str) -> tuple[SplitResult, str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError("the address of MyX is not a URL: expected http://127.0.0.1:8470 or https://HOST") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise UsageError("the address of MyX is not a URL: expected http://127.0.0.1:8470 or https://HOST")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UsageError(
            "the address of MyX holds more than scheme, host, port and path: credentials go into MYX_TOKEN"
        )
    return parts, host, port or (443 if parts.scheme == "https" else 80)


def _is_loopback(host: str) -> bool:
    return host in _LOOPBACK or host.startswith("127.")


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "unreadable") if isinstance(error, OSError) else "not text"
