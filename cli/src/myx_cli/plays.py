"""From the command line's options to the content of a play."""

from argparse import Namespace

from myx_cli.api import Client, Document
from myx_cli.artifacts import push_artifact
from myx_cli.endpoint import Endpoint
from myx_cli.errors import UsageError
from myx_cli.servers import check_servers
from myx_cli.variables import extra_vars, secret_vars, tags

_SHIPPED = "myx"


def playbook_content(text: str) -> Document:
    """The playbook that PROJECT/PLAYBOOK means. UsageError."""
    project, slash, name = text.partition("/")
    if not slash:
        project, name = _SHIPPED, project
    if not project or not name:
        raise UsageError("which playbook? PROJECT/PLAYBOOK, or PLAYBOOK for one that ships with MyX")
    if not name.endswith((".yml", ".yaml")):
        name += ".yml"
    return {"kind": "playbook", "project": project, "playbook": name}


def play_content(arguments: Namespace) -> Document:
    """What the play is given. UsageError."""
    content: Document = {
        "extra_vars": extra_vars(arguments.extra_vars),
        "check": arguments.check,
        "diff": arguments.diff,
        "tags": tags(arguments.tags),
        "skip_tags": tags(arguments.skip_tags),
        "limit": arguments.limit,
        "method": arguments.method,
        "timeout_s": arguments.timeout,
        "no_output_timeout_s": arguments.no_output_timeout,
        "secret_vars": secret_vars(arguments.secret),
    }
    twice = sorted(set(content["extra_vars"]) & set(content["secret_vars"]))
    if twice:
        raise UsageError(f"{twice[0]} is given by -e and by --secret")
    return {name: value for name, value in content.items() if value or (value == 0 and name == "timeout_s")}


def with_artifact(endpoint: Endpoint, arguments: Namespace, content: Document) -> Document:
    """`content` with the file of `--artifact`, which is stored in MyX first."""
    if not arguments.artifact:
        return content
    check_servers(endpoint, arguments.servers)
    client = Client(endpoint)
    try:
        artifact, _ = push_artifact(client, arguments.artifact)
        return {**content, "artifact_sha256": str(artifact["sha256"])}
    finally:
        client.close()
