"""`myx artifact push|list|remove`."""

from argparse import Namespace

from myx_cli.api import Client, segment
from myx_cli.artifacts import push_artifact
from myx_cli.endpoint import find
from myx_cli.errors import Failure
from myx_cli.output import note
from myx_cli.pages import all_items
from myx_cli.sinks import print_json
from myx_cli.tables import When, print_facts, print_table
from myx_cli.text import clean, format_size

_WHOLE = 64


def push(arguments: Namespace) -> int:
    """Stores a file."""
    client = Client(find(arguments))
    artifact, sent = push_artifact(client, arguments.file, arguments.name or "")
    if arguments.output == "json":
        print_json(artifact)
        return 0
    print_facts([(name, artifact.get(name)) for name in ("name", "sha256")])
    if not sent:
        note("this content is stored already")
    return 0


def list_(arguments: Namespace) -> int:
    """Lists stored files, newest first."""
    items = all_items(Client(find(arguments)), "/artifacts")
    if arguments.output == "json":
        print_json({"items": items})
        return 0
    print_table(
        ("SHA-256", "Size", "Stored", "By", "Name"),
        [
            (
                item.get("sha256"),
                format_size(item.get("size_bytes")),
                When(item.get("pushed_at") or ""),
                item.get("pushed_by"),
                item.get("name"),
            )
            for item in items
        ],
        "no artifacts yet: myx artifact push FILE",
        droppable=("By", "Stored", "Size"),
    )
    return 0


def remove(arguments: Namespace) -> int:
    """Removes a stored file."""
    client = Client(find(arguments))
    digest = str(arguments.sha256).lower()
    if len(digest) != _WHOLE:
        digest = _whole(client, digest)
    client.delete(f"/artifacts/{segment(digest)}")
    return 0


def _whole(client: Client, beginning: str) -> str:
    digests = [str(item["sha256"]) for item in all_items(client, "/artifacts")]
    found = [digest for digest in digests if digest.startswith(beginning)]
    if len(found) != 1 or not beginning:
        raise Failure(f"{len(found)} artifacts begin with {clean(beginning)!r}; they are shown by: myx artifact list")
    return found[0]
