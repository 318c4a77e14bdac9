"""Options of what watches agents."""

from argparse import ArgumentParser

from myx_cli.options.servers import one
from myx_cli.options.types import limit, positive, seconds, selector

SORTS = ("status", "name", "load", "memory", "disk", "latency")


def chosen(parser: ArgumentParser) -> None:
    """Servers by name or by selector."""
    parser.add_argument("servers", nargs="*", default=[], metavar="SERVER", help="name or id")
    parser.add_argument("--selector", "-l", type=selector, metavar="SELECTOR", help="those that match: 'env=prod'")


def check(parser: ArgumentParser) -> None:
    """`myx server check`."""
    chosen(parser)
    parser.epilog = "exit codes: 0 all answer, 1 some do not, 125 MyX failed"


def history(parser: ArgumentParser) -> None:
    """`myx server history`."""
    one(parser)
    parser.add_argument("--limit", type=positive, metavar="N", default=50, help="the newest N changes (50)")
    parser.add_argument("--facts", action="store_true", help="changes of facts instead of status")


def pause(parser: ArgumentParser) -> None:
    """`myx server pause`."""
    chosen(parser)
    end = parser.add_mutually_exclusive_group(required=True)
    end.add_argument("--for", dest="for_s", type=limit, metavar="TIME", help="from now on: 30m, 2h, 7d")
    end.add_argument("--until", metavar="TIME", help="as 2026-01-31T12:00:00Z")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; shown with the server")


def top(parser: ArgumentParser) -> None:
    """`myx top`."""
    parser.add_argument("--selector", "-l", type=selector, metavar="SELECTOR", help="those that match: 'env=prod'")
    parser.add_argument("--sort", choices=SORTS, default="status", help="worst first by this (status)")
    parser.add_argument("--interval", type=seconds, metavar="TIME", default=2.0, help="between two looks (2s)")
    parser.add_argument("--once", action="store_true", help="show it once")
