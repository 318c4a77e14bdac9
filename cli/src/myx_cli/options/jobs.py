"""Options of what runs on many servers, and of `myx job …`."""

from argparse import ArgumentParser

from myx_cli.jobs.statuses import JOB_STATUSES, RETRIED, TARGET_STATUSES
from myx_cli.options.patience import add_patience
from myx_cli.options.types import allowed, grace, limit, positive, seconds, selector, share, shares, variable_name

LOCKS = ("none", "shared", "exclusive")


def add_targets(parser: ArgumentParser) -> None:
    """SERVER… or -l."""
    parser.add_argument(
        "servers", nargs="*", default=[], metavar="SERVER", help="name or id; several run at the same time"
    )
    parser.add_argument(
        "--selector",
        "-l",
        type=selector,
        metavar="SELECTOR",
        help="all servers that match: 'env=prod and role in (web,api)', all",
    )


def add_job(parser: ArgumentParser, *, attended: bool = True) -> None:
    """How a job goes over its servers; whether somebody is asked before and watches it."""
    group = parser.add_argument_group("on several servers")
    if attended:
        group.add_argument("--yes", "-y", action="store_true", help="do not ask before running on what -l matches")
        group.add_argument("--lines", action="store_true", help="prefixed lines on a terminal, too")
    group.add_argument("--concurrency", type=share, metavar="N|N%", help="servers under way at once (50)")
    group.add_argument(
        "--batch",
        type=shares,
        action="extend",
        metavar="N|N%,…",
        help="sizes of batches, one after the other; the last one is repeated",
    )
    group.add_argument("--batch-label", metavar="KEY", help="a batch for each value of this label")
    group.add_argument("--batch-pause", type=seconds, metavar="TIME", help="between two batches")
    group.add_argument("--canary", type=share, metavar="N|N%", help="so many first; all of them must succeed")
    group.add_argument("--soak", type=seconds, metavar="TIME", help="wait after the canary")
    group.add_argument("--max-fail", type=allowed, metavar="N|N%", help="more failures stop the rest; 0: the first one")
    group.add_argument("--max-unreachable", type=allowed, metavar="N|N%", help="the same of servers out of reach")
    group.add_argument("--job-deadline", type=limit, metavar="TIME", help="of the whole job (24h)")
    group.add_argument("--job-name", metavar="TEXT", help="what to call the job")


def add_queueing(parser: ArgumentParser, *, commands: bool = True) -> None:
    """What happens while an agent is offline or a server locked."""
    group = parser.add_argument_group("when it cannot start at once")
    group.add_argument(
        "--offline", choices=("fail", "skip", "queue"), help="what to do when an agent is out of reach (fail)"
    )
    group.add_argument("--queue-timeout", type=limit, metavar="TIME", help="how long to wait in line (1h)")
    if commands:
        group.add_argument("--connect-timeout", type=limit, metavar="TIME", help="how long agents may not answer (5m)")
    group.add_argument("--lock", choices=LOCKS, help="what else may run there: anything, sharers, nobody with a lock")


def id_(parser: ArgumentParser) -> None:
    """`myx job show`, `pause`, `resume`."""
    parser.add_argument("id", metavar="ID", help="id of the job")


def list_(parser: ArgumentParser) -> None:
    """`myx job list`."""
    parser.add_argument(
        "--status",
        action="append",
        choices=JOB_STATUSES,
        metavar="STATUS",
        help=f"only: {', '.join(JOB_STATUSES)} (repeatable)",
    )
    parser.add_argument("--limit", type=positive, default=50, metavar="N", help="how many, newest first (50)")


def targets(parser: ArgumentParser) -> None:
    """`myx job targets`."""
    id_(parser)
    _target_status(parser, f"only: {', '.join(TARGET_STATUSES)} (repeatable)")


def cancel(parser: ArgumentParser) -> None:
    """`myx job cancel`."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="id of the job")
    parser.add_argument("--grace", type=grace, metavar="TIME", help="between TERM and KILL (10s)")


def set_(parser: ArgumentParser) -> None:
    """`myx job set`."""
    id_(parser)
    parser.add_argument("--concurrency", type=share, required=True, metavar="N|N%", help="servers under way at once")


def _watching(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--lines", action="store_true", help="prefixed lines instead of the display, also on a terminal"
    )
    add_patience(parser)


def follow(parser: ArgumentParser) -> None:
    """`myx job follow`."""
    id_(parser)
    _watching(parser)


def retry(parser: ArgumentParser) -> None:
    """`myx job retry`."""
    id_(parser)
    _target_status(parser, f"servers in this state (repeatable; {', '.join(RETRIED)})")
    parser.add_argument(
        "--secret-env", action="append", type=variable_name, default=[], metavar="NAME", help="a hidden variable, again"
    )
    parser.add_argument("--detach", "-d", action="store_true", help="start it, print its id, and leave")
    _watching(parser)


def _target_status(parser: ArgumentParser, told: str) -> None:
    parser.add_argument("--status", action="append", choices=TARGET_STATUSES, metavar="STATUS", help=told)
