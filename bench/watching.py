"""What heartbeats.py looks at: checks as the agents see them, states as the registry has them, replicas."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, LiteralString

import psycopg

from bench.cluster import Cluster
from bench.simulator.fleet import SimulatedFleet
from myx.heartbeat.v1.heartbeat_service_pb2 import GetStatusRequest, GetStatusResponse
from myx.heartbeat.v1.heartbeat_service_pb2_grpc import HeartbeatServiceStub
from myx_kit.errors import MyxError
from myx_kit.rpc.client import open_channel

LOOK_S = 0.5
_ASK_S = 5.0


class Rate:
    """Checks at the agents, second by second."""

    def __init__(self, fleet: SimulatedFleet) -> None:
        self._fleet = fleet
        self._task: asyncio.Task[None] | None = None
        self.per_second: list[int] = []

    async def __aenter__(self) -> "Rate":
        self._task = asyncio.create_task(self._run(), name="rate")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def shape(self) -> dict[str, object]:
        """The busiest second, and means over tens of seconds from the first check on."""
        first = next((number for number, count in enumerate(self.per_second) if count), 0)
        rates = self.per_second[first:]
        tens = [rates[start : start + 10] for start in range(0, len(rates), 10)]
        return {"most": max(rates, default=0), "by_10_s": [round(sum(ten) / len(ten)) for ten in tens]}

    async def _run(self) -> None:
        at, seen = time.monotonic(), (await asyncio.to_thread(self._fleet.counts))["heartbeats"]
        while True:
            at += 1.0
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            now = (await asyncio.to_thread(self._fleet.counts))["heartbeats"]
            self.per_second.append(int(now - seen))
            seen = now


class States:
    """What the registry has of agents."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def ids(self) -> list[str]:
        """Ids of the agents in the order of the fleet."""
        query = "select a.id from registry.agent a join registry.server s on s.id = a.server_id order by s.name"
        rows = await self._rows(query)
        return [str(row[0]) for row in rows]

    async def by_status(self, wanted: str) -> set[str]:
        """Names of the servers whose agents have this state."""
        query = "select s.name from registry.agent a join registry.server s on s.id = a.server_id where a.status = %s"
        return {str(row[0]) for row in await self._rows(query, wanted)}

    async def count(self) -> Counter[str]:
        """How many have which state; those of which nothing was reported yet do not count."""
        return Counter(
            dict(
                await self._rows(
                    "select status, count(*) from registry.agent where rpc_last_check is not null group by 1"
                )
            )
        )

    async def _rows(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        return await (await self._connection.execute(query, values)).fetchall()


@asynccontextmanager
async def states(myx: Cluster) -> AsyncIterator[States]:
    """The registry's tables, looked at from outside: it is not asked, so that it costs what it costs."""
    url = myx.home.database_url_file("registry").read_text().strip()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield States(connection)


async def replica_status(myx: Cluster, part: str) -> GetStatusResponse | None:
    """What a replica of the heartbeat service says of itself; None: it does not answer."""
    channel = open_channel(myx.target(part), myx.home.tls, "gateway", "heartbeat", retries=False)
    try:
        return await HeartbeatServiceStub(channel).GetStatus(GetStatusRequest(), timeout=_ASK_S)
    except MyxError:
        return None
    finally:
        await channel.close()


async def since(fleet: SimulatedFleet, begin: float, numbers: Sequence[int], within_s: float) -> list[float]:
    """Seconds from `begin` (of the monotonic clock) to the first check of each of these agents.

    Looked at often enough that no second check can hide the first.
    """
    first: dict[int, float] = {}
    async with asyncio.timeout(within_s):
        while len(first) < len(numbers):
            await asyncio.sleep(LOOK_S)
            checks = await asyncio.to_thread(fleet.checks)
            for number in numbers:
                if checks[number][0] > begin:
                    first.setdefault(number, checks[number][0] - begin)
    return list(first.values())
