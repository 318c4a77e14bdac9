"""How long to try again when MyX is away."""

from argparse import ArgumentParser

from myx_cli.options.types import seconds


def add_patience(parser: ArgumentParser) -> None:
    """`--reconnect-timeout`."""
    parser.add_argument(
        "--reconnect-timeout",
        type=seconds,
        default=120.0,
        metavar="TIME",
        help="how long to try again when MyX is away (2m)",
    )
