"""Options of `myx server …`."""

from argparse import ArgumentParser

from myx_cli.options.logins import add_login
from myx_cli.options.patience import add_patience
from myx_cli.options.types import fingerprint, label_change, port, selector, variable

_SUDO = ("auto", "always", "never")
_REPAIR = ("automatic", "ask", "off")


def one(parser: ArgumentParser) -> None:
    """One server."""
    parser.add_argument("server", metavar="SERVER", help="name or id")


def list_(parser: ArgumentParser) -> None:
    """`myx server list`."""
    parser.add_argument(
        "--selector",
        "-l",
        type=selector,
        metavar="SELECTOR",
        help="only those that match: 'env=prod and role in (web,api)'",
    )


def _add_ssh(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("login over SSH")
    group.add_argument("--user", metavar="NAME", help="login name (root, or the credential's)")
    group.add_argument("--port", type=port, metavar="N", help="port of SSH (22)")
    group.add_argument("--ssh-address", metavar="HOST", help="where SSH listens, if elsewhere than at ADDRESS")
    group.add_argument("--credential", metavar="NAME", help="a shared credential (myx credential add)")
    add_login(group)
    group.add_argument("--sudo", choices=_SUDO, help="how to become root (auto: when the user is not root)")
    group.add_argument("--jump", action="append", metavar="SERVER", help="go through this server (repeatable)")
    parser.add_argument("--repair", choices=_REPAIR, help="what MyX does when the agent is broken (automatic)")


def add(parser: ArgumentParser) -> None:
    """`myx server add`."""
    parser.add_argument("name", metavar="NAME", help="a-z, 0-9, '-', '_' and '.', at most 63")
    parser.add_argument("address", metavar="ADDRESS", help="host name or IP address")
    _add_ssh(parser)
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--host-key", type=fingerprint, metavar="SHA256:…", help="the host key to trust")
    key.add_argument("--accept-host-key", action="store_true", help="trust the key of the first contact")
    parser.add_argument(
        "--label", action="append", type=variable, default=[], metavar="K=V", help="set a label (repeatable)"
    )
    parser.add_argument("--enrol", action="store_true", help="install the agent right away")
    add_patience(parser)


def import_(parser: ArgumentParser) -> None:
    """`myx server import`."""
    parser.add_argument("file", metavar="FILE", help="servers in one of the forms of docs/cli.md")
    parser.add_argument("--format", choices=("yaml", "csv", "ansible"), help="form of FILE (by its ending)")
    parser.add_argument("--credential", metavar="NAME", help="shared credential for those that name no login")
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--accept-host-key", action="store_true", help="trust the keys of the first contact")
    parser.add_argument("--dry-run", action="store_true", help="check the file, say what would be done, do nothing")
    parser.add_argument(
        "--enrol", action="store_true", help="install the agents of the new ones, and of those there without"
    )
    add_patience(parser)


def set_(parser: ArgumentParser) -> None:
    """`myx server set`."""
    one(parser)
    parser.add_argument("--name", metavar="NAME", help="a new name")
    parser.add_argument("--address", metavar="ADDRESS", help="a new address")
    _add_ssh(parser)
    parser.add_argument("--no-credential", action="store_true", help="leave it without a login: its own is deleted")
    parser.add_argument("--no-jump", action="store_true", help="connect directly")
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--accept-host-key", action="store_true", default=None, help="trust the key of the first contact")
    key.add_argument("--no-accept-host-key", dest="accept_host_key", action="store_false", help="trust none unseen")


def label(parser: ArgumentParser) -> None:
    """`myx server label`."""
    one(parser)
    parser.add_argument("labels", nargs="+", type=label_change, metavar="K=V", help="set; K- takes K away")


def remove(parser: ArgumentParser) -> None:
    """`myx server remove`."""
    parser.add_argument("servers", nargs="+", metavar="SERVER", help="name or id")
    parser.add_argument("--force", action="store_true", help="also one whose agent is still installed")


def host_key(parser: ArgumentParser) -> None:
    """`myx server host-key`."""
    one(parser)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--accept", type=fingerprint, metavar="SHA256:…", help="trust this key from now on")
    way.add_argument("--scan", action="store_true", help="connect and compare; 1 when it is not the trusted one")
