"""`myx inventory`: a dynamic inventory for Ansible."""

from argparse import Namespace

from myx_cli.api import Client, Document
from myx_cli.endpoint import find
from myx_cli.errors import ApiError, Failure
from myx_cli.exporting.ansible_form import Find, variables, whole
from myx_cli.output import note
from myx_cli.pages import all_items
from myx_cli.servers import get_server
from myx_cli.sinks import print_json
from myx_cli.text import clean


def inventory(arguments: Namespace) -> int:
    """Prints what Ansible asks for. Nothing is kept: each call asks MyX."""
    client = Client(find(arguments))
    if arguments.host is not None:
        print_json(variables(get_server(client, arguments.host), _finder(client, [])))
        return 0
    servers = all_items(client, "/servers", selector=arguments.selector)
    print_json(whole(servers, _finder(client, servers)))
    return 0


def _finder(client: Client, servers: list[Document]) -> Find:
    """Servers by name or id: those that are there already, others from MyX."""
    known: dict[str, Document | None] = {str(one[key]): one for one in servers for key in ("name", "id")}

    def find_server(name: str) -> Document | None:
        if name not in known:
            try:
                known[name] = get_server(client, name)
            except Failure as failure:
                if isinstance(failure, ApiError) and failure.temporary:
                    raise
                note(f"jump server {clean(name)}: {failure.message}")
                known[name] = None
        return known[name]

    return find_server
