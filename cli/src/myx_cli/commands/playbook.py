"""`myx playbook push|list|remove`."""

import re
import tempfile
from argparse import Namespace

from myx_cli.api import Client, segment
from myx_cli.archives import pack
from myx_cli.endpoint import find
from myx_cli.errors import UsageError
from myx_cli.http1 import Upload
from myx_cli.output import note
from myx_cli.pages import all_items
from myx_cli.places import expanded
from myx_cli.sinks import print_json
from myx_cli.tables import When, print_facts, print_table
from myx_cli.text import format_size

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SHIPPED = "myx"


def push(arguments: Namespace) -> int:
    """Packs a folder and stores it as a project."""
    name = _name(arguments)
    client = Client(find(arguments))
    with tempfile.TemporaryFile() as archive:
        pack(arguments.folder, archive)
        upload = Upload(archive, archive.tell())
        project = client.upload("PUT", f"/playbooks/{segment(name)}", upload, "application/gzip")
    if arguments.output == "json":
        print_json(project)
        return 0
    print_facts(
        [
            ("project", project.get("name")),
            ("version", project.get("version")),
            ("digest", project.get("digest")),
            ("size", format_size(project.get("size_bytes"))),
            ("playbooks", ", ".join(map(str, project.get("playbooks") or []))),
        ]
    )
    if not project.get("changed"):
        note("nothing has changed since the last push")
    return 0


def list_(arguments: Namespace) -> int:
    """Lists projects with their playbooks."""
    client = Client(find(arguments))
    items = all_items(client, "/playbooks")
    if arguments.output == "json":
        print_json({"items": items})
        return 0
    print_table(
        ("Project", "Version", "Pushed", "Size", "By", "Digest", "Playbooks"),
        [
            (
                item.get("name"),
                item.get("version"),
                When(item.get("pushed_at") or ""),
                format_size(item.get("size_bytes")),
                item.get("pushed_by"),
                str(item.get("digest") or "")[:16],
                ", ".join(map(str, item.get("playbooks") or [])),
            )
            for item in items
        ],
        "no playbooks yet: myx playbook push FOLDER",
        droppable=("Digest", "By", "Size", "Pushed"),
    )
    return 0


def remove(arguments: Namespace) -> int:
    """Removes a pushed project with all its versions."""
    Client(find(arguments)).delete(f"/playbooks/{segment(arguments.project)}")
    return 0


def _name(arguments: Namespace) -> str:
    name = arguments.name or expanded(arguments.folder).resolve().name.lower()
    if not _NAME.fullmatch(name) or name == _SHIPPED:
        raise UsageError(f"{name!r} cannot be a project's name: --name with a-z, 0-9, '-', '_', '.', other than myx")
    return str(name)
