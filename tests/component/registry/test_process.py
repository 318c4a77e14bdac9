"""The registry as its own process: start, stop, and life without its database or its event bus."""

import asyncio
import json
import os
import ssl
import subprocess
import sys
import time
from pathlib import Path

import nats as nats_client
import psycopg
import pytest
import pytest_asyncio

from myx.events.v1.events_pb2 import Event
from myx.registry.v1 import agent_service_pb2 as agent_pb
from myx.registry.v1 import server_service_pb2 as pb
from myx.registry.v1.agent_service_pb2_grpc import AgentServiceStub
from myx.registry.v1.credential_pb2 import CredentialSecret
from myx.registry.v1.server_service_pb2_grpc import ServerServiceStub
from myx_kit.errors import InvalidArgument, MyxError, Unavailable
from myx_kit.events.subjects import EVENT_STREAM
from myx_kit.rpc.client import open_channel
from myx_kit.secretbox import SecretBox
from myx_registry import migrations
from myx_testkit.nats import NatsServer
from myx_testkit.ports import free_port
from myx_testkit.postgres import Database
from myx_testkit.process import Program
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def environment(postgres: Database, nats: NatsServer, tls_dir: Path, tmp_path: Path) -> dict[str, str]:
    SecretBox.create_file(tmp_path / "master.json")
    return {
        "PATH": os.environ["PATH"],
        "MYX_REGISTRY_LISTEN": f"127.0.0.1:{free_port()}",
        "MYX_REGISTRY_HTTP_LISTEN": f"127.0.0.1:{free_port()}",
        "MYX_REGISTRY_TLS_DIR": str(tls_dir),
        "MYX_REGISTRY_DATABASE_URL_FILE": str(postgres.url_file),
        "MYX_REGISTRY_NATS_URL": nats.url,
        "MYX_REGISTRY_MASTER_KEY_FILE": str(tmp_path / "master.json"),
        "MYX_REGISTRY_START_WAIT_S": "20",
        "MYX_REGISTRY_DRAIN_S": "2",
    }


@pytest.fixture
def program(environment: dict[str, str], tmp_path: Path):
    program = Program(
        "registry", [sys.executable, "-m", "myx_registry", "serve"], tmp_path / "registry.log", environment
    )
    yield program
    if program.is_running():
        program.kill9()


@pytest_asyncio.fixture(loop_scope="module")
async def channel(environment: dict[str, str], tls_dir: Path):
    channel = open_channel(environment["MYX_REGISTRY_LISTEN"], tls_dir, "standalone", "registry")
    yield channel
    await channel.close()


async def answers(stub: ServerServiceStub) -> bool:
    try:
        await stub.ListServers(pb.ListServersRequest(page_size=1), timeout=2)
    except MyxError:
        return False
    return True


async def create(stub: ServerServiceStub, name: str) -> str:
    return (await stub.CreateServer(pb.CreateServerRequest(name=name, address="192.0.2.7"), timeout=10)).server.id


def verb(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A verb of the program, run to its end."""
    command = [sys.executable, "-m", "myx_registry", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


async def http_status(environment: dict[str, str], path: str) -> int:
    host, port = environment["MYX_REGISTRY_HTTP_LISTEN"].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


async def stored_server_ids(nats: NatsServer, tls_dir: Path, count: int) -> list[str]:
    """The servers of all events in the stream, which must be `count`."""
    context = ssl.create_default_context(cafile=str(tls_dir / "ca.crt"))
    context.load_cert_chain(tls_dir / "executor.crt", tls_dir / "executor.key")
    client = await nats_client.connect(nats.url, tls=context, tls_hostname="nats")
    stream = client.jetstream()
    assert (await stream.stream_info(EVENT_STREAM)).state.messages == count
    stored = [await stream.get_msg(EVENT_STREAM, sequence) for sequence in range(1, count + 1)]
    await client.close()
    return [Event.FromString(message.data).server_created.server_id for message in stored]


async def test_it_waits_for_its_schema_serves_and_stops_cleanly(program, channel, environment) -> None:
    stub = ServerServiceStub(channel)
    program.start()
    await until(lambda: "SCHEMA_MISSING" in program.output() or "retry" in program.output(), 20)
    assert program.is_running()
    done = verb(environment, "migrate")
    assert done.returncode == 0, done.stderr
    await until(lambda: answers(stub), 20)
    assert await http_status(environment, "/readyz") == 200
    started = time.monotonic()
    assert program.stop() == 0
    assert time.monotonic() - started < 4


async def test_it_waits_for_the_newest_migration_and_serves_with_a_newer_one(
    program, channel, environment, postgres
) -> None:
    stub = ServerServiceStub(channel)
    migrations.upgrade(postgres.url, "0002")
    program.start()
    await until(lambda: "SCHEMA_OUTDATED" in program.output() or "retry" in program.output(), 20)
    await asyncio.sleep(1)
    assert program.is_running()
    assert not await answers(stub)
    migrations.upgrade(postgres.url)
    await until(lambda: answers(stub), 20)
    assert program.stop() == 0
    with psycopg.connect(postgres.url) as connection:
        connection.execute("update registry.alembic_version set version_num = '0999'")
    program.start()
    await until(lambda: answers(stub), 20)
    assert program.stop() == 0


async def test_a_schema_that_stays_behind_is_said(environment, postgres) -> None:
    migrations.upgrade(postgres.url, "0002")
    done = verb(environment | {"MYX_REGISTRY_START_WAIT_S": "0.5"}, "serve")
    assert done.returncode == 1
    assert "SCHEMA_OUTDATED" in done.stderr
    assert "must be at 0004" in done.stderr


async def test_verbs_need_only_the_settings_that_they_use(environment, postgres, tmp_path) -> None:
    database = {"MYX_REGISTRY_DATABASE_URL_FILE": str(postgres.url_file)}
    keys = {"MYX_REGISTRY_MASTER_KEY_FILE": environment["MYX_REGISTRY_MASTER_KEY_FILE"]}
    path = {"PATH": environment["PATH"]}
    migrated = verb(path | database, "migrate")
    assert (migrated.returncode, migrations.drift(postgres.url)) == (0, []), migrated.stderr
    key_id = verb(path | keys, "rotate-master-key", "--add-only").stdout.split()[0]
    assert verb(path | keys, "rotate-master-key", "--use", key_id).returncode == 0
    assert f"{key_id} (primary)" in verb(path | keys | database, "check-keys").stdout
    assert verb(path | keys | database, "rotate-master-key", "--drop", "k1").returncode == 0
    refused = verb(path | keys, "rotate-master-key", "--drop", key_id)
    assert (refused.returncode, refused.stderr) == (2, "MYX_REGISTRY_DATABASE_URL_FILE: is required\n")


async def test_the_database_dies_and_comes_back(program, channel, environment, postgres) -> None:
    migrations.upgrade(postgres.url)
    stub = ServerServiceStub(channel)
    program.start()
    await until(lambda: answers(stub), 20)
    made = await create(stub, "before")
    await asyncio.gather(*(answers(stub) for _ in range(16)))
    postgres.kill9()
    with pytest.raises(Unavailable, match="DATABASE_UNAVAILABLE"):
        await create(stub, "meanwhile")
    postgres.restart()
    await until(lambda: answers(stub), 10)
    assert await create(stub, "after") != made
    assert [outcome for outcome in await asyncio.gather(*(answers(stub) for _ in range(32))) if not outcome] == []
    assert program.stop() == 0


async def test_events_wait_for_the_event_bus(program, channel, postgres, nats, tls_dir) -> None:
    migrations.upgrade(postgres.url)
    stub = ServerServiceStub(channel)
    nats.kill9()
    program.start()
    await until(lambda: answers(stub), 20)
    made = [await create(stub, f"server-{number}") for number in range(5)]
    nats.restart()
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        await until(lambda: connection.execute("select count(*) from registry.outbox").fetchone() == (0,), 20)
    assert await stored_server_ids(nats, tls_dir, len(made)) == made
    assert program.stop() == 0


async def test_no_secret_is_logged(program, channel, environment, postgres) -> None:
    migrations.upgrade(postgres.url)
    stub = ServerServiceStub(channel)
    environment["MYX_REGISTRY_LOG_LEVEL"] = "debug"
    program.start()
    await until(lambda: answers(stub), 20)
    await create(stub, "web-1")
    made = await AgentServiceStub(channel).AllocateAgent(agent_pb.AllocateAgentRequest(server="web-1"), timeout=10)
    own = CredentialSecret(password="hidden-password", sudo_password="hidden-sudo")
    await stub.CreateServer(pb.CreateServerRequest(name="web-2", address="192.0.2.8", own_credential=own), timeout=10)
    bad = CredentialSecret(private_key="hidden-key", passphrase="hidden-phrase")
    with pytest.raises(InvalidArgument):
        await stub.CreateServer(
            pb.CreateServerRequest(name="web-3", address="192.0.2.8", own_credential=bad), timeout=10
        )
    assert verb(environment, "rotate-master-key").returncode == 0
    await until(lambda: "resealing_ended" in program.output(), 20)
    postgres.kill9()
    assert not await answers(stub)
    postgres.restart()
    await until(lambda: answers(stub), 10)
    program.stop()
    output = program.log.read_text()
    password = postgres.url.split(":")[2].split("@")[0]
    agent = (made.agent_token, made.secret_key, made.rpc_path, made.private_key_pem.splitlines()[1])
    keys = json.loads(Path(environment["MYX_REGISTRY_MASTER_KEY_FILE"]).read_text())["keys"].values()
    for secret in (*agent, *keys, password, "hidden-password", "hidden-sudo", "hidden-key", "hidden-phrase"):
        assert secret not in output


async def test_an_operator_rotates_the_master_key_of_a_running_registry(
    program, channel, environment, postgres
) -> None:
    migrations.upgrade(postgres.url)
    stub, agents = ServerServiceStub(channel), AgentServiceStub(channel)
    request = agent_pb.AllocateAgentRequest(server="web-1")
    program.start()
    await until(lambda: answers(stub), 20)
    await create(stub, "web-1")
    made = await agents.AllocateAgent(request, timeout=10)
    assert verb(environment, "check-keys").stdout == "k1 (primary): 4 in agent\n"
    added = verb(environment, "rotate-master-key")
    assert (added.returncode, added.stderr) == (0, "")
    key_id = added.stdout.split()[0]
    await until(lambda: "k1: nothing; may be dropped" in verb(environment, "check-keys").stdout, 30)
    assert verb(environment, "rotate-master-key", "--drop", "k1").returncode == 0
    assert verb(environment, "check-keys").stdout == f"{key_id} (primary): 4 in agent\n"
    refused = verb(environment, "rotate-master-key", "--drop", key_id)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "MASTER_KEY_IN_USE" in refused.stderr
    program.kill9()
    program.start()
    await until(lambda: answers(stub), 20)
    made.created = False
    assert await agents.AllocateAgent(request, timeout=10) == made
    assert program.stop() == 0
