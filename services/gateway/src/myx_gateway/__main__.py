"""python -m myx_gateway serve | migrate | check-config"""

import argparse
import sys
from contextlib import AsyncExitStack

from myx_gateway.access.token import TokenCheck
from myx_gateway.app import Gateway
from myx_gateway.settings import GatewaySettings
from myx_kit.errors import MyxError
from myx_kit.lifecycle import serve
from myx_kit.logging import configure


def main() -> int:
    """Run one of the commands; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m myx_gateway", description="MyX gateway: REST and log streams")
    parser.add_argument("action", choices=["serve", "migrate", "check-config"])
    action = parser.parse_args().action
    settings = GatewaySettings.load()
    configure("gateway", settings.log_level, settings.log_format)
    if action == "serve":

        async def start(stack: AsyncExitStack) -> Gateway:
            return await Gateway(settings).start(stack)

        return serve(start, drain_s=settings.drain_s)
    if action == "check-config":
        return _check(settings)
    # No schema yet (settings.py says why): nothing to migrate, so that every service is called alike.
    return 0


def _check(settings: GatewaySettings) -> int:
    try:
        TokenCheck.from_file(settings.admin_token_file)
    except MyxError as error:
        sys.stderr.write(f"{error.message} ({error.reason})\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
