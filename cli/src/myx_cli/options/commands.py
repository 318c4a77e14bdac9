"""Options of `myx run`, `myx logs` and `myx command …`."""

from argparse import ArgumentParser, _ArgumentGroup

from myx_cli.options.jobs import add_job, add_queueing, add_targets
from myx_cli.options.patience import add_patience
from myx_cli.options.types import folder, grace, limit, offset, positive, variable, variable_name
from myx_cli.outcome import STATUSES


def run(parser: ArgumentParser) -> None:
    """`myx run`."""
    parser.usage = "myx run [options] SERVER…|-l SELECTOR -- COMMAND ARG…"
    add_targets(parser)
    add_command(parser)
    parser.add_argument("--detach", "-d", action="store_true", help="start it, print its id, and leave")
    add_queueing(parser)
    add_job(parser)
    add_patience(parser)


def add_command(parser: "ArgumentParser | _ArgumentGroup") -> None:
    """How a command runs."""
    parser.add_argument("--timeout", type=limit, metavar="TIME", help="end it after 90, 5m, 2h …; 0: never")
    add_silence(parser)
    parser.add_argument("--env", "-e", action="append", type=variable, metavar="K=V", help="set a variable")
    parser.add_argument(
        "--secret-env",
        action="append",
        type=variable_name,
        metavar="NAME",
        help="pass a variable of yours on, hidden; asked for if unset",
    )
    parser.add_argument("--cwd", type=folder, metavar="DIR", help="folder to run it in")
    parser.add_argument("--user", metavar="NAME", help="user to run it as")
    parser.add_argument("--stdin", action="store_true", help="send own standard input (up to 1 MiB) to it")


def add_silence(parser: "ArgumentParser | _ArgumentGroup") -> None:
    """The limit on the time without output."""
    parser.add_argument(
        "--no-output-timeout", type=limit, metavar="TIME", help="end it when it has been silent for so long"
    )


def logs(parser: ArgumentParser) -> None:
    """`myx logs`."""
    parser.add_argument("id", metavar="ID", help="id of the command")
    add_log(parser)


def add_log(parser: ArgumentParser) -> None:
    """How a log is shown."""
    parser.add_argument(
        "--follow", "-f", action="store_true", help="go on until it has ended; its exit code is then ours"
    )
    parser.add_argument(
        "--offset", type=offset, default=0, metavar="N", help="begin behind the first N bytes of the log"
    )
    group = parser.add_argument_group("a large log")
    group.add_argument(
        "--grep", metavar="PATTERN", help="only lines that hold it, searched on the server, with offsets"
    )
    group.add_argument("--regex", "-E", action="store_true", help="PATTERN is a regular expression (RE2)")
    group.add_argument("--ignore-case", "-i", action="store_true", help="upper and lower case are the same")
    group.add_argument("--limit", type=positive, metavar="N", help="stop after N lines")
    group.add_argument("--download", metavar="FILE", help="write it to FILE; again after a break, it goes on")
    add_patience(parser)


def list_(parser: ArgumentParser) -> None:
    """`myx command list`."""
    parser.add_argument("--server", metavar="SERVER", help="only of this server")
    parser.add_argument(
        "--status",
        action="append",
        choices=STATUSES,
        metavar="STATUS",
        help=f"only: {', '.join(STATUSES)} (repeatable)",
    )
    parser.add_argument("--job", metavar="ID", help="only of this job")
    parser.add_argument("--limit", type=positive, default=50, metavar="N", help="how many, newest first (50)")


def id_(parser: ArgumentParser) -> None:
    """`myx command show`."""
    parser.add_argument("id", metavar="ID", help="id of the command")


def cancel(parser: ArgumentParser) -> None:
    """`myx command cancel`."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="id of the command")
    parser.add_argument("--grace", type=grace, metavar="TIME", help="between TERM and KILL (10s)")
