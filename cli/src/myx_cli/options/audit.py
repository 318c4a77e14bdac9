"""Options of the audit trail and of events."""

from argparse import ArgumentParser

from myx_cli.options.patience import add_patience
from myx_cli.options.types import head, moment, offset, positive


def list_(parser: ArgumentParser) -> None:
    """`myx audit list`."""
    parser.add_argument("--principal", metavar="NAME", help="only of this one: user:alice, token:admin")
    parser.add_argument("--operation", metavar="NAME", help="only these: commands.run")
    parser.add_argument("--target", metavar="NAME", help="only about this server, or the id of what was meant or made")
    parser.add_argument("--result", choices=("ok", "refused", "failed", "unknown"), help="only with this result")
    parser.add_argument("--since", type=moment, metavar="TIME", help="not before: 2026-01-31T12:00:00Z, or 2h ago: 2h")
    parser.add_argument("--until", type=moment, metavar="TIME", help="before")
    parser.add_argument("--limit", type=positive, metavar="N", default=50, help="the newest N entries (50)")


def export(parser: ArgumentParser) -> None:
    """`myx audit export`."""
    parser.add_argument("--to", metavar="FILE", help="into a file, that is there once it is whole (standard output)")
    parser.add_argument("--after", type=offset, metavar="N", default=0, help="only entries behind number N")


def verify(parser: ArgumentParser) -> None:
    """`myx audit verify`."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="check an export instead, without asking MyX")
    parser.add_argument("--expect", type=head, metavar="NUMBER:HASH", help="this entry, noted earlier, must be in it")
    parser.epilog = "exit codes: 0 it is what it was, 1 it is not, 125 MyX failed"


def events(parser: ArgumentParser) -> None:
    """`myx events`."""
    parser.add_argument("--follow", "-f", action="store_true", help="go on with what happens from now on")
    parser.add_argument(
        "--type", action="append", metavar="TYPE", help="only these: agent.offline, agent …; repeatable"
    )
    parser.add_argument("--server", metavar="NAME", help="only about this server")
    parser.add_argument("--after", metavar="ID", help="behind this event (the id that --output json shows)")
    add_patience(parser)
