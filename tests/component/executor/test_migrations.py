"""The schema, both ways."""

from myx_executor.models.base import MIGRATIONS, SCHEMA
from myx_executor.models.tables import METADATA
from myx_kit.db import migrate


def test_the_migrations_make_the_tables_of_the_models_and_take_them_away(postgres):
    migrate.upgrade(postgres.url, SCHEMA, MIGRATIONS)
    migrate.upgrade(postgres.url, SCHEMA, MIGRATIONS)
    assert migrate.check_drift(postgres.url, METADATA) == []
    migrate.downgrade(postgres.url, SCHEMA, MIGRATIONS)
    assert len(migrate.check_drift(postgres.url, METADATA)) >= 3
    migrate.upgrade(postgres.url, SCHEMA, MIGRATIONS)
    assert migrate.check_drift(postgres.url, METADATA) == []
