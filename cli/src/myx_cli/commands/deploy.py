"""`myx deploy`, `myx playbook run`, `myx deployment retry`."""

from argparse import Namespace

from myx_cli.api import Client, Document
from myx_cli.artifacts import push_artifact
from myx_cli.deploying import deploy_on, repeat
from myx_cli.endpoint import Endpoint, find
from myx_cli.errors import UsageError
from myx_cli.servers import check_servers
from myx_cli.variables import extra_vars, secret_vars, tags

_SHIPPED = "myx"


def deploy(arguments: Namespace) -> int:
    """Deploys what ships with MyX."""
    return _start({"kind": arguments.kind}, arguments)


def playbook(arguments: Namespace) -> int:
    """Runs a playbook of a project."""
    project, slash, name = str(arguments.playbook).partition("/")
    if not slash:
        project, name = _SHIPPED, project
    if not project or not name:
        raise UsageError("which playbook? PROJECT/PLAYBOOK, or PLAYBOOK for one that ships with MyX")
    if not name.endswith((".yml", ".yaml")):
        name += ".yml"
    return _start({"kind": "playbook", "project": project, "playbook": name}, arguments)


def retry(arguments: Namespace) -> int:
    """Starts a deployment that is over once more."""
    secrets = secret_vars(arguments.secret)
    return repeat(
        find(arguments.url, arguments.token_file), arguments.id, {"secret_vars": secrets} if secrets else {}, arguments
    )


def _start(content: Document, arguments: Namespace) -> int:
    content |= _play(arguments)
    endpoint = find(arguments.url, arguments.token_file)
    if arguments.artifact:
        check_servers(endpoint, arguments.servers)
        content["artifact_sha256"] = _artifact(endpoint, arguments.artifact)
    return deploy_on(endpoint, arguments.servers, content, arguments)


def _play(arguments: Namespace) -> Document:
    content: Document = {
        "extra_vars": extra_vars(arguments.extra_vars),
        "check": arguments.check,
        "diff": arguments.diff,
        "tags": tags(arguments.tags),
        "skip_tags": tags(arguments.skip_tags),
        "limit": arguments.limit,
        "method": arguments.method,
        "timeout_s": arguments.timeout,
        "secret_vars": secret_vars(arguments.secret),
    }
    twice = sorted(set(content["extra_vars"]) & set(content["secret_vars"]))
    if twice:
        raise UsageError(f"{twice[0]} is given by -e and by --secret")
    return {name: value for name, value in content.items() if value or (value == 0 and name == "timeout_s")}


def _artifact(endpoint: Endpoint, path: str) -> str:
    client = Client(endpoint)
    try:
        artifact, _ = push_artifact(client, path)
        return str(artifact["sha256"])
    finally:
        client.close()
