"""`python -m myx_executor serve | migrate | check-config`."""

import sys
from contextlib import AsyncExitStack

from myx_executor.app import MIGRATIONS, NAME, start
from myx_executor.models.base import SCHEMA
from myx_executor.settings import ExecutorSettings
from myx_kit import logging
from myx_kit.db import migrate
from myx_kit.errors import MyxError
from myx_kit.lifecycle import serve
from myx_kit.rpc.server import RpcServer
from myx_kit.secretbox import SecretBox

_USAGE = "usage: python -m myx_executor serve | migrate | check-config\n"


def main(arguments: list[str]) -> int:
    """Exit code of the process: 0 fine, 1 failed, 2 called or configured wrongly."""
    if len(arguments) != 1 or arguments[0] not in ("serve", "migrate", "check-config"):
        sys.stderr.write(_USAGE)
        return 2
    settings = ExecutorSettings.load()
    logging.configure(NAME, settings.log_level, settings.log_format)
    try:
        if arguments[0] == "migrate":
            migrate.upgrade(settings.database_url(), SCHEMA, MIGRATIONS)
            return 0
        if arguments[0] == "check-config":
            settings.database_url()
            SecretBox.from_file(settings.master_key_file)
            return 0
    except MyxError as error:
        sys.stderr.write(f"{error.message} ({error.reason})\n")
        return 1

    async def begin(stack: AsyncExitStack) -> RpcServer:
        return await start(settings, stack)

    return serve(begin, drain_s=settings.drain_s + settings.play_drain_s)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
