"""What the benches ask of a cluster: many commands at once, and their ends."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import psycopg

from bench import stats
from bench.cluster import Cluster
from bench.simulator.fleet import SimulatedFleet
from myx.executor.v1.command_service_pb2 import RunCommandRequest
from myx.executor.v1.command_service_pb2_grpc import CommandServiceStub
from myx_kit.rpc.client import open_channel

_IN_FLIGHT = 64
_LOOK_S = 0.05
_WITHIN_S = 180.0
_BUSY = 0.4
_IDLE_S = 10.0


async def run_everywhere(myx: Cluster, servers: Sequence[str], command: Sequence[str], mark: str) -> list[str]:
    """Ids of one command for each server, by RunCommand calls to the replicas by turns, asked for by `mark`."""
    channels = [open_channel(target, myx.home.tls, "gateway", "executor") for target in myx.executor_targets]
    stubs = [CommandServiceStub(channel) for channel in channels]
    left = iter(enumerate(servers))
    ids = [""] * len(servers)

    async def caller() -> None:
        for number, server in left:
            request = RunCommandRequest(server=server, command=command[0], args=command[1:], requested_by=mark)
            answer = await stubs[number % len(stubs)].RunCommand(request, timeout=30)
            ids[number] = answer.command.id

    await asyncio.gather(*(caller() for _ in range(_IN_FLIGHT)))
    for channel in channels:
        await channel.close()
    return ids


async def until_all(myx: Cluster, mark: str, status: str, count: int) -> None:
    """Waits until so many commands of a requester have this state; RuntimeError when others end otherwise."""
    query = "select status, count(*) from executor.command where requested_by = %s group by 1"
    async with await psycopg.AsyncConnection.connect(myx.database_url, autocommit=True) as connection:
        async with asyncio.timeout(_WITHIN_S):
            while True:
                cursor = await connection.execute(query, (mark,))
                found: Counter[str] = Counter(dict(await cursor.fetchall()))
                if found[status] == count:
                    return
                bad = {name: found[name] for name in ("failed", "unknown", "lost", "timeout") if found[name]}
                if bad and status not in bad:
                    raise RuntimeError(f"some did not end as they should: {bad}")
                await asyncio.sleep(_LOOK_S)


async def settled(myx: Cluster, fleet: SimulatedFleet, count: int) -> dict[str, dict[str, float]]:
    """Waits until the heartbeat service has met every agent and its reports are stored.

    What each part then costs with nothing to do but the heartbeats: CPU seconds in a second.
    """
    async with asyncio.timeout(_WITHIN_S):
        while fleet.counts()["heartbeats"] < count:
            await asyncio.sleep(0.2)
        while True:
            before = myx.costs()
            await asyncio.sleep(1.0)
            if stats.difference(before, myx.costs())["registry"]["cpu_s"] < _BUSY:
                break
    before = myx.costs()
    await asyncio.sleep(_IDLE_S)
    idle = stats.difference(before, myx.costs())
    return {part: {"cpu_s": cost["cpu_s"] / _IDLE_S, "rss_mb": cost["rss_mb"]} for part, cost in idle.items()}
