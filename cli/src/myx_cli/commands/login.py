"""`myx login`, `myx logout`, `myx whoami`."""

import os
import socket
import time
from argparse import Namespace
from typing import NamedTuple

from myx_cli import contexts
from myx_cli.api import Client, Document, segment
from myx_cli.asking import can_ask
from myx_cli.contexts import Book, Context
from myx_cli.endpoint import Endpoint, endpoint_of, find, read_standalone, refuse_other_home, standalone_file
from myx_cli.errors import ApiError, Failure, UsageError
from myx_cli.output import note, print_line, tell
from myx_cli.private_files import LIMIT_BYTES, why_unreadable
from myx_cli.secrets import ask, from_stdin
from myx_cli.sinks import print_json
from myx_cli.tables import When, print_facts
from myx_cli.text import clean

_NO_TERMINAL = "no terminal to ask at: --user NAME and --password-stdin, or --token"


class _Place(NamedTuple):
    """Where to log in, under which name to keep it, and what was kept there before."""

    url: str
    name: str
    before: Context | None


def login(arguments: Namespace) -> int:
    """Makes a token for this machine, or takes one, and keeps it as a context."""
    book = contexts.load()
    place = _place(arguments, book)
    ca = _authority(arguments.ca) if arguments.ca else place.before.ca if place.before else ""
    endpoint = endpoint_of(place.url, "", "the command line", ca)
    if arguments.token:
        context = Context(endpoint.shown, _typed_token(), ca=ca)
    else:
        context = _with_password(endpoint, arguments, place)
    client = Client(endpoint_of(context.url, context.token, "the login", ca))
    me = _me(client.get("/session"))
    contexts.save(Book({**book.contexts, place.name: context._replace(user=_user(me))}, place.name))
    _revoke_before(place.before, context)
    if arguments.output == "json":
        print_json({"context": place.name, "url": context.url, "name": me.get("name"), "token_id": context.token_id})
    else:
        name = clean(me.get("name"))
        print_line(f"logged in at {clean(context.url)} as {name}; context {clean(place.name)} is in use")
    return 0


def _place(arguments: Namespace, book: Book) -> _Place:
    named = arguments.context or (os.environ.get("MYX_CONTEXT") if not arguments.address else "") or ""
    url = arguments.address or arguments.url or ""
    if not url and named in book.contexts:
        return _Place(book.contexts[named].url, named, book.contexts[named])
    url = url or os.environ.get("MYX_URL") or ""
    if not url and not named and book.current in book.contexts:
        used = book.contexts[book.current]
        refuse_other_home(endpoint_of(used.url, "", f"the context {book.current}"))
        return _Place(used.url, book.current, used)
    if not url:
        path = standalone_file()
        if path is None:
            raise UsageError("which MyX? myx login https://HOST")
        url = read_standalone(path)[0]
    endpoint = endpoint_of(url, "", "the command line")
    name = named or endpoint.site.partition("://")[2]
    before = book.contexts.get(name)
    # Of another MyX neither the old token nor its authority mean anything.
    return _Place(endpoint.shown, name, before if before is not None and before.url == endpoint.shown else None)


def _authority(path: str) -> str:
    """The certificates in a file, as text that can be kept."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (a plain message for every kind of name)
            text = file.read(LIMIT_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--ca: {clean(path)} cannot be read: {why_unreadable(error)}") from None
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise UsageError(f"--ca: {clean(path)} holds no certificate (PEM)") from None
    return text


def _typed_token() -> str:
    return ask("token", _NO_TERMINAL) if can_ask() else from_stdin("--token")


def _with_password(endpoint: Endpoint, arguments: Namespace, place: _Place) -> Context:
    user = arguments.user or _typed_user(place.before.user if place.before else "")
    password = from_stdin("--password-stdin") if arguments.password_stdin else ask("password", _NO_TERMINAL)
    # A name is given once only; this one tells which machine to look at, and when it logged in. Two may in one second.
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    made_up = f"myx on {socket.gethostname()}, {when} UTC, {os.urandom(3).hex()}"
    content: Document = {"name": arguments.token_name or made_up}
    wished = {"role": arguments.role, "selector": arguments.selector, "expires_in_s": arguments.expires_in}
    content |= {name: value for name, value in wished.items() if value is not None}
    client = Client(endpoint)
    try:
        client.sign_in(user, password)
        made = client.post("/tokens", content, idempotency_key=os.urandom(16).hex())
        client.sign_out()
    finally:
        client.close()
    return Context(endpoint.shown, str(made["token"]), str(made["id"]), ca=endpoint.ca)


def _typed_user(before: str) -> str:
    if not can_ask():
        raise UsageError(_NO_TERMINAL)
    tell(f"user [{clean(before)}]: " if before else "user: ", end="")
    import sys

    try:
        answer = sys.stdin.readline().strip() or before
    except (OSError, UnicodeDecodeError):
        answer = ""
    if not answer:
        raise UsageError("no user was given")
    return answer


def _revoke_before(before: Context | None, now: Context) -> None:
    """The token that this login replaces is of no use any more; it revokes itself."""
    if before is None or not before.token_id or before.token_id == now.token_id:
        return
    client = Client(endpoint_of(before.url, before.token, "the login before", before.ca))
    try:
        client.delete(f"/tokens/{segment(before.token_id)}")
    except Failure as failure:
        if not isinstance(failure, ApiError) or failure.status not in {401, 404}:
            note(f"the token before was not revoked: {failure.message}")
    finally:
        client.close()


def logout(arguments: Namespace) -> int:
    """Revokes the token of a context and forgets it."""
    book = contexts.load()
    name = arguments.name or arguments.context or os.environ.get("MYX_CONTEXT") or book.current
    if not name:
        raise Failure("there is no login to end: no context is in use")
    context = contexts.known(book, name)
    told = "its token was not made by myx login and stays valid: myx token revoke"
    if context.token_id:
        told = _revoke(context, name, force=arguments.force)
    rest = {key: value for key, value in book.contexts.items() if key != name}
    contexts.save(Book(rest, "" if book.current == name else book.current))
    print_line(f"context {clean(name)} is forgotten; {told}")
    if counts := _what_counts():
        note(f"from now on: {counts}")
    return 0


def _what_counts() -> str:
    """Where the next command of this shell goes, and by which token; "": nowhere, it will say what is missing."""
    try:
        endpoint = find(Namespace(url=None, context=None, token_file=None))
    except Failure:
        return ""
    return f"{clean(endpoint.shown)} with the token from {clean(endpoint.origin)}"


def _revoke(context: Context, name: str, *, force: bool) -> str:
    client = Client(endpoint_of(context.url, context.token, f"the context {name}", context.ca))
    try:
        client.delete(f"/tokens/{segment(context.token_id)}")
    except Failure as failure:
        if isinstance(failure, ApiError) and failure.status in {401, 404}:
            return "its token was not valid any more"
        if not force:
            raise Failure(f"{failure.message}; nothing was forgotten (--force forgets it all the same)") from None
        return f"its token could not be revoked ({failure.message}) and stays valid until it expires"
    finally:
        client.close()
    return "its token is revoked"


def whoami(arguments: Namespace) -> int:
    """Shows as whom MyX knows this command line, and what that may do."""
    client = Client(find(arguments))
    answer = client.get("/session")
    if arguments.output == "json":
        print_json(answer)
        return 0
    me, session = _me(answer), answer.get("session") or {}
    person = me.get("user") or {}
    print_facts(
        [
            ("name", me.get("name")),
            ("called", person.get("display_name")),
            ("by", me.get("via")),
            *(("may", _grant(grant)) for grant in me.get("grants") or []),
            ("at most", _grant(me["cap"]) if me.get("cap") else ""),
            ("until", When(session.get("expires_at") or "")),
            ("address", client.endpoint.shown),
            ("token from", client.endpoint.origin),
        ]
    )
    return 0


def _me(answer: Document) -> Document:
    me = answer.get("me")
    if not isinstance(me, dict):
        raise Failure("MyX did not say who this is: is it older than this program?")
    return me


def _user(me: Document) -> str:
    return str((me.get("user") or {}).get("name") or "")


def _grant(grant: Document) -> str:
    return f"{grant.get('role')} on {grant.get('selector')}"
