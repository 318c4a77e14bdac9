"""A real PostgreSQL for tests: one server a session, one empty database a test."""

import secrets
from pathlib import Path

import psycopg

from myx_standalone.postgres import STOP_SIGNAL, Cluster, accepts_logins
from myx_testkit.ports import free_port
from myx_testkit.process import Program
from myx_testkit.wait import until_sync


class PostgresServer:
    """A server on a throw-away folder, without fsync. It keeps its port over kill9() and restart()."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(folder, durable=False)
        self.port = free_port()
        self.program = Program(
            "postgres", self.cluster.argv(self.port), folder / "postgres.log", self.cluster.environment(), Path("/")
        )

    def start(self) -> None:
        """Make the data folder at the first time, start, and wait until logins are accepted."""
        self.cluster.initialise()
        self.program.start()
        until_sync(
            lambda: accepts_logins(self.port) or not self.program.is_running(), 30, what="PostgreSQL accepts logins"
        )
        assert self.program.is_running(), self.program.output()

    def kill9(self) -> None:
        """SIGKILL of all its processes."""
        self.program.kill9(with_children=True)
        self.cluster.clear_stale_lock()

    def stop(self) -> None:
        """A clean stop."""
        self.program.stop(STOP_SIGNAL, 20)

    def restart(self) -> None:
        """Start again after kill9() or stop(); the same port, all committed data."""
        self.start()

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run one statement as superuser, outside a transaction."""
        with psycopg.connect(self.cluster.url(self.port, database), autocommit=True) as connection:
            connection.execute(statement.encode())


class Database:
    """An empty database with its own login role, which owns it. `url_file` (600) holds `url`."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server = server
        self.name = f"test_{secrets.token_hex(4)}"
        password = secrets.token_hex(16)
        server.execute(f"create role {self.name} login password '{password}'")
        server.execute(f"create database {self.name} owner {self.name} strategy file_copy template template0")
        self.url = server.cluster.url(server.port, self.name, self.name, password)
        self.superuser_url = server.cluster.url(server.port, self.name)
        self.url_file = folder / f"{self.name}.url"
        self.url_file.touch(0o600)
        self.url_file.write_text(self.url)

    def drop(self) -> None:
        """Remove the database, whoever is still connected; brings a killed server back for it."""
        if not self.server.program.is_running():
            self.server.restart()
        self.server.execute(f"drop database if exists {self.name} with (force)")
        self.server.execute(f"drop role {self.name}")

    def kill9(self) -> None:
        """SIGKILL of the whole server (all databases of the session)."""
        self.server.kill9()

    def restart(self) -> None:
        """The server again, on the same port."""
        self.server.restart()
