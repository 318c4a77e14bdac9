"""Counts what is open, and what waits in memory, when somebody looks."""

from myx_executor.domain.states import OPEN as OPEN_STATES
from myx_executor.store.pool import Pool
from myx_executor.store.totals import totals
from myx_executor.usecases.metrics import LOG_WAITING, OPEN, UNOWNED
from myx_executor.usecases.sink import Pressure


class Census:
    """What is measured before Prometheus is answered."""

    def __init__(self, pool: Pool, pressure: Pressure) -> None:
        self._pool = pool
        LOG_WAITING.set_function(lambda: pressure.waiting)

    async def measure(self) -> None:
        """Bring the gauges up to date. Unavailable when the database is away."""
        found = await totals(self._pool)
        for status in OPEN_STATES:
            OPEN.labels(status.value).set(found.by_status.get(status.value, 0))
        UNOWNED.set(found.unowned)
