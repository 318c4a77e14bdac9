"""The database, the roles in it (one a service), and which tables are up to date."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from myx_kit.files import write_private
from myx_standalone.home import Home
from myx_standalone.postgres import Cluster

DATABASE = "myx"
SERVICES = ("registry", "executor", "heartbeat", "gateway")


def write_urls(home: Home, cluster: Cluster, port: int) -> None:
    """Write each service's connection string (mode 600)."""
    for service in SERVICES:
        url = cluster.url(port, DATABASE, service, home.database_password(service))
        write_private(home.database_url_file(service), url + "\n")


def ensure_databases(home: Home, cluster: Cluster, port: int) -> None:
    """Make database and roles as far as they are missing. A role may make its own schema and sees no other's tables."""
    with psycopg.connect(cluster.url(port), autocommit=True) as connection:
        roles = {name for (name,) in connection.execute("select rolname from pg_roles")}
        for service in SERVICES:
            if service not in roles:
                connection.execute(sql.SQL("create role {} login").format(sql.Identifier(service)))
            password = home.database_password(service).encode()
            verifier = connection.pgconn.encrypt_password(password, service.encode(), b"scram-sha-256").decode()
            connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(service), verifier))
        if not connection.execute("select from pg_database where datname = %s", (DATABASE,)).rowcount:
            connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(DATABASE)))
        for database in (DATABASE, "postgres", "template1"):
            connection.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(database)))
        granted = sql.SQL(", ").join(sql.Identifier(service) for service in SERVICES)
        connection.execute(
            sql.SQL("grant connect, temporary, create on database {} to {}").format(sql.Identifier(DATABASE), granted)
        )


def unmigrated(cluster: Cluster, port: int) -> list[str]:
    """The services whose tables were not made by the migrations that are installed now, by what is noted about them.

    Asking Alembic would take a process and a second for each. The note lies with the data that it is about.
    """
    with psycopg.connect(cluster.url(port, DATABASE), autocommit=True) as connection:
        connection.execute("create schema if not exists standalone")
        connection.execute("create table if not exists standalone.migrated (service text primary key, migrations text)")
        query = "select service, migrations from standalone.migrated join pg_namespace on nspname = service"
        done: dict[str, str] = dict(connection.execute(query).fetchall())
    return [service for service in SERVICES if done.get(service) != _digest_of_migrations(service)]


def mark_migrated(cluster: Cluster, port: int, services: list[str]) -> None:
    """Note that these services' migrations have run."""
    with psycopg.connect(cluster.url(port, DATABASE)) as connection:
        for service in services:
            statement = (
                "insert into standalone.migrated values (%s, %s) on conflict (service) do update set migrations = %s"
            )
            digest = _digest_of_migrations(service)
            connection.execute(statement, (service, digest, digest))


def _digest_of_migrations(service: str) -> str:
    digest, spec = hashlib.sha256(), find_spec(f"myx_{service}")
    for place in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(place).glob("migrations/versions/*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
