"""`python -m myx_executor serve | migrate | check-config | check-keys | rotate-master-key`."""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from typing import TypeVar

from pydantic_settings import SettingsConfigDict

from myx_executor import key_verbs
from myx_executor.app import MIGRATIONS, NAME, start
from myx_executor.key_verbs import KeySettings, UsedKeySettings
from myx_executor.models.base import SCHEMA
from myx_executor.settings import ExecutorSettings
from myx_kit import logging
from myx_kit.db import migrate
from myx_kit.errors import MyxError
from myx_kit.lifecycle import serve
from myx_kit.rpc.server import RpcServer
from myx_kit.secretbox import SecretBox
from myx_kit.settings import DatabaseSettings, Settings

_Wanted = TypeVar("_Wanted", bound=Settings)


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
        return _serve(_load(ExecutorSettings))
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


def _load(wanted: type[_Wanted]) -> _Wanted:
    settings = wanted.load(ExecutorSettings)
    logging.configure(NAME, settings.log_level, settings.log_format)
    return settings


def _told(chosen: argparse.Namespace) -> list[str]:
    """Does what was chosen, with the settings that it needs; the lines to be printed."""
    if chosen.verb == "migrate":
        migrate.upgrade(_load(TableSettings).database_url(), SCHEMA, MIGRATIONS)
        return []
    if chosen.verb == "check-config":
        settings = _load(ExecutorSettings)
        settings.database_url()
        SecretBox.from_file(settings.master_key_file)
        return []
    if chosen.verb == "check-keys":
        return asyncio.run(key_verbs.report(_load(UsedKeySettings)))
    if chosen.drop:
        return [asyncio.run(key_verbs.drop(_load(UsedKeySettings), chosen.drop))]
    if chosen.use:
        return [key_verbs.use(_load(KeySettings), chosen.use)]
    return [key_verbs.add(_load(KeySettings), primary=not chosen.add_only)]


def _serve(settings: ExecutorSettings) -> int:
    async def begin(stack: AsyncExitStack) -> RpcServer:
        return await start(settings, stack)

    return serve(begin, drain_s=settings.drain_s + settings.play_drain_s)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
