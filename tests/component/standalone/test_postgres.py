import socket

import psycopg
import pytest

from myx_standalone.postgres import accepts_logins
from myx_testkit.postgres import Database


def test_a_database_is_reached_with_its_password_only(postgres: Database) -> None:
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("select current_user = current_database()").fetchone() == (True,)
    without = f"postgresql://{postgres.name}@127.0.0.1:{postgres.server.port}/{postgres.name}"
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(without)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(without, password="guess")


def test_committed_rows_are_there_after_kill_9(postgres: Database) -> None:
    with psycopg.connect(postgres.url) as connection:
        connection.execute("create table t as select 1 as x")
    postgres.kill9()
    assert not accepts_logins(postgres.server.port)
    postgres.restart()
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("select x from t").fetchone() == (1,)


def test_nothing_but_loopback_is_listened_on(postgres: Database) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.2", postgres.server.port))
