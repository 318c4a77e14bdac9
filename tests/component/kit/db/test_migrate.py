"""Migrations against a real PostgreSQL: both ways, at once, and half ones."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Column, Integer, Table, Text
from sqlalchemy.exc import ProgrammingError

from myx_kit.db import revisions
from myx_kit.db.base import metadata
from myx_kit.db.migrate import check_drift, downgrade, upgrade
from myx_kit.errors import Unavailable
from myx_testkit.ports import free_port

FIRST = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0001", None
def upgrade():
    op.execute("select pg_sleep(0.2)")
    key = sa.PrimaryKeyConstraint("id", name="pk_items")
    op.create_table("items", sa.Column("id", sa.Integer, nullable=False), key, schema="shop")
def downgrade():
    op.drop_table("items", schema="shop")
"""
SECOND = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0002", "0001"
def upgrade():
    op.add_column("items", sa.Column("name", sa.Text), schema="shop")
def downgrade():
    op.drop_column("items", "name", schema="shop")
"""
BROKEN = """
from alembic import op
revision, down_revision = "0003", "0002"
def upgrade():
    op.execute("create table shop.other (id integer)")
    op.execute("nonsense")
def downgrade(): ...
"""


def tables():
    described = metadata("shop")
    Table("items", described, Column("id", Integer, primary_key=True), Column("name", Text))
    return described


@pytest.fixture
def migrations(tmp_path):
    # Spaces and signs that Alembic's options would take for their own.
    folder = tmp_path / "50% of, my files"
    (folder / "versions").mkdir(parents=True)
    (folder / "versions" / "0001_items.py").write_text(FIRST)
    (folder / "versions" / "0002_name.py").write_text(SECOND)
    return folder


def exists(postgres, table):
    with psycopg.connect(postgres.url) as connection:
        return connection.execute("select to_regclass(%s)", [table]).fetchone()[0] is not None


def test_an_empty_database_is_brought_to_the_newest_revision(postgres, migrations):
    upgrade(postgres.url, "shop", migrations)
    upgrade(postgres.url, "shop", migrations)
    assert exists(postgres, "shop.items")
    assert exists(postgres, "shop.alembic_version")
    assert not exists(postgres, "public.alembic_version")
    assert check_drift(postgres.url, tables()) == []


def test_migrations_go_back_and_forth(postgres, migrations):
    upgrade(postgres.url, "shop", migrations)
    downgrade(postgres.url, "shop", migrations, "0001")
    assert len(check_drift(postgres.url, tables())) == 1
    downgrade(postgres.url, "shop", migrations)
    assert not exists(postgres, "shop.items")
    upgrade(postgres.url, "shop", migrations)
    assert check_drift(postgres.url, tables()) == []


def test_a_release_that_is_rolled_back_leaves_what_a_newer_one_migrated(postgres, migrations):
    upgrade(postgres.url, "shop", migrations)
    (migrations / "versions" / "0002_name.py").unlink()
    revisions.newest.cache_clear()
    upgrade(postgres.url, "shop", migrations)
    assert check_drift(postgres.url, tables()) == []


def test_replicas_that_start_together_migrate_once(postgres, migrations):
    with ThreadPoolExecutor(3) as pool:
        for outcome in [pool.submit(upgrade, postgres.url, "shop", migrations) for _ in range(3)]:
            outcome.result(timeout=30)
    assert check_drift(postgres.url, tables()) == []


def test_a_migration_that_fails_leaves_nothing_behind(postgres, migrations):
    upgrade(postgres.url, "shop", migrations)
    (migrations / "versions" / "0003_broken.py").write_text(BROKEN)
    with pytest.raises(ProgrammingError):
        upgrade(postgres.url, "shop", migrations)
    assert not exists(postgres, "shop.other")
    (migrations / "versions" / "0003_broken.py").unlink()
    upgrade(postgres.url, "shop", migrations)


def test_two_schemas_of_one_database_do_not_see_each_other(postgres, migrations, tmp_path):
    upgrade(postgres.url, "shop", migrations)
    other = tmp_path / "other"
    (other / "versions").mkdir(parents=True)
    (other / "versions" / "0001_items.py").write_text(FIRST.replace('"shop"', '"store"'))
    upgrade(postgres.url, "store", other)
    assert exists(postgres, "store.items")
    assert check_drift(postgres.url, tables()) == []


def test_a_table_that_is_not_migrated_is_drift(postgres, migrations):
    upgrade(postgres.url, "shop", migrations)
    described = tables()
    Table("more", described, Column("id", Integer, primary_key=True))
    assert "more" in "".join(check_drift(postgres.url, described))


def test_no_database_is_unavailable(migrations):
    with pytest.raises(Unavailable):
        upgrade(f"postgresql://u:p@127.0.0.1:{free_port()}/x", "shop", migrations)
