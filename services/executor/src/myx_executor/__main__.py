"""`python -m myx_executor serve | migrate | check-config | check-keys | rotate-master-key`."""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack

from pydantic_settings import SettingsConfigDict

from myx_executor import key_verbs
from myx_executor.app import NAME, start
from myx_executor.key_verbs import KeySettings, UsedKeySettings
from myx_executor.models.base import MIGRATIONS, SCHEMA
from myx_executor.settings import ExecutorSettings
from myx_kit.db import migrate
from myx_kit.errors import MyxError
from myx_kit.lifecycle import serve
from myx_kit.rpc.server import RpcServer
from myx_kit.secretbox import SecretBox
from myx_kit.settings import DatabaseSettings


class TableSettings(DatabaseSettings):
    """Settings of `migrate`: a migration Job has no others."""

    model_config = SettingsConfigDict(env_prefix="MYX_EXECUTOR_")


def main(arguments: list[str]) -> int:
    """Exit code of the process: 0 fine, 1 failed, 2 called or configured wrongly."""
    try:
        chosen = _parser().parse_args(arguments)
    except SystemExit as wrong:
        return int(wrong.code or 0)
    if chosen.verb == "serve":
        return _serve(ExecutorSettings.begin(NAME))
    try:
        for line in _told(chosen):
            sys.stdout.write(f"{line}\n")
    except MyxError as error:
        sys.stderr.write(f"{error.message} ({error.reason})\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m myx_executor", description="Makes things happen on servers.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("serve", help="serve gRPC until SIGTERM")
    verbs.add_parser("migrate", help="bring the database schema up to date")
    verbs.add_parser("check-config", help="check the settings and the files that they name")
    verbs.add_parser("check-keys", help="say how many stored values are sealed with which master key")
    rotate = verbs.add_parser(
        "rotate-master-key",
        help="add a master key to the file and let it seal from now on",
        description="A running executor takes the file within seconds and seals everything again; check-keys says when "
        "the old key may be dropped. Where replicas get the file at different times, add first, and use later.",
    )
    what = rotate.add_mutually_exclusive_group()
    what.add_argument("--add-only", action="store_true", help="add a key that only opens, so that all replicas know it")
    what.add_argument("--use", metavar="ID", help="let a key that is there seal from now on")
    what.add_argument("--drop", metavar="ID", help="take a key out of the file, if nothing is sealed with it any more")
    return parser


def _told(chosen: argparse.Namespace) -> list[str]:
    """Does what was chosen, with the settings that it needs; the lines to be printed."""
    if chosen.verb == "migrate":
        migrate.upgrade(TableSettings.begin(NAME, ExecutorSettings).database_url(), SCHEMA, MIGRATIONS)
        return []
    if chosen.verb == "check-config":
        settings = ExecutorSettings.begin(NAME)
        settings.database_url()
        SecretBox.from_file(settings.master_key_file)
        return []
    if chosen.verb == "check-keys":
        return asyncio.run(key_verbs.report(UsedKeySettings.begin(NAME, ExecutorSettings)))
    if chosen.drop:
        return [asyncio.run(key_verbs.drop(UsedKeySettings.begin(NAME, ExecutorSettings), chosen.drop))]
    if chosen.use:
        return [key_verbs.use(KeySettings.begin(NAME, ExecutorSettings), chosen.use)]
    return [key_verbs.add(KeySettings.begin(NAME, ExecutorSettings), primary=not chosen.add_only)]


def _serve(settings: ExecutorSettings) -> int:
    async def begin(stack: AsyncExitStack) -> RpcServer:
        return await start(settings, stack)

    return serve(begin, drain_s=settings.drain_s + settings.play_drain_s)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
