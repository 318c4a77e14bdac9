"""Options of `myx credential …`."""

from argparse import ArgumentParser

from myx_cli.options.logins import add_login


def one(parser: ArgumentParser) -> None:
    """One credential."""
    parser.add_argument("credential", metavar="NAME", help="name or id")


def add(parser: ArgumentParser) -> None:
    """`myx credential add`."""
    parser.add_argument("credential", metavar="NAME", help="a-z, 0-9, '-', '_' and '.', at most 63")
    parser.add_argument("--user", metavar="NAME", help="login name for servers that name none (root)")
    add_login(parser)


def set_(parser: ArgumentParser) -> None:
    """`myx credential set`."""
    one(parser)
    parser.add_argument("--name", metavar="NAME", help="a new name")
    parser.add_argument("--user", metavar="NAME", help="login name; together with a new secret")
    add_login(parser)


def remove(parser: ArgumentParser) -> None:
    """`myx credential remove`."""
    one(parser)
    parser.add_argument("--force", action="store_true", help="also one that servers use; they then have none")
