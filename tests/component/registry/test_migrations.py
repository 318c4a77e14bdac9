from concurrent.futures import ThreadPoolExecutor

import psycopg

from myx_registry import migrations, models
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
    assert tables(postgres) == {table.name for table in models.metadata.tables.values()} | {"alembic_version"}
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


def test_servers_and_agents_of_the_first_version_keep_all_and_get_the_defaults(postgres: Database) -> None:
    migrations.upgrade(postgres.url, "0001")
    with psycopg.connect(postgres.url) as connection:
        connection.execute(
            "insert into registry.server (id, name, address, labels, revision, created_at, updated_at)"
            " values (gen_random_uuid(), 'web-1', '192.0.2.7', '{}', 1, now(), now())"
        )
        connection.execute(
            "insert into registry.agent (id, server_id, rpc_port, certificate_sha256, certificate_pem,"
            " sealed_agent_token, sealed_secret_key, sealed_rpc_path, sealed_private_key, revision, status,"
            " status_reason, status_message, status_since, version, rpc_supported, failure_streak, last_attempts,"
            " created_at) select gen_random_uuid(), id, 9000, '', '', '', '', '', '', 1, 'pending', '', '', now(), '',"
            " false, 0, '[]', now() from registry.server"
        )
    migrations.upgrade(postgres.url)
    with psycopg.connect(postgres.url) as connection:
        found = connection.execute(
            "select name, ssh_port, ssh_sudo, repair_policy, accept_new_host_key, ssh_jump_server_ids, rotation_id"
            " from registry.server s join registry.agent a on a.server_id = s.id"
        ).fetchone()
        assert found == ("web-1", 22, "auto", "automatic", False, [], None)
        connection.execute("update registry.server set ssh_port = 2222, host_key_fingerprint = 'SHA256:x'")
    migrations.downgrade(postgres.url, "0001")
    with psycopg.connect(postgres.url) as connection:
        rows = connection.execute("select s.name from registry.server s join registry.agent a on a.server_id = s.id")
        assert rows.fetchall() == [("web-1",)]
    assert tables(postgres) == {"server", "agent", "outbox", "alembic_version"}
    migrations.upgrade(postgres.url)
    assert migrations.drift(postgres.url) == []
