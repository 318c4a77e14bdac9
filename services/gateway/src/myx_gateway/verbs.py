"""What the verbs of `python -m myx_gateway` do, but for serving."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO, TypeVar

from pydantic_settings import SettingsConfigDict

from myx_gateway.access import users
from myx_gateway.access.audit import Entry
from myx_gateway.access.passwords import Passwords
from myx_gateway.access.token import TokenCheck
from myx_gateway.access.trail import note
from myx_gateway.settings import GatewaySettings
from myx_gateway.store.access_records import User
from myx_gateway.store.audit import AuditStore
from myx_gateway.store.database import Database
from myx_gateway.tls import read_certificate
from myx_kit.db.engine import create_engine
from myx_kit.errors import InvalidArgument
from myx_kit.files import read_private
from myx_kit.settings import DatabaseSettings

Result = TypeVar("Result")


class TableSettings(DatabaseSettings):
    """Settings of `migrate`, as in GatewaySettings: a migration Job has no others."""

    model_config = SettingsConfigDict(env_prefix="MYX_GATEWAY_")

    first_admin_password_file: Path | None = None


def check_config(settings: GatewaySettings) -> None:
    """MyxError when a file that the settings name cannot be used."""
    TokenCheck.from_file(settings.admin_token_file)
    settings.database_url()
    if settings.first_admin_password_file is not None:
        read_private(settings.first_admin_password_file)
    if settings.tls_cert_file is not None and settings.tls_key_file is not None:
        read_certificate(settings.tls_cert_file, settings.tls_key_file)


def make_first_admin(settings: TableSettings) -> None:
    """Make the user `admin` if there was never a user and the settings name a password."""
    file = settings.first_admin_password_file
    if file is not None:
        password = read_private(file)
        _with_database(settings, lambda database, hasher: users.make_first_admin(database, hasher, password))


def set_password(settings: GatewaySettings, name: str, source: TextIO) -> str:
    """Give a user the password in the first line of `source` (asked for on a terminal); the user's name."""
    password = getpass.getpass("New password: ") if source.isatty() else source.readline().rstrip("\r\n")
    if not password:
        raise InvalidArgument("PASSWORD_WEAK", "no password was given on standard input")

    async def recover(database: Database, hasher: Passwords) -> User:
        user = await users.recover(database, hasher, name, password)
        entry = Entry("users.recover", "local", resource=user.name, status=200, details={"password": "given"})
        await note(AuditStore(database), entry)
        return user

    try:
        recovered = _with_database(settings, recover)
    except InvalidArgument as error:
        raise InvalidArgument(error.reason, f"the password {error.message}") from None
    return recovered.name


def _with_database(settings: DatabaseSettings, work: Callable[[Database, Passwords], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        engine = create_engine(settings.database_url(), 1)
        try:
            with ThreadPoolExecutor(1) as pool:
                return await work(Database(engine), Passwords(pool))
        finally:
            await engine.dispose()

    return asyncio.run(run())
