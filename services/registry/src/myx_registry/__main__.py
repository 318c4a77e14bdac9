"""`python -m myx_registry serve | migrate | check-config`: settings from the environment (MYX_REGISTRY_*).

Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong settings or usage.
"""

import argparse
import sys
from collections.abc import Sequence

from myx_kit.errors import MyxError
from myx_kit.lifecycle import serve
from myx_kit.logging import configure
from myx_kit.secretbox import SecretBox
from myx_registry import app, migrations
from myx_registry.settings import RegistrySettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the verbs; the exit code. `arguments` are those of the process unless given."""
    parser = argparse.ArgumentParser(prog="python -m myx_registry", description="Who exists and how to reach them.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("serve", help="serve gRPC until SIGTERM")
    migrate = verbs.add_parser("migrate", help="bring the database schema up to date")
    migrate.add_argument("--down-to", metavar="REVISION", help="take it back to this revision instead; base: nothing")
    verbs.add_parser("check-config", help="check the settings and the files that they name")
    chosen = parser.parse_args(arguments)
    settings = RegistrySettings.load()
    configure(app.NAME, settings.log_level, settings.log_format)
    if chosen.verb == "serve":
        return serve(lambda stack: app.start(settings, stack), drain_s=settings.drain_s)
    try:
        if chosen.verb == "check-config":
            settings.database_url()
            SecretBox.from_file(settings.master_key_file)
        elif chosen.down_to:
            migrations.downgrade(settings.database_url(), chosen.down_to)
        else:
            migrations.upgrade(settings.database_url())
    except MyxError as error:
        sys.stderr.write(f"{error.message} ({error.reason})\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
