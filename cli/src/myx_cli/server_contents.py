"""What the options of a server come to, as the API takes it."""

from argparse import Namespace

from myx_cli.api import Document

_SSH = {"user": "user", "port": "port", "ssh_address": "address", "credential": "credential", "sudo": "sudo"}


def ssh_changes(arguments: Namespace) -> Document:
    """The SSH settings that the command line names."""
    ssh = {name: getattr(arguments, option) for option, name in _SSH.items() if getattr(arguments, option) is not None}
    if arguments.jump:
        ssh["jump_servers"] = arguments.jump
    return ssh
