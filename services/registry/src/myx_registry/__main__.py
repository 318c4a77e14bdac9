"""`python -m myx_registry VERB`: settings from the environment (MYX_REGISTRY_*), only those that the verb needs.

Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong settings or usage.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pydantic_settings import SettingsConfigDict

from myx_kit.errors import MyxError
from myx_kit.lifecycle import serve
from myx_kit.secretbox import SecretBox
from myx_kit.settings import DatabaseSettings
from myx_registry import app, key_verbs, migrations
from myx_registry.key_verbs import KeySettings, UsedKeySettings
from myx_registry.settings import RegistrySettings


class TableSettings(DatabaseSettings):
    """Settings of `migrate`: a migration Job has no others."""

    model_config = SettingsConfigDict(env_prefix="MYX_REGISTRY_")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the verbs; the exit code. `arguments` are those of the process unless given."""
    chosen = _parser().parse_args(arguments)
    if chosen.verb == "serve":
        settings = RegistrySettings.begin(app.NAME)
        return serve(lambda stack: app.start(settings, stack), drain_s=settings.drain_s)
    try:
        _VERBS[chosen.verb](chosen)
    except MyxError as error:
        sys.stderr.write(f"{error.message} ({error.reason})\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m myx_registry", description="Who exists and how to reach them.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("serve", help="serve gRPC until SIGTERM")
    migrate = verbs.add_parser("migrate", help="bring the database schema up to date")
    migrate.add_argument("--down-to", metavar="REVISION", help="take it back to this revision instead; base: nothing")
    verbs.add_parser("check-config", help="check the settings and the files that they name")
    verbs.add_parser("check-keys", help="say how many stored secrets are sealed with which master key")
    rotate = verbs.add_parser(
        "rotate-master-key",
        help="add a master key to the file and let it seal from now on",
        description="A running registry takes the file within seconds and seals everything again; check-keys says when "
        "the old key may be dropped. Where replicas get the file at different times, add first, and use later.",
    )
    what = rotate.add_mutually_exclusive_group()
    what.add_argument("--add-only", action="store_true", help="add a key that only opens, so that all replicas know it")
    what.add_argument("--use", metavar="ID", help="let a key that is there seal from now on")
    what.add_argument("--drop", metavar="ID", help="take a key out of the file, if nothing is sealed with it any more")
    return parser


def _migrate(chosen: argparse.Namespace) -> None:
    url = TableSettings.begin(app.NAME, RegistrySettings).database_url()
    if chosen.down_to:
        migrations.downgrade(url, chosen.down_to)
    else:
        migrations.upgrade(url)


def _check_config(_: argparse.Namespace) -> None:
    settings = RegistrySettings.begin(app.NAME)
    settings.database_url()
    SecretBox.from_file(settings.master_key_file)


def _check_keys(_: argparse.Namespace) -> None:
    for line in asyncio.run(key_verbs.report(UsedKeySettings.begin(app.NAME, RegistrySettings))):
        sys.stdout.write(f"{line}\n")


def _rotate(chosen: argparse.Namespace) -> None:
    if chosen.drop:
        told = asyncio.run(key_verbs.drop(UsedKeySettings.begin(app.NAME, RegistrySettings), chosen.drop))
    elif chosen.use:
        told = key_verbs.use(KeySettings.begin(app.NAME, RegistrySettings), chosen.use)
    else:
        told = key_verbs.add(KeySettings.begin(app.NAME, RegistrySettings), primary=not chosen.add_only)
    sys.stdout.write(f"{told}\n")


_VERBS: Final[Mapping[str, Callable[[argparse.Namespace], None]]] = {
    "migrate": _migrate,
    "check-config": _check_config,
    "check-keys": _check_keys,
    "rotate-master-key": _rotate,
}


if __name__ == "__main__":
    sys.exit(main())
