"""`python -m myx_heartbeat serve | check-config`: settings from the environment (MYX_HEARTBEAT_*).

Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong settings or usage.
"""

import argparse
import gc
import sys

from myx_heartbeat import app
from myx_heartbeat.settings import HeartbeatSettings
from myx_kit.errors import MyxError
from myx_kit.lifecycle import serve
from myx_kit.logging import configure
from myx_kit.rpc.server import read_tls


def main() -> int:
    """Run one of the verbs; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m myx_heartbeat", description="Who is alive.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("serve", help="check agents and serve gRPC until SIGTERM")
    verbs.add_parser("check-config", help="check the settings and the files that they name")
    arguments = parser.parse_args()
    settings = HeartbeatSettings.load()
    configure(app.NAME, settings.log_level, settings.log_format)
    if arguments.verb == "serve":
        # Most objects are the fleet and live on: looking through them at every 700 allocations is 15 % of the CPU.
        gc.set_threshold(20_000, 20, 50)
        return serve(lambda stack: app.start(settings, stack), drain_s=settings.drain_s)
    try:
        read_tls(settings.tls_dir, app.NAME)
    except MyxError as error:
        sys.stderr.write(f"{error.message} ({error.reason})\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
