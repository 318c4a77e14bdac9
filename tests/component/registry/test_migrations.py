from concurrent.futures import ThreadPoolExecutor

import psycopg

from myx_registry import migrations
from myx_testkit.postgres import Database


def tables(postgres: Database) -> set[str]:
    with psycopg.connect(postgres.url) as connection:
        rows = connection.execute("select tablename from pg_tables where schemaname = 'registry'").fetchall()
    return {row[0] for row in rows}


def test_the_migrations_make_what_the_models_say(postgres: Database) -> None:
    migrations.upgrade(postgres.url)
    assert migrations.drift(postgres.url) == []


def test_the_migrations_go_down_to_nothing_and_up_again(postgres: Database) -> None:
    migrations.upgrade(postgres.url)
    assert tables(postgres) == {"server", "agent", "credential", "maintenance", "outbox", "alembic_version"}
    migrations.downgrade(postgres.url)
    assert tables(postgres) == {"alembic_version"}
    migrations.upgrade(postgres.url)
    assert migrations.drift(postgres.url) == []


def test_replicas_may_migrate_at_once(postgres: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrations.upgrade(postgres.url), range(4)))
    assert migrations.drift(postgres.url) == []


def test_all_tables_live_in_the_schema_of_the_service(postgres: Database) -> None:
    migrations.upgrade(postgres.url)
    with psycopg.connect(postgres.url) as connection:
        rows = connection.execute(
            "select distinct schemaname from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
        ).fetchall()
    assert rows == [("registry",)]
