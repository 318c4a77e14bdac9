"""An engine on an empty database, and the tables of a small service."""

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, text

from myx_kit.db.base import metadata
from myx_kit.db.engine import create_engine
from myx_kit.db.outbox import Outbox, outbox_table
from myx_kit.db.unit_of_work import UnitOfWork


class Shop:
    """A service with one table and an outbox."""

    def __init__(self, engine):
        self.engine = engine
        self.metadata: MetaData = metadata("shop")
        self.items = Table("items", self.metadata, Column("id", Integer, primary_key=True), Column("name", Text))
        self.outbox = Outbox(outbox_table(self.metadata))
        self.uow = UnitOfWork(engine, self.outbox)


@pytest.fixture
async def engine(postgres):
    engine = create_engine(postgres.url, pool_size=4)
    yield engine
    await engine.dispose()


@pytest.fixture
async def shop(engine):
    shop = Shop(engine)
    async with engine.begin() as connection:
        await connection.execute(text("create schema shop"))
        await connection.run_sync(shop.metadata.create_all)
    return shop
