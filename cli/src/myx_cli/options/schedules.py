"""Options of `myx schedule …`."""

from argparse import ArgumentParser

from myx_cli.options.commands import add_command
from myx_cli.options.deployments import add_play
from myx_cli.options.jobs import add_job, add_queueing
from myx_cli.options.types import limit, positive, selector


def one(parser: ArgumentParser) -> None:
    """One schedule."""
    parser.add_argument("schedule", metavar="NAME", help="name or id of the schedule")


def many(parser: ArgumentParser) -> None:
    """`myx schedule remove`."""
    parser.add_argument("schedules", nargs="+", metavar="NAME", help="name or id of the schedule")


def add(parser: ArgumentParser) -> None:
    """`myx schedule add`."""
    parser.usage = (
        "myx schedule add NAME --cron CRON [options] SERVER…|-l SELECTOR -- COMMAND ARG…\n"
        "       myx schedule add NAME --cron CRON [options] SERVER…|-l SELECTOR --deploy KIND | --playbook PLAYBOOK"
    )
    parser.add_argument("schedule", metavar="NAME", help="what to call it: a-z, 0-9, '-', '_' and '.'")
    _times(parser)
    parser.add_argument("--paused", action="store_true", help="do not fire until it is resumed")
    _work(parser)


def set_(parser: ArgumentParser) -> None:
    """`myx schedule set`."""
    parser.usage = "myx schedule set NAME [options] [SERVER…|-l SELECTOR -- COMMAND ARG…]"
    one(parser)
    _times(parser)
    _work(parser)


def next_(parser: ArgumentParser) -> None:
    """`myx schedule next`."""
    parser.add_argument("schedule", nargs="?", metavar="NAME", help="name or id of the schedule, or --cron")
    parser.add_argument("--cron", metavar="CRON", help="when this would fire")
    parser.add_argument("--tz", metavar="ZONE", help="its time zone (UTC)")
    parser.add_argument("--count", "-n", type=positive, default=5, metavar="N", help="how many times (5)")


def fires(parser: ArgumentParser) -> None:
    """`myx schedule fires`."""
    one(parser)
    parser.add_argument("--limit", type=positive, default=50, metavar="N", help="how many, newest first (50)")


def _times(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("when")
    group.add_argument("--cron", metavar="CRON", help="minute hour day month weekday: '0 3 * * *'")
    group.add_argument("--tz", metavar="ZONE", help="time zone: Europe/Berlin (UTC)")
    group.add_argument(
        "--missed", choices=("skip", "run-once"), help="what to do about times that nobody could keep (skip)"
    )
    group.add_argument("--missed-within", type=limit, metavar="TIME", help="run-once: not later than that (1h)")
    group.add_argument(
        "--overlap", choices=("skip", "wait", "allow"), help="what to do while the one before still runs (skip)"
    )


def _work(parser: ArgumentParser) -> None:
    parser.add_argument("servers", nargs="*", default=[], metavar="SERVER", help="name or id; several: a job")
    parser.add_argument(
        "--selector", "-l", type=selector, metavar="SELECTOR", help="a job on all that match when it fires"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--deploy", metavar="KIND", help="deploy this instead of running a command")
    what.add_argument("--playbook", metavar="PROJECT/PLAYBOOK", help="run this playbook instead of a command")
    add_command(parser.add_argument_group("of a command"))
    add_play(parser.add_argument_group("of --deploy and --playbook"), ("--extra-vars",))
    add_queueing(parser)
    add_job(parser, attended=False)
