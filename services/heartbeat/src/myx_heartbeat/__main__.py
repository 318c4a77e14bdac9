"""`python -m myx_heartbeat serve | migrate | check-config`: settings from the environment (MYX_HEARTBEAT_*).

Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong settings or usage.
"""

import argparse
import gc
import sys

from pydantic_settings import SettingsConfigDict

from myx_heartbeat import app, migrations
from myx_heartbeat.settings import HeartbeatSettings
from myx_kit.errors import MyxError
from myx_kit.lifecycle import serve
from myx_kit.rpc.server import read_tls
from myx_kit.settings import DatabaseSettings


class TableSettings(DatabaseSettings):
    """Settings of `migrate`: a migration Job has no others."""

    model_config = SettingsConfigDict(env_prefix="MYX_HEARTBEAT_")


def main() -> int:
    """Run one of the verbs; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m myx_heartbeat", description="Who is alive.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("serve", help="check agents and serve gRPC until SIGTERM")
    migrate = verbs.add_parser("migrate", help="bring the database schema up to date")
    migrate.add_argument("--down-to", metavar="REVISION", help="take it back to this revision instead; base: nothing")
    verbs.add_parser("check-config", help="check the settings and the files that they name")
    arguments = parser.parse_args()
    if arguments.verb == "serve":
        settings = HeartbeatSettings.begin(app.NAME)
        # Most objects are the fleet and live on: looking through them at every 700 allocations is 15 % of the CPU.
        gc.set_threshold(20_000, 20, 50)
        return serve(lambda stack: app.start(settings, stack), drain_s=settings.drain_s)
    try:
        if arguments.verb == "migrate":
            _migrate(arguments.down_to)
        else:
            settings = HeartbeatSettings.begin(app.NAME)
            settings.database_url()
            read_tls(settings.tls_dir, app.NAME)
    except MyxError as error:
        sys.stderr.write(f"{error.message} ({error.reason})\n")
        return 1
    return 0


def _migrate(down_to: str | None) -> None:
    url = TableSettings.begin(app.NAME, HeartbeatSettings).database_url()
    if down_to:
        migrations.downgrade(url, down_to)
    else:
        migrations.upgrade(url)


if __name__ == "__main__":
    sys.exit(main())
