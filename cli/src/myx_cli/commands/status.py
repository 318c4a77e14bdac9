"""`myx status`."""

from argparse import Namespace

from myx_cli.api import Client, Document
from myx_cli.endpoint import find
from myx_cli.errors import OK
from myx_cli.sinks import print_json
from myx_cli.tables import Status, print_facts

NOT_WELL = 1


def status(arguments: Namespace) -> int:
    """Shows whether each part of MyX answers; 1 when one does not."""
    client = Client(find(arguments))
    document = client.get("/status")
    services = document.get("services") or {}
    if arguments.output == "json":
        print_json(document)
    else:
        print_facts(
            [
                ("address", client.endpoint.shown),
                ("version", document.get("version")),
                *((name, Status(state)) for name, state in sorted(services.items())),
                ("servers", _servers(document)),
            ]
        )
    return OK if all(state == "ok" for state in services.values()) else NOT_WELL


def _servers(document: Document) -> str:
    """`3 online, 1 no agent (1 paused)`."""
    counts = sorted((document.get("servers") or {}).items())
    told = ", ".join(f"{count} {str(name).replace('_', ' ')}" for name, count in counts if count)
    return f"{told} ({document['paused']} paused)" if document.get("paused") else told
