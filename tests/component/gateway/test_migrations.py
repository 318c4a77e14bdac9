"""The schema of the gateway's own database."""

from concurrent.futures import ThreadPoolExecutor

import psycopg

from myx_gateway import migrations, models
from myx_testkit.postgres import Database


def tables(postgres: Database) -> set[str]:
    """The names of all tables that there are."""
    with psycopg.connect(postgres.url) as connection:
        rows = connection.execute("select tablename from pg_tables where schemaname = 'gateway'").fetchall()
    return {row[0] for row in rows}


def test_the_migrations_go_both_ways_and_make_what_the_models_say(postgres: Database) -> None:
    migrations.upgrade(postgres.url)
    assert migrations.drift(postgres.url) == []
    assert tables(postgres) >= {table.name for table in models.metadata.tables.values()}
    migrations.downgrade(postgres.url)
    assert tables(postgres) == {"alembic_version"}
    migrations.upgrade(postgres.url)
    assert migrations.drift(postgres.url) == []


def test_replicas_may_migrate_at_once(postgres: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrations.upgrade(postgres.url), range(4)))
    assert migrations.drift(postgres.url) == []
