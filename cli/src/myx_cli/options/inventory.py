"""Options of `myx inventory`."""

from argparse import ArgumentParser

from myx_cli.options.types import selector


def inventory(parser: ArgumentParser) -> None:
    """`myx inventory`."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--list", action="store_true", help="all hosts with their groups and variables")
    which.add_argument("--host", metavar="NAME", help="the variables of one host")
    parser.add_argument("--selector", "-l", type=selector, metavar="SELECTOR", help="those that match: 'env=prod'")
    parser.epilog = 'For Ansible: an executable file with `exec myx inventory "$@"` (docs/ansible-inventory.md).'
