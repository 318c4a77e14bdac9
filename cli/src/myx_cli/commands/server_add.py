"""`myx server add`."""

import os
from argparse import Namespace

from myx_cli.api import Client, Document
from myx_cli.asking import can_ask
from myx_cli.commands.server import show_one
from myx_cli.deploying import deploy_on
from myx_cli.endpoint import find
from myx_cli.errors import UsageError
from myx_cli.host_keys import settle_host_key
from myx_cli.logins import secret_of
from myx_cli.server_contents import ssh_changes


def add(arguments: Namespace) -> int:
    """Adds a server; with --enrol installs its agent, too."""
    endpoint = find(arguments)
    if arguments.enrol and not (arguments.host_key or arguments.accept_host_key or can_ask()):
        raise UsageError("--enrol needs --host-key SHA256:… or --accept-host-key where nobody can be asked")
    content = _content(arguments)
    client = Client(endpoint)
    try:
        server = client.post("/servers", content, idempotency_key=os.urandom(16).hex())
        if not arguments.enrol:
            show_one(server, arguments)
            return 0
        settle_host_key(client, server)
    finally:
        client.close()
    arguments.timeout, arguments.detach = None, False
    return deploy_on(endpoint, [str(server["name"])], {"kind": "install_agent"}, arguments)


def _content(arguments: Namespace) -> Document:
    secret = secret_of(arguments)
    if secret and arguments.credential:
        raise UsageError("--credential and a login of its own exclude each other")
    content: Document = {
        "name": arguments.name,
        "address": arguments.address,
        "labels": dict(arguments.label),
        "ssh": ssh_changes(arguments),
        "credential": secret,
        "host_key_fingerprint": arguments.host_key,
        "accept_new_host_key": arguments.accept_host_key,
        "repair_policy": arguments.repair,
    }
    return {name: value for name, value in content.items() if value}
