"""What operators do with the master key file, in words for a terminal."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from pydantic_settings import SettingsConfigDict

from myx_kit import master_keys
from myx_kit.db.engine import create_engine
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import FailedPrecondition
from myx_kit.secretbox import SecretBox
from myx_kit.settings import DatabaseSettings, MasterKeySettings
from myx_registry.usecases.resealing import Resealing


class KeySettings(MasterKeySettings):
    """Settings of verbs that change the file alone."""

    model_config = SettingsConfigDict(env_prefix="MYX_REGISTRY_")


class UsedKeySettings(KeySettings, DatabaseSettings):
    """Settings of verbs that look what is sealed with a key."""

    model_config = SettingsConfigDict(env_prefix="MYX_REGISTRY_")


async def report(settings: UsedKeySettings) -> list[str]:
    """A line for each key: what is sealed with it and whether it may be dropped."""
    box = SecretBox.from_file(settings.master_key_file)
    counts = await _counts(settings, box)
    return [_line(key_id, box, counts.get(key_id, Counter())) for key_id in sorted(box.key_ids | counts.keys())]


def add(settings: KeySettings, *, primary: bool) -> str:
    """Adds a key; one sentence about it."""
    key_id = master_keys.add_key(settings.master_key_file, primary=primary)
    path = settings.master_key_file
    if primary:
        return (
            f"{key_id} was added to {path} and seals from now on. Keep a copy of the file as you keep the database's."
        )
    return f"{key_id} was added to {path}. Once every replica has it: rotate-master-key --use {key_id}"


def use(settings: KeySettings, key_id: str) -> str:
    """Makes a key primary; one sentence about it."""
    master_keys.use_key(settings.master_key_file, key_id)
    return f"{key_id} seals from now on."


async def drop(settings: UsedKeySettings, key_id: str) -> str:
    """Drops a key that nothing is sealed with; one sentence about it. FailedPrecondition `MASTER_KEY_IN_USE`."""
    box = SecretBox.from_file(settings.master_key_file)
    used = (await _counts(settings, box)).get(key_id, Counter()).total()
    if used:
        raise FailedPrecondition(
            "MASTER_KEY_IN_USE", f"{used} stored secrets are sealed with {key_id}; a running registry seals them again."
        )
    master_keys.drop_key(settings.master_key_file, key_id)
    return f"{key_id} is no longer in {settings.master_key_file}."


def _line(key_id: str, box: SecretBox, tables: Counter[str]) -> str:
    told = ", ".join(f"{count} in {table}" for table, count in sorted(tables.items())) or "nothing"
    if key_id not in box.key_ids:
        return f"{key_id}: {told}; NOT IN THE FILE: these secrets cannot be opened"
    if key_id == box.primary:
        return f"{key_id} (primary): {told}"
    return f"{key_id}: {told}" + ("" if tables.total() else "; may be dropped")


async def _counts(settings: UsedKeySettings, box: SecretBox) -> Mapping[str, Counter[str]]:
    async with _unit_of_work(settings) as uow:
        return await Resealing(uow, box).counts()


@asynccontextmanager
async def _unit_of_work(settings: UsedKeySettings) -> AsyncIterator[UnitOfWork]:
    engine = create_engine(settings.database_url(), 1)
    try:
        yield UnitOfWork(engine)
    finally:
        await engine.dispose()
