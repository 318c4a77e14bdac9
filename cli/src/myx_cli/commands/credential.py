"""`myx credential add|list|show|set|remove`."""

import os
from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import find
from myx_cli.errors import UsageError
from myx_cli.logins import secret_of
from myx_cli.pages import all_items
from myx_cli.sinks import print_json
from myx_cli.tables import When, print_facts, print_table


def add(arguments: Namespace) -> int:
    """Adds a login that servers share."""
    client = Client(find(arguments))
    secret = secret_of(arguments)
    if secret is None:
        raise UsageError("a password or key is needed: --ask-password, --password-file, --password-stdin or --key-file")
    if arguments.user:
        secret["user"] = arguments.user
    content = {"name": arguments.credential, "secret": secret}
    return _show(client.post("/credentials", content, idempotency_key=os.urandom(16).hex()), arguments)


def list_(arguments: Namespace) -> int:
    """Lists credentials by name."""
    items = all_items(Client(find(arguments)), "/credentials")
    if arguments.output == "json":
        print_json({"items": items})
        return 0
    print_table(
        ("Name", "Type", "User", "Used by", "Changed", "ID", "Key"),
        [_row(item) for item in items],
        "no credentials yet: myx credential add NAME",
        droppable=("Key", "ID", "Changed"),
    )
    return 0


def show(arguments: Namespace) -> int:
    """Shows a credential without its secrets."""
    client = Client(find(arguments))
    return _show(client.get(_path(arguments)), arguments)


def set_(arguments: Namespace) -> int:
    """Changes name or secret."""
    client = Client(find(arguments))
    changes: Document = {"name": arguments.name} if arguments.name else {}
    secret = secret_of(arguments)
    if secret is not None:
        user = arguments.user if arguments.user is not None else client.get(_path(arguments)).get("user")
        changes["secret"] = {**secret, "user": user or ""}
    elif arguments.user is not None:
        raise UsageError("--user needs the password or key again: MyX does not give it out, not even to itself here")
    if not changes:
        raise UsageError("what is to be changed? (see myx credential set --help)")
    return _show(client.patch(_path(arguments), changes), arguments)


def remove(arguments: Namespace) -> int:
    """Removes a credential."""
    client = Client(find(arguments))
    client.delete(_path(arguments), **({"force": "true"} if arguments.force else {}))
    return 0


def _path(arguments: Namespace) -> str:
    return f"/credentials/{segment(arguments.credential)}"


def _show(credential: Document, arguments: Namespace) -> int:
    if arguments.output == "json":
        print_json(credential)
        return 0
    print_facts(
        [
            ("name", credential.get("name")),
            ("id", credential.get("id")),
            ("type", _type(credential)),
            ("user", credential.get("user")),
            ("passphrase", "yes" if credential.get("has_passphrase") else ""),
            ("password for sudo", "yes" if credential.get("has_sudo_password") else ""),
            ("public key", credential.get("public_key_fingerprint")),
            ("added", When(credential.get("created_at") or "")),
            ("changed", When(credential.get("updated_at") or "")),
            ("used by", _users(credential)),
        ]
    )
    return 0


def _row(credential: Document) -> tuple[object, ...]:
    return (
        credential.get("name"),
        _type(credential),
        credential.get("user"),
        credential.get("used_by_count"),
        When(credential.get("updated_at") or ""),
        credential.get("id"),
        credential.get("public_key_fingerprint"),
    )


def _type(credential: Document) -> str:
    return str(credential.get("type") or "").replace("_", " ")


def _users(credential: Document) -> str:
    names = [str(name) for name in credential.get("used_by") or []]
    more = int(credential.get("used_by_count") or 0) - len(names)
    return ", ".join([*names, f"and {more} more"] if more > 0 else names)
