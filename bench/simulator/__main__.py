"""`python -m bench.simulator make FILE COUNT`, `serve FILE FIRST LAST SOCKET`, `control SOCKET JSON`."""

import argparse
import socket
import sys
from pathlib import Path

import uvloop

from bench.simulator.fleet_file import FIRST_PORT, make_fleet
from bench.simulator.process import serve


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulator", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("make", help="write a file of so many agents")
    make.add_argument("file", type=Path)
    make.add_argument("count", type=int)
    make.add_argument("--first-port", type=int, default=FIRST_PORT)
    run = verbs.add_parser("serve", help="be the agents FIRST to LAST (not included)")
    run.add_argument("file", type=Path)
    run.add_argument("first", type=int)
    run.add_argument("last", type=int)
    run.add_argument("socket", type=Path)
    control = verbs.add_parser("control", help="send one request to a process of the simulator")
    control.add_argument("socket", type=Path)
    control.add_argument("request")
    options = parser.parse_args()
    match options.verb:
        case "make":
            make_fleet(options.count, options.first_port).write(options.file)
        case "serve":
            uvloop.run(serve(options.file, options.first, options.last, options.socket))
        case "control":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(options.socket))
                connection.sendall(options.request.encode() + b"\n")
                sys.stdout.write(connection.makefile().readline())


if __name__ == "__main__":
    main()
