"""`myx deploy`, `myx playbook run`, `myx deployment retry`."""

from argparse import Namespace

from myx_cli.api import Document
from myx_cli.deploying import deploy_on, repeat
from myx_cli.endpoint import find
from myx_cli.jobs.request import check_targets, queueing
from myx_cli.plays import play_content, playbook_content, with_artifact
from myx_cli.variables import secret_vars


def deploy(arguments: Namespace) -> int:
    """Deploys what ships with MyX."""
    return _start({"kind": arguments.kind}, arguments)


def playbook(arguments: Namespace) -> int:
    """Runs a playbook of a project."""
    return _start(playbook_content(arguments.playbook), arguments)


def retry(arguments: Namespace) -> int:
    """Starts a deployment that is over once more."""
    secrets = secret_vars(arguments.secret)
    return repeat(find(arguments), arguments.id, {"secret_vars": secrets} if secrets else {}, arguments)


def _start(content: Document, arguments: Namespace) -> int:
    check_targets(arguments)
    content |= play_content(arguments) | queueing(arguments)
    endpoint = find(arguments)
    content = with_artifact(endpoint, arguments, content)
    return deploy_on(endpoint, arguments.servers, content, arguments)
