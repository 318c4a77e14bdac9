"""Executors and a database whose tables are older or newer than they are."""

import subprocess
import sys

import psycopg
import pytest
from executor_world import Executor

from myx_executor.models.base import MIGRATIONS, SCHEMA
from myx_kit.db import migrate


@pytest.fixture
def one(tmp_path, tls_dir, postgres, nats, registry):
    one = Executor(tmp_path / "one", tls_dir, postgres, nats.url, registry, database_wait_s=0.5)
    yield one
    if one.program.is_running():
        one.program.kill9()


def served(executor):
    argv = [sys.executable, "-m", "myx_executor", "serve"]
    return subprocess.run(argv, env=executor.environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_database_before_the_newest_migration_is_not_served(one, postgres):
    migrate.upgrade(postgres.url, SCHEMA, MIGRATIONS, "0005")
    done = served(one)
    assert done.returncode == 1
    assert "SCHEMA_OUTDATED" in done.stderr
    assert "must be at 0007" in done.stderr


async def test_a_database_of_a_newer_version_is_served(one, postgres):
    migrate.upgrade(postgres.url, SCHEMA, MIGRATIONS)
    with psycopg.connect(postgres.url) as connection:
        connection.execute("update executor.alembic_version set version_num = '0999'")
    one.program.start()
    one.wait()
    assert one.program.stop() == 0
