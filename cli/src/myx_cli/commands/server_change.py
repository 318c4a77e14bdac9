"""`myx server set|label|remove`."""

from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.commands.server import show_one
from myx_cli.endpoint import find
from myx_cli.errors import ApiError, Failure, UsageError
from myx_cli.logins import secret_of
from myx_cli.output import note
from myx_cli.server_contents import ssh_changes
from myx_cli.servers import get_server
from myx_cli.sinks import print_json
from myx_cli.text import clean

_SSH_FIELDS = ("address", "port", "user", "credential", "sudo", "jump_servers")


def set_(arguments: Namespace) -> int:
    """Changes what the command line names and nothing else."""
    client = Client(find(arguments))
    changes = _changes(arguments)
    ssh = ssh_changes(arguments)
    if arguments.no_jump:
        ssh["jump_servers"] = []
    if "credential" in changes:
        ssh.setdefault("credential", "")  # a shared one would win, or be left
    if not changes and not ssh:
        raise UsageError("what is to be changed? (see myx server set --help)")
    server = get_server(client, arguments.server)
    if ssh:
        now = server.get("ssh") or {}
        changes["ssh"] = {name: now[name] for name in _SSH_FIELDS if name in now} | ssh
    return show_one(_patch(client, server, changes), arguments)


def label(arguments: Namespace) -> int:
    """Sets and takes away labels; the others stay."""
    client = Client(find(arguments))
    server = get_server(client, arguments.server)
    labels = dict(server.get("labels") or {})
    for name, value in arguments.labels:
        if value is None:
            labels.pop(name, None)
        else:
            labels[name] = value
    return show_one(_patch(client, server, {"labels": labels}), arguments)


def remove(arguments: Namespace) -> int:
    """Forgets servers; one whose agent is still installed only with --force."""
    client = Client(find(arguments))
    removed: list[Document] = []
    exit_code = 0
    for name in arguments.servers:
        try:
            removed.append(_remove(client, name, force=arguments.force))
        except Failure as failure:
            if len(arguments.servers) == 1:
                raise
            note(f"{clean(name)}: {failure.message}")
            exit_code = failure.exit_code
    if arguments.output == "json":
        print_json({"items": removed})
    return exit_code


def _remove(client: Client, name: str, *, force: bool) -> Document:
    server = get_server(client, name)
    agent = server.get("agent") or {}
    if not force and (agent.get("rpc_last_success") or agent.get("rpc_supported")):
        raise Failure(
            f"the agent of {clean(name)} is still installed: take it away first (myx agent uninstall {clean(name)}) or "
            "give --force, which leaves it on the host, where nobody can use it any more"
        )
    client.delete(f"/servers/{segment(str(server['id']))}")
    return server


def _changes(arguments: Namespace) -> Document:
    secret = secret_of(arguments)
    if secret and (arguments.credential or arguments.no_credential):
        raise UsageError("a login of its own, --credential and --no-credential exclude each other")
    if arguments.jump and arguments.no_jump:
        raise UsageError("--jump and --no-jump exclude each other")
    changes: Document = {
        "name": arguments.name,
        "address": arguments.address,
        "repair_policy": arguments.repair,
        "accept_new_host_key": arguments.accept_host_key,
        "credential": secret,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    return changes | {"credential": None} if arguments.no_credential else changes


def _patch(client: Client, server: Document, changes: Document) -> Document:
    try:
        return client.patch(f"/servers/{segment(str(server['id']))}", changes, str(server.get("etag") or ""))
    except ApiError as error:
        if error.status == 412:
            raise Failure("somebody else changed the server at the same time; nothing was done, try again") from None
        raise
