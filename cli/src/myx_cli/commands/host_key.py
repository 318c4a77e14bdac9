"""`myx server host-key`."""

from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import find
from myx_cli.errors import DIFFERENT_FAILURES, OK
from myx_cli.host_keys import scan, trust
from myx_cli.output import note
from myx_cli.servers import get_server
from myx_cli.sinks import print_json
from myx_cli.tables import When, print_facts
from myx_cli.text import clean

CHANGED = DIFFERENT_FAILURES


def host_key(arguments: Namespace) -> int:
    """Shows the key that is trusted; with --scan the one that is there; with --accept trusts one."""
    client = Client(find(arguments))
    name = str(get_server(client, arguments.server).get("name") or arguments.server)
    if arguments.accept:
        state = trust(client, name, arguments.accept)
    elif arguments.scan:
        state = scan(client, name)
    else:
        state = client.get(f"/servers/{segment(name)}/host-key")
    if arguments.output == "json":
        print_json(state)
    else:
        print_facts(_facts(state))
    return _verdict(name, state) if arguments.scan else OK


def _facts(state: Document) -> list[tuple[str, object]]:
    trusted, shown = state.get("trusted") or {}, state.get("shown") or {}
    return [
        ("trusted", trusted.get("fingerprint") or "none yet"),
        ("since", When(trusted.get("accepted_at") or "")),
        ("accepted by", trusted.get("accepted_by")),
        ("how", trusted.get("how")),
        ("trusted key", trusted.get("public_key")),
        ("shown now", shown.get("fingerprint")),
        ("shown key", shown.get("public_key")),
    ]


def _verdict(name: str, state: Document) -> int:
    if state.get("matches"):
        return OK
    shown = clean((state.get("shown") or {}).get("fingerprint") or "")
    if state.get("trusted"):
        note(
            f"the key of {clean(name)} is not the trusted one: somebody may be in between, or the host was set up "
            f"anew; if you know why: myx server host-key {clean(name)} --accept {shown}"
        )
    else:
        note(f"no key is trusted yet; if this one is right: myx server host-key {clean(name)} --accept {shown}")
    return CHANGED
