"""Where MyX is and the token that opens it."""

import json
import os
import sys
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from myx_cli.errors import Failure, UsageError
from myx_cli.private_files import read_private, why_unreadable

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
    # The authority of its certificate as PEM text; empty: those that the system trusts.
    ca: str = ""

    @property
    def shown(self) -> str:
        """The address for messages, without any secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.prefix}"

    @property
    def site(self) -> str:
        """The address as people write it: without a path, and without the usual port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return f"{self.scheme}://{host}" if self.port == usual else f"{self.scheme}://{host}:{self.port}"

    def __repr__(self) -> str:
        """The address only: the token never reaches a log or a trace."""
        return f"Endpoint({self.shown})"


def find(options: Namespace) -> Endpoint:
    """The endpoint by `--url` or MYX_URL, else by a context of `myx login`, else by the `standalone.json` that belongs
    here.

    A token found in a file is only ever sent to the address in the same file. Failure when nothing is found, or when
    the file could be read or was written by somebody else; UsageError when what was given says two things, among
    them MYX_HOME beside a context that is merely in use.
    """
    url = options.url or os.environ.get("MYX_URL") or None
    token, origin = _given_token(options.token_file)
    if url and options.context:
        given = "--url" if options.url else "MYX_URL"
        raise UsageError(f"{given} and --context both say where MyX is: give one of them")
    if url and token:
        return endpoint_of(url, token, origin)
    if url:
        _split(url)
        raise UsageError("an address was given but no token: set MYX_TOKEN or give --token-file")
    named = options.context or os.environ.get("MYX_CONTEXT") or ""
    found = _from_context(named)
    if found is None:
        return _from_standalone(token, origin)
    if not named:
        refuse_other_home(found)
    if token:
        raise UsageError(
            f"the token from {origin} would go to {found.origin}, which has its own: give the address it belongs to "
            "(MYX_URL or --url), too, or no token"
        )
    return found


def _from_context(named: str) -> Endpoint | None:
    """By the context `named`, else by the one in use; None: there is none in use."""
    from myx_cli import contexts

    if not named and not os.path.lexists(contexts.book_file()):
        return None
    book = contexts.load()
    name = named or book.current
    if not name:
        return None
    context = contexts.known(book, name)
    return endpoint_of(context.url, context.token, f"the context {name}", context.ca)


def refuse_other_home(used: Endpoint) -> None:
    """UsageError when MYX_HOME names a MyX that is elsewhere than `used`, which nobody named."""
    if not os.environ.get("MYX_HOME"):
        return
    path = standalone_file()
    with suppress(Failure):
        if path is not None and endpoint_of(read_standalone(path)[0], "", "").shown == used.shown:
            return
    raise UsageError(
        f"MYX_HOME and {used.origin}, which is in use, say different places: give --context NAME, or "
        "myx context use --none for that of MYX_HOME"
    )


def _from_standalone(token: str, origin: str) -> Endpoint:
    path = standalone_file()
    if path is None:
        raise Failure(
            "MyX was not found: no MYX_URL, no context (myx login), and no .myx/standalone.json here or above; "
            "is it running (make up)?"
        )
    url, found = read_standalone(path)
    return endpoint_of(url, token or found, origin or str(path))


def read_standalone(path: Path) -> tuple[str, str]:
    """Address and token in a `standalone.json`."""
    document = read_private(path, f"{path} does not exist: is MyX running (make up)?")
    try:
        content = json.loads(document)
        return str(content["url"]), str(content["token"])
    except (ValueError, KeyError, TypeError):
        raise Failure(f"{path} is damaged: it should hold url and token; start MyX again to write it anew") from None


def standalone_file() -> Path | None:
    """`standalone.json` of $MYX_HOME, else of `.myx` here or in a folder above, else of this program's checkout."""
    home = os.environ.get("MYX_HOME")
    if home:
        return _expanded(home) / "standalone.json"
    for folder in (*_here_and_above(), Path(sys.prefix).parent):
        path = folder / ".myx" / "standalone.json"
        if os.path.lexists(path):
            return path
    return None


def _here_and_above() -> list[Path]:
    try:
        here = Path.cwd()
    except FileNotFoundError:  # this folder was removed
        return []
    return [here, *here.parents]


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
            raise Failure(f"the token file {token_file} cannot be read: {why_unreadable(error)}") from None
        if not token:
            raise Failure(f"the token file {token_file} is empty")
        return token, token_file
    token = os.environ.get("MYX_TOKEN", "").strip()
    return token, "MYX_TOKEN" if token else ""


def endpoint_of(url: str, token: str, origin: str, ca: str = "") -> Endpoint:
    """The endpoint at `url`. UsageError: it is none, or the token would go there in the clear."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Failure(f"the token from {origin} holds characters that no token has")
    parts, host, port = _split(url)
    if parts.scheme == "http" and not _is_loopback(host) and os.environ.get("MYX_INSECURE_HTTP") != "1":
        raise UsageError(
            f"http to {host} would send the token in the clear: use https (MYX_INSECURE_HTTP=1 allows it all the same)"
        )
    return Endpoint(parts.scheme, host, port, parts.path.rstrip("/"), token, origin, ca)


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
