"""Two replicas as processes behind one way to their agents: it breaks for both, or an agent dies while it does not."""

import json
import time

import psycopg
import pytest

from myx.registry.v1.agent_pb2 import AGENT_STATUS_OFFLINE, AGENT_STATUS_ONLINE, AGENT_STATUS_UNKNOWN
from myx_heartbeat import migrations
from myx_testkit.chaos.ways import Way, WayLoop
from myx_testkit.wait import until

# Each replica has at least three of them, but for one time in millions.
AGENTS = 32
DOUBT_MAX_S = 10
PATIENCE_S = 60


@pytest.fixture
def new_way(module_agent):
    """Opens ways to one agent, which plays all of a fleet."""
    loop, opened = WayLoop(), []

    def run() -> Way:
        way = Way(loop, (module_agent.address, module_agent.rpc_port))
        way.open()
        opened.append(way)
        return way

    yield run
    for way in opened:
        way.close()
    loop.close()


@pytest.fixture
async def two(replica, registry, postgres, module_agent, new_way):
    """Two replicas that reach their agents, and the way to all of these."""
    migrations.upgrade(postgres.url)
    way = new_way()
    for number in range(AGENTS):
        registry.add(f"host-{number}", module_agent, rpc_port=way.port)
    settings = {
        "DATABASE_URL_FILE": postgres.url_file,
        "RPC_TIMEOUT_S": 1,
        "SLOW_AFTER_S": 0.2,
        "DOUBT_MAX_S": DOUBT_MAX_S,
        "DOUBT_INTERVAL_S": 0.2,
        "REFRESH_INTERVAL_S": 0.5,
    }
    programs = [replica(**settings) for _ in range(2)]
    with psycopg.connect(postgres.url, autocommit=True) as connection:

        def are_shared() -> bool:
            shares = [agents for (agents,) in connection.execute("select agents from heartbeat.member")]
            return len(shares) == 2 and sum(shares) == AGENTS and min(shares) >= 3

        await until(are_shared, PATIENCE_S, interval_s=0.1)
    await until(lambda: are(registry, AGENT_STATUS_ONLINE) == AGENTS, PATIENCE_S)
    return programs, way


def are(registry, status) -> int:
    """How many agents are that by their last report."""
    return sum(registry.statuses(name)[-1:] == [status] for name in registry.endpoints)


def confirmed(program) -> list[str]:
    """Why a replica has believed failures, in order."""
    lines = [json.loads(line) for line in program.output().splitlines() if "failures_confirmed" in line]
    return [line["why"] for line in lines]


async def test_an_outage_that_both_share_takes_nobody_offline_before_the_time_is_over(two, registry):
    programs, way = two
    began, seen = time.monotonic(), len(registry.reports)
    way.freeze()
    await until(lambda: are(registry, AGENT_STATUS_UNKNOWN) == AGENTS, PATIENCE_S)
    await until(lambda: are(registry, AGENT_STATUS_OFFLINE), PATIENCE_S)
    assert time.monotonic() - began > DOUBT_MAX_S

    await until(lambda: are(registry, AGENT_STATUS_OFFLINE) == AGENTS, PATIENCE_S)
    # A replica that waits for an answer of the other says so only when that has come.
    await until(lambda: all(map(confirmed, programs)), PATIENCE_S)
    for program in programs:
        assert confirmed(program) == ["nobody could tell for as long as a doubt may last"]
    assert {one.cause for one in registry.reports[seen:]} <= {"", "control_plane_doubt", "hung"}


async def test_an_outage_that_ends_before_has_taken_nobody_offline(two, registry):
    _, way = two
    way.freeze()
    await until(lambda: are(registry, AGENT_STATUS_UNKNOWN) == AGENTS, PATIENCE_S)
    way.heal()
    await until(lambda: are(registry, AGENT_STATUS_ONLINE) == AGENTS, PATIENCE_S)
    assert AGENT_STATUS_OFFLINE not in [one.status for one in registry.reports]


async def test_a_single_agent_that_dies_is_offline_without_a_doubt(two, registry, new_way):
    own = new_way()
    registry.endpoints["host-0"].rpc_port = own.port
    registry.endpoints["host-0"].revision += 1
    await until(lambda: own.accepted, PATIENCE_S)
    own.freeze()
    await until(lambda: are(registry, AGENT_STATUS_OFFLINE) == 1, PATIENCE_S)
    assert AGENT_STATUS_UNKNOWN not in [one.status for one in registry.reports]
