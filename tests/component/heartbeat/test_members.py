"""Replicas share the fleet by leases in PostgreSQL."""

import aiohttp
import psycopg
import pytest

from myx.heartbeat.v1 import heartbeat_service_pb2
from myx.heartbeat.v1.heartbeat_service_pb2_grpc import HeartbeatServiceStub
from myx.registry.v1.agent_pb2 import AGENT_STATUS_OFFLINE
from myx_heartbeat import migrations
from myx_heartbeat.models import SCHEMA, metadata
from myx_kit.db import migrate
from myx_kit.errors import PermissionDenied
from myx_kit.rpc.client import open_channel, translate_errors
from myx_testkit.ports import free_port
from myx_testkit.wait import until

STATUS = heartbeat_service_pb2.GetStatusRequest()
AGENTS = 40


@pytest.fixture
def shared(postgres, start):
    """Starts replicas that share one database."""
    migrations.upgrade(postgres.url)

    async def run():
        return await start(database_url_file=postgres.url_file, member_lease_s=1, member_renew_s=0.2)

    return run


async def agents_of(replica):
    return (await replica.stub.GetStatus(STATUS)).agents


async def holds(replica, count):
    return await agents_of(replica) == count


async def members_of(replica):
    return (await replica.stub.GetStatus(STATUS)).members


async def divided(one, two):
    counts = await agents_of(one), await agents_of(two)
    return sum(counts) == AGENTS and min(counts) > 0


async def test_the_schema_is_that_of_the_models(postgres):
    migrations.upgrade(postgres.url)
    assert migrations.drift(postgres.url) == []
    migrations.downgrade(postgres.url)
    assert migrate.check_drift(postgres.url, metadata) != []
    assert SCHEMA == "heartbeat"


async def test_replicas_share_and_take_over_what_a_silent_one_had(registry, shared, postgres):
    for number in range(AGENTS):
        registry.add(f"host-{number}")
    one = await shared()
    await until(lambda: holds(one, AGENTS))
    two = await shared()

    await until(lambda: divided(one, two))
    assert sorted(member.address for member in await members_of(one)) == sorted([one.address, two.address])

    with psycopg.connect(postgres.url, autocommit=True) as connection:
        # One that was killed right after a renewal.
        connection.execute(
            "insert into heartbeat.member values ('silent', '127.0.0.1:1', now(), now() + interval '3 seconds', 0)"
        )

    async def missing():
        return await agents_of(one) + await agents_of(two) < AGENTS

    await until(missing)
    await until(lambda: divided(one, two))


async def test_a_replica_that_does_not_know_the_fleet_takes_no_share(registry, shared):
    for number in range(AGENTS):
        registry.add(f"host-{number}")
    one = await shared()
    await until(lambda: holds(one, AGENTS))
    registry.away = True
    two = await shared()

    async def lease():
        leases = {member.address: member.lease_until.ToNanoseconds() for member in await members_of(one)}
        return leases[one.address]

    for _ in range(5):
        before = await lease()

        async def is_renewed(before=before):
            return await lease() > before

        await until(is_renewed)
    assert [member.address for member in await members_of(one)] == [one.address]
    assert await agents_of(one) == AGENTS

    registry.away = False
    await until(lambda: divided(one, two))


async def test_a_replica_is_ready_once_it_has_its_share(registry, start, postgres):
    registry.add("host")
    probes = f"127.0.0.1:{free_port()}"
    replica = await start(database_url_file=postgres.url_file, member_lease_s=1, member_renew_s=0.2, http_listen=probes)

    async def readiness():
        async with aiohttp.ClientSession() as client, client.get(f"http://{probes}/readyz") as answer:
            return answer.status

    seen = registry.list_calls
    await until(lambda: registry.list_calls > seen)
    assert await readiness() == 503, "there is no table of members"
    migrations.upgrade(postgres.url)

    async def is_ready():
        return await readiness() == 200

    await until(is_ready)
    assert await agents_of(replica) == 1


async def test_a_lease_from_before_the_clock_was_set_back_does_not_hold(registry, shared, postgres):
    for number in range(AGENTS):
        registry.add(f"host-{number}")
    migrations.upgrade(postgres.url)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(
            "insert into heartbeat.member values ('dead', '127.0.0.1:1', now(), now() + interval '1 hour', 0)"
        )
    one = await shared()
    await until(lambda: holds(one, AGENTS))


async def test_any_replica_checks_an_agent_that_is_asked_for(registry, shared):
    for number in range(AGENTS):
        registry.add(f"host-{number}", status=AGENT_STATUS_OFFLINE)
    one, two = await shared(), await shared()
    for number in range(6):
        for replica in (one, two):
            answer = await replica.stub.CheckNow(heartbeat_service_pb2.CheckNowRequest(server=f"host-{number}"))
            assert answer.status == AGENT_STATUS_OFFLINE


async def test_agents_are_probed_for_another_replica_only(registry, shared, tls_dir):
    endpoint = registry.add("host")
    one = await shared()
    await until(lambda: holds(one, 1))
    request = heartbeat_service_pb2.ProbeAgentsRequest(agent_ids=[endpoint.agent_id, "nobody"])
    with pytest.raises(PermissionDenied), translate_errors():
        await one.stub.ProbeAgents(request)
    channel = open_channel(one.address, tls_dir, "heartbeat", "heartbeat")
    try:
        probes = (await HeartbeatServiceStub(channel).ProbeAgents(request)).probes
        assert [(one.agent_id, one.cause) for one in probes] == [(endpoint.agent_id, "refused")]
    finally:
        await channel.close()
