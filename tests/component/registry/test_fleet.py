"""A fleet of 10,000: what lists and heartbeats cost."""

import time
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
import sqlalchemy as sa
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from myx.registry.v1 import agent_pb2, server_service_pb2
from myx.registry.v1 import agent_service_pb2 as pb
from myx_kit.db.engine import create_engine, psycopg_url
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.ids import new_id
from myx_kit.master_keys import add_key
from myx_kit.secretbox import SecretBox
from myx_registry import models
from myx_registry.domain import ports
from myx_registry.domain.agents import AgentSecrets
from myx_registry.usecases.resealing import Resealing
from myx_registry.usecases.vault import Vault

pytestmark = pytest.mark.asyncio(loop_scope="module")

FLEET = 10_000
OUTAGE = 1_000
T0 = datetime.now(UTC) - timedelta(hours=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(registry) -> list[str]:
    """The ids of 10,000 agents, written straight into the tables."""
    vault = Vault(SecretBox.from_file(registry.settings.master_key_file))
    secrets = AgentSecrets(agent_token="t" * 43, secret_key="s" * 43, rpc_path="p" * 24, private_key_pem="k" * 241)
    servers, agents = [], []
    for number, port in zip(range(FLEET), ports.ALLOWED, strict=False):
        server_id, agent_id = new_id(), new_id()
        sealed = vault.seal(agent_id, secrets)
        servers.append(
            {
                "id": server_id,
                "name": f"host-{number:05}",
                "address": f"10.0.{number // 256}.{number % 256}",
                "labels": {"role": "web"},
                "revision": 1,
                "created_at": T0,
                "updated_at": T0,
            }
        )
        agents.append(
            {
                "id": agent_id,
                "server_id": server_id,
                "rpc_port": port,
                "certificate_sha256": "0" * 64,
                "certificate_pem": "c" * 600,
                "sealed_agent_token": sealed.agent_token,
                "sealed_secret_key": sealed.secret_key,
                "sealed_rpc_path": sealed.rpc_path,
                "sealed_private_key": sealed.private_key,
                "revision": 1,
                "status": "online",
                "status_reason": "",
                "status_message": "",
                "status_since": T0,
                "version": "",
                "rpc_supported": False,
                "failure_streak": 0,
                "last_attempts": [],
                "created_at": T0,
            }
        )
    engine = sa.create_engine(psycopg_url(registry.database.url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.insert(models.server), servers)
        connection.execute(sa.insert(models.agent), agents)
    return [str(agent["id"]) for agent in agents]


def reports(agent_ids: list[str], second: int, status: int) -> pb.ReportHeartbeatsRequest:
    checked_at = Timestamp()
    checked_at.FromDatetime(T0 + timedelta(seconds=second))
    facts = agent_pb2.AgentFacts(
        hostname="host.example.org",
        os="Debian GNU/Linux 13 (trixie)",
        kernel="6.12.48",
        cpus=8,
        load_1m=0.5,
        memory_total_bytes=1 << 34,
        disks=[agent_pb2.Disk(mount="/", total_bytes=1 << 40, free_bytes=1 << 39)] * 3,
    )
    online = {"facts": facts, "version": "0.1.0", "latency": Duration(nanos=20_000_000)}
    return pb.ReportHeartbeatsRequest(
        reports=[
            pb.HeartbeatReport(
                agent_id=agent_id,
                checked_at=checked_at,
                status=status,
                attempts=[agent_pb2.CallAttempt(at=checked_at)],
                **(online if status == agent_pb2.AGENT_STATUS_ONLINE else {"cause": "refused"}),
            )
            for agent_id in agent_ids
        ]
    )


async def test_a_fleet_is_read_in_pages_and_reported_in_batches_at_sane_cost(registry, fleet, record_property) -> None:
    started = time.monotonic()
    found, token = [], ""
    while token or not found:
        request = pb.ListAgentEndpointsRequest(page_size=1000, page_token=token)
        page = await registry.client("heartbeat").agents.ListAgentEndpoints(request)
        found += [endpoint.agent_id for endpoint in page.endpoints]
        token = page.next_page_token
    listed_s = time.monotonic() - started
    assert found == sorted(fleet)

    client = registry.client("heartbeat").agents
    rounds = {}
    for second, name, status, count in (
        (1, "steady", agent_pb2.AGENT_STATUS_ONLINE, FLEET),
        (2, "outage", agent_pb2.AGENT_STATUS_OFFLINE, OUTAGE),
    ):
        requests = [reports(found[first : first + 500], second, status) for first in range(0, count, 500)]
        started = time.monotonic()
        for request in requests:
            assert not (await client.ReportHeartbeats(request)).unknown_agent_ids
        rounds[name] = time.monotonic() - started

    started = time.monotonic()
    names, offline, token = [], 0, ""
    while token or not names:
        request = server_service_pb2.ListServersRequest(page_size=1000, page_token=token)
        servers = await registry.client("gateway").servers.ListServers(request)
        offline += sum(server.agent.status == agent_pb2.AGENT_STATUS_OFFLINE for server in servers.servers)
        names += [server.name for server in servers.servers]
        token = servers.next_page_token
    shown_s = time.monotonic() - started
    assert names == sorted(names)
    assert len(names) == FLEET

    assert offline == OUTAGE

    record_property("seconds", {"endpoints": listed_s, "servers": shown_s, **rounds})
    # Ten times what a loaded machine needs; a cost that grows with the square of the fleet is far above.
    assert listed_s < 30
    assert shown_s < 60
    assert rounds["steady"] < 60
    assert rounds["outage"] < 60


async def test_a_fleet_is_sealed_again_while_its_heartbeats_are_reported(registry, fleet, record_property) -> None:
    client = registry.client("heartbeat").agents
    engine = create_engine(registry.database.url, 1)
    resealing = Resealing(UnitOfWork(engine), SecretBox.from_file(registry.settings.master_key_file))
    key_id = add_key(registry.settings.master_key_file)
    started, second, slowest_s = time.monotonic(), 10, 0.0
    while set(await resealing.counts()) != {key_id}:
        second += 1
        for first in range(0, FLEET, 500):
            request = reports(fleet[first : first + 500], second, agent_pb2.AGENT_STATUS_ONLINE)
            before = time.monotonic()
            assert not (await client.ReportHeartbeats(request)).unknown_agent_ids
            slowest_s = max(slowest_s, time.monotonic() - before)
        assert second < 100
    record_property("seconds", {"resealed": time.monotonic() - started, "slowest_batch": slowest_s})
    await engine.dispose()
