"""`myx-standalone up`: all of MyX on this machine."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

import psycopg

from myx_kit.errors import MyxError
from myx_standalone.errors import StandaloneError
from myx_standalone.home import Home
from myx_standalone.up import Standalone

DEFAULT_PORT = 8470


def main() -> int:
    """Exit status: 0 stopped by a signal, 1 it could not start (a sentence on stderr), 2 wrong usage."""
    parser = _parser()
    arguments = parser.parse_args()
    try:
        port = _port(os.environ.get("MYX_PORT") or str(DEFAULT_PORT)) if arguments.port is None else arguments.port
    except argparse.ArgumentTypeError as error:
        sys.stderr.write(f"myx-standalone: MYX_PORT: {error}\n")
        return 2
    try:
        return asyncio.run(Standalone(Home(Path(arguments.home)), port, arguments.log_level).run())
    except StandaloneError as error:
        message = str(error)
    except MyxError as error:
        message = error.message
    except OSError as error:  # a full or broken disk shows itself anywhere
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        message = f"{where}{error.strerror or error}"
    except psycopg.Error as error:
        message = f"the database does not do what it should: {' '.join(str(error).split())}"
    sys.stderr.write(f"myx-standalone: {message}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="myx-standalone", description="All of MyX on one machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="run it until Ctrl-C or SIGTERM")
    home = os.environ.get("MYX_HOME") or ".myx"
    up.add_argument("--home", default=home, help="folder of all state (MYX_HOME; default: .myx)")
    up.add_argument("--port", type=_port, help=f"on 127.0.0.1 (MYX_PORT; default: {DEFAULT_PORT})")
    up.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535 (0 takes a free one)")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
