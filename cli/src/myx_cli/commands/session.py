"""`myx session list|revoke`: logins of browsers."""

from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import find
from myx_cli.pages import all_items
from myx_cli.persons import as_person
from myx_cli.sinks import print_json
from myx_cli.tables import When, print_table


def list_(arguments: Namespace) -> int:
    """Lists sessions."""
    items = all_items(Client(find(arguments)), "/sessions", user=arguments.user)
    if arguments.output == "json":
        print_json({"items": items})
        return 0
    print_table(
        ("ID", "User", "Since", "Last used", "Expires", "From", "With"),
        [_row(item) for item in items],
        "nobody is logged in by a browser",
        droppable=("Expires", "Since", "Last used"),
    )
    return 0


def revoke(arguments: Namespace) -> int:
    """Ends sessions."""
    client = Client(find(arguments))
    as_person(client, lambda client: _delete_all(client, arguments.ids))
    return 0


def _delete_all(client: Client, ids: list[str]) -> None:
    while ids:
        client.delete(f"/sessions/{segment(ids[0])}")
        del ids[0]


def _row(session: Document) -> tuple[object, ...]:
    return (
        session.get("id"),
        session.get("user"),
        When(session.get("created_at") or ""),
        When(session.get("last_used_at") or ""),
        When(session.get("expires_at") or ""),
        session.get("address"),
        session.get("user_agent"),
    )
