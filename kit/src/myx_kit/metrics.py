"""What Prometheus sees of every service: its calls, its database, its outbox, the bus, its event loop, its build.

Labels have few values: methods, statuses, names of pools and loops, never an id of a server, an agent or a command.
"""

import asyncio
import platform
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from myx_kit.errors import MyxError
from myx_kit.logging import get_logger

log = get_logger()

BUILD = Gauge(
    "myx_build_info", "1; the labels say which service of which version runs", ["service", "version", "python"]
)
RPC_SECONDS = Histogram(
    "myx_rpc_server_seconds",
    "Time from the arrival of a unary gRPC call to its answer",
    ["method", "code"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
RPC_STREAMS = Gauge("myx_rpc_server_open_streams", "Server streams of gRPC that are open", ["method"])
RPC_CLIENT_SECONDS = Histogram(
    "myx_rpc_client_seconds",
    "Time of a unary gRPC call to another service, its repeats included",
    ["peer", "code"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5, 10),
)
BUS_CONNECTED = Gauge("myx_bus_connected", "1 while the connection to NATS stands")
BUS_DROPPED = Counter("myx_bus_dropped_messages", "Messages that were not published because NATS was away")
OUTBOX_PUBLISHED = Counter("myx_outbox_published_events", "Events handed from the outbox to JetStream")
OUTBOX_WAITING = Gauge(
    "myx_outbox_waiting_events", "Events in the outbox that JetStream has not taken yet, up to 10,000"
)
OUTBOX_AGE = Gauge("myx_outbox_oldest_event_age_seconds", "Age of the oldest event in the outbox; 0: it is empty")
POOL_SIZE = Gauge("myx_database_pool_size", "Connections to the database that this process may hold", ["pool"])
POOL_USED = Gauge("myx_database_pool_used_connections", "Connections to the database that are in use", ["pool"])
LOOP_LAG = Histogram(
    "myx_event_loop_lag_seconds",
    "How much later than it asked for a timer of the event loop came, twice a second",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
LOOP_TURNS = Counter("myx_loop_turns", "Turns of the background loops by how they ended", ["loop", "outcome"])

_LAG_EVERY_S: Final = 0.5
_MEASURE_WITHIN_S: Final = 2.0

Measurement = Callable[[], Awaitable[None]]
_measurements: list[Measurement] = []


def describe_build(service: str) -> None:
    """Say who this is."""
    try:
        own = version(f"myx-{service}")
    except PackageNotFoundError:
        own = "unknown"
    BUILD.labels(service, own, platform.python_version()).set(1)


def watch_pool(name: str, size: int, used: Callable[[], int]) -> None:
    """Show how much of a pool of connections is in use whenever somebody looks."""
    POOL_SIZE.labels(name).set(size)
    POOL_USED.labels(name).set_function(used)


def before_scrape(measurement: Measurement) -> Callable[[], None]:
    """Await `measurement` before each answer to Prometheus: what costs a query costs nothing while nobody looks.

    What is returned ends that.
    """
    _measurements.append(measurement)

    def stop() -> None:
        if measurement in _measurements:
            _measurements.remove(measurement)

    return stop


async def measure() -> None:
    """Bring up to date what is measured only when somebody looks; what takes too long or fails stays as it was."""
    if _measurements:
        await asyncio.gather(*(_measured(one) for one in list(_measurements)))


async def _measured(measurement: Measurement) -> None:
    try:
        async with asyncio.timeout(_MEASURE_WITHIN_S):
            await measurement()
    except (MyxError, TimeoutError) as error:
        log.info("not_measured", reason=error.reason if isinstance(error, MyxError) else "TIMEOUT")
    except Exception as error:
        log.error("measurement_failed", exc_info=error)


async def watch_event_loop() -> None:
    """Until cancelled: see how late timers come."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LAG_EVERY_S
        await asyncio.sleep(_LAG_EVERY_S)
        LOOP_LAG.observe(max(0.0, loop.time() - due))
