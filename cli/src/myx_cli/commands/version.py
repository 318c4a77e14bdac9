"""`myx --version`."""

from argparse import Namespace
from importlib.metadata import version

from myx_cli.output import print_line
from myx_cli.sinks import print_json


def show(arguments: Namespace) -> int:
    """Prints the version."""
    number = version("myx-cli")
    if arguments.output == "json":
        print_json({"version": number})
    else:
        print_line(f"myx {number}")
    return 0
