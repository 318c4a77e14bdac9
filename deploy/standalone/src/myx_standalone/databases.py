"""The database and the roles in it, one role a service."""

import psycopg
from psycopg import sql

from myx_kit.files import write_private
from myx_standalone.home import Home
from myx_standalone.postgres import Cluster

DATABASE = "myx"
SERVICES = ("registry", "executor")


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
        connection.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(DATABASE)))
        granted = sql.SQL(", ").join(sql.Identifier(service) for service in SERVICES)
        connection.execute(
            sql.SQL("grant connect, temporary, create on database {} to {}").format(sql.Identifier(DATABASE), granted)
        )
