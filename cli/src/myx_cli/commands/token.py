"""`myx token list|create|revoke`."""

import os
from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import find
from myx_cli.errors import ApiError, Failure, UsageError
from myx_cli.output import note, print_line
from myx_cli.pages import all_items
from myx_cli.persons import as_person
from myx_cli.private_files import write_private
from myx_cli.sinks import print_json
from myx_cli.tables import When, print_table
from myx_cli.text import clean


def list_(arguments: Namespace) -> int:
    """Lists tokens; none of them is shown itself."""
    items = all_items(Client(find(arguments)), "/tokens", user=arguments.user)
    if arguments.output == "json":
        print_json({"items": items})
        return 0
    print_table(
        ("ID", "Name", "User", "At most", "Created", "Expires", "Last used"),
        [_row(item) for item in items],
        "no tokens yet: myx token create NAME",
        droppable=("Created", "At most", "Last used"),
    )
    return 0


def create(arguments: Namespace) -> int:
    """Makes a token and shows it, this once: alone on standard output, or into a file."""
    if arguments.to and os.path.lexists(arguments.to):
        raise UsageError(f"--to: {clean(arguments.to)} exists already and is not overwritten")
    client = Client(find(arguments))
    content, key = _content(arguments), os.urandom(16).hex()
    try:
        made = as_person(client, lambda client: client.post("/tokens", content, idempotency_key=key))
    except ApiError as error:
        if error.status == 400 and not arguments.user and not _is_somebody(client):
            raise UsageError("this login is nobody's: say whose token it is to be with --user NAME") from None
        raise
    token = str(made.pop("token", ""))
    if arguments.to:
        try:
            write_private(arguments.to, f"{token}\n")
        except BaseException:
            # Nobody has it: it is of no use, and would only lie about.
            client.delete(f"/tokens/{segment(str(made['id']))}")
            raise
    elif arguments.output == "json":
        made["token"] = token
    if arguments.output == "json":
        print_json(made)
        return 0
    if not arguments.to:
        print_line(token)
    kept = f"it is in {clean(arguments.to)}" if arguments.to else "it is shown this once"
    note(f"token {clean(made['id'])} is valid until {clean(made.get('expires_at') or 'it is revoked')}; {kept}")
    return 0


def _is_somebody(client: Client) -> bool:
    return bool((client.get("/session").get("me") or {}).get("user"))


def _content(arguments: Namespace) -> Document:
    wished = {"user": arguments.user, "role": arguments.role, "selector": arguments.selector}
    content: Document = {"name": arguments.name} | {key: value for key, value in wished.items() if value is not None}
    if hasattr(arguments, "expires_in"):
        content["expires_in_s"] = arguments.expires_in
    return content


def revoke(arguments: Namespace) -> int:
    """Revokes tokens: they are taken by nobody from now on."""
    client = Client(find(arguments))
    as_person(client, lambda client: _delete_all(client, arguments.ids))
    return 0


def _delete_all(client: Client, ids: list[str]) -> None:
    while ids:
        try:
            client.delete(f"/tokens/{segment(ids[0])}")
        except ApiError as error:
            if error.reason != "TOKEN_NOT_FOUND":
                raise
            told = "what is wanted is an ID, not a name (myx token list; --all: those of everybody)"
            raise Failure(f"there is no token {clean(ids[0])}: {told}") from None
        del ids[0]


def _row(token: Document) -> tuple[object, ...]:
    role, selector = token.get("role"), token.get("selector")
    return (
        token.get("id"),
        token.get("name"),
        token.get("user"),
        f"{role or 'admin'} on {selector or 'all'}" if role or selector else "",
        When(token.get("created_at") or ""),
        When(token.get("expires_at") or ""),
        When(token.get("last_used_at") or ""),
    )
