"""`myx user list|add|show|set|remove`."""

import os
from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import find
from myx_cli.errors import UsageError
from myx_cli.output import note
from myx_cli.pages import all_items
from myx_cli.secrets import ask, from_stdin
from myx_cli.sinks import print_json
from myx_cli.tables import When, print_facts, print_table
from myx_cli.text import clean

_NO_TERMINAL = "no terminal to ask at: --password-stdin"


def list_(arguments: Namespace) -> int:
    """Lists users by name."""
    items = all_items(Client(find(arguments)), "/users")
    if arguments.output == "json":
        print_json({"items": items})
        return 0
    print_table(
        ("Name", "Kind", "State", "Last login", "ID", "Called", "May"),
        [_row(item) for item in items],
        "no users yet: myx user add NAME",
        droppable=("ID", "Called", "Last login", "Kind"),
    )
    return 0


def show(arguments: Namespace) -> int:
    """Shows one user."""
    return _show(Client(find(arguments)).get(_path(arguments.user)), arguments)


def add(arguments: Namespace) -> int:
    """Adds a person, who is given a password, or a program, which is given tokens."""
    client = Client(find(arguments))
    if arguments.program and arguments.password_stdin:
        raise UsageError("a program has no password: it is given tokens (myx token create --user)")
    content: Document = {
        "name": arguments.user,
        "display_name": arguments.display_name or "",
        "kind": "program" if arguments.program else "person",
        "grants": arguments.grant or [],
    }
    if not arguments.program:
        content["password"] = _new_password(arguments)
    return _show(client.post("/users", content, idempotency_key=os.urandom(16).hex()), arguments)


def set_(arguments: Namespace) -> int:
    """Changes what is known of a user, what they may do, or their password."""
    client = Client(find(arguments))
    if arguments.grant and arguments.no_grants:
        raise UsageError("--grant and --no-grants exclude each other")
    changes: Document = {}
    if arguments.display_name is not None:
        changes["display_name"] = arguments.display_name
    if arguments.grant or arguments.no_grants:
        changes["grants"] = arguments.grant or []
    if arguments.disable or arguments.enable:
        changes["disabled"] = arguments.disable
    if not changes and not arguments.ask_password and not arguments.password_stdin:
        raise UsageError("what is to be changed? (see myx user set --help)")
    # What somebody else changes meanwhile is not overwritten.
    etag = str(client.get(_path(arguments.user)).get("etag") or "")
    if arguments.ask_password or arguments.password_stdin:
        changes["password"] = _new_password(arguments)
    changed = client.patch(_path(arguments.user), changes, etag)
    if "password" in changes:
        name = clean(changed.get("name"))
        note(f"the sessions of {name} have ended; API tokens live on (myx token list --user {name})")
    return _show(changed, arguments)


def remove(arguments: Namespace) -> int:
    """Removes users with their sessions and tokens."""
    client = Client(find(arguments))
    for name in arguments.users:
        client.delete(_path(name))
    return 0


def _new_password(arguments: Namespace) -> str:
    if arguments.password_stdin:
        return from_stdin("--password-stdin")
    first = ask(f"password of {arguments.user}", _NO_TERMINAL)
    if ask("the same again", _NO_TERMINAL) != first:
        raise UsageError("the two are not the same; nothing was changed")
    return first


def _path(user: str) -> str:
    return f"/users/{segment(user)}"


def _show(user: Document, arguments: Namespace) -> int:
    if arguments.output == "json":
        print_json(user)
        return 0
    print_facts(
        [
            ("name", user.get("name")),
            ("called", user.get("display_name")),
            ("id", user.get("id")),
            ("kind", user.get("kind")),
            ("state", _state(user)),
            *(("may", grant_line(grant)) for grant in user.get("grants") or []),
            ("added", When(user.get("created_at") or "")),
            ("last login", When(user.get("last_login_at") or "")),
        ]
    )
    return 0


def _row(user: Document) -> tuple[object, ...]:
    return (
        user.get("name"),
        user.get("kind"),
        _state(user),
        When(user.get("last_login_at") or ""),
        user.get("id"),
        user.get("display_name"),
        ", ".join(map(grant_line, user.get("grants") or [])),
    )


def _state(user: Document) -> str:
    return "disabled" if user.get("disabled") else "enabled"


def grant_line(grant: Document) -> str:
    """A grant as the command line takes it."""
    return f"{grant.get('role')} on {grant.get('selector')}"
