"""What Prometheus is shown of the executor as a whole."""

from contextlib import AsyncExitStack

from myx_executor.settings import ExecutorSettings
from myx_executor.store.pool import Pool
from myx_executor.usecases.census import Census
from myx_executor.usecases.sink import Pressure
from myx_kit.metrics import before_scrape, watch_pool


def watch(pool: Pool, pressure: Pressure, settings: ExecutorSettings, stack: AsyncExitStack) -> None:
    """Show connections in use, and what is open and waits; until the stack is closed."""
    watch_pool("executor", settings.pool_size, lambda: pool.used)
    stack.callback(before_scrape(Census(pool, pressure).measure))
