"""`myx server enrol`, `myx agent upgrade|rotate|repair|uninstall`."""

from argparse import Namespace

from myx_cli.api import Client, Document
from myx_cli.deploying import deploy_on
from myx_cli.endpoint import find
from myx_cli.host_keys import settle_host_key
from myx_cli.jobs.request import check_targets, queueing
from myx_cli.servers import get_server


def enrol(arguments: Namespace) -> int:
    """Installs agents over SSH; asks about unknown host keys of the named where there is a terminal."""
    check_targets(arguments)
    endpoint = find(arguments)
    client = Client(endpoint)
    try:
        for name in arguments.servers:
            settle_host_key(client, get_server(client, name, "; nothing was started"))
    finally:
        client.close()
    return deploy_on(endpoint, arguments.servers, _content("install_agent", arguments), arguments)


def upgrade(arguments: Namespace) -> int:
    """Gives agents the newest version."""
    content = _forced("upgrade_agent", arguments)
    if arguments.method:
        content["method"] = arguments.method
    return _deploy(content, arguments)


def rotate(arguments: Namespace) -> int:
    """Gives agents a new token, secret and certificate; a new port or path by installing again."""
    again = {name: True for name in ("new_port", "new_path") if getattr(arguments, name)}
    return _deploy({**_content("install_agent" if again else "rotate_agent", arguments), **again}, arguments)


def repair(arguments: Namespace) -> int:
    """Installs agents again where they are what is broken."""
    return _deploy(_forced("repair_agent", arguments), arguments)


def uninstall(arguments: Namespace) -> int:
    """Takes agents away with all that belongs to them."""
    return _deploy(_forced("uninstall_agent", arguments), arguments)


def _deploy(content: Document, arguments: Namespace) -> int:
    check_targets(arguments)
    content |= queueing(arguments)
    return deploy_on(find(arguments), arguments.servers, content, arguments)


def _forced(kind: str, arguments: Namespace) -> Document:
    return _content(kind, arguments) | ({"force": True} if arguments.force else {})


def _content(kind: str, arguments: Namespace) -> Document:
    return {"kind": kind} if arguments.timeout is None else {"kind": kind, "timeout_s": arguments.timeout}
