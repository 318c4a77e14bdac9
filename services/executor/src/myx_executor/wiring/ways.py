"""The executor's ways out of its process."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from myx_executor.settings import ExecutorSettings
from myx_executor.store.pool import Pool
from myx_kit.agent_rpc.client import AgentClient
from myx_kit.db.engine import create_engine
from myx_kit.events.bus import Bus
from myx_kit.retry import RetryPolicy
from myx_kit.rpc.client import open_channel

_LEASE_CONNECTIONS = 2


@dataclass(frozen=True, slots=True)
class Ways:
    """To NATS, the registry, PostgreSQL and the agents."""

    bus: Bus
    registry: grpc.aio.Channel
    pool: Pool
    # For renewing and claiming alone: no number of slow reads makes a replica lose its leases.
    lease_pool: Pool
    engine: AsyncEngine
    agents: AgentClient


async def open_ways(settings: ExecutorSettings, name: str, retry: RetryPolicy, stack: AsyncExitStack) -> Ways:
    """All of them, as the service `name`; closed by the stack."""
    url = settings.database_url()
    bus = await Bus.connect(settings.nats_url, settings.tls_dir, name)
    stack.push_async_callback(bus.close)
    channel = open_channel(settings.registry_target, settings.tls_dir, name, "registry")
    stack.push_async_callback(channel.close)
    pool, lease_pool = Pool(url, settings.pool_size), Pool(url, _LEASE_CONNECTIONS)
    stack.push_async_callback(pool.close)
    stack.push_async_callback(lease_pool.close)
    engine = create_engine(url, 1)
    stack.push_async_callback(engine.dispose)
    agents = await stack.enter_async_context(AgentClient(settings.agent_rpc_timeout_s, retry))
    return Ways(bus, channel, pool, lease_pool, engine, agents)
