"""Outcomes are handed to the registry."""

import asyncio

from prometheus_client import Gauge

from myx_heartbeat.usecases.ports import Registry
from myx_heartbeat.usecases.reports import Reports
from myx_kit.errors import InvalidArgument, MyxError
from myx_kit.logging import get_logger

log = get_logger()

UNSENT = Gauge("myx_heartbeat_unsent_reports", "Outcomes that the registry has not taken yet")


class HandOver:
    """Sends what there is in batches; `hurry` is set by who waits for it."""

    def __init__(self, registry: Registry, reports: Reports) -> None:
        self._registry = registry
        self._reports = reports
        self.hurry = asyncio.Event()

    async def run_once(self) -> bool:
        """Hand over all that waits; False: the registry is away and the rest is kept."""
        self.hurry.clear()
        while batch := self._reports.take():
            try:
                unknown = await self._registry.report(batch)
            except InvalidArgument as error:
                # Sending it again cannot help; the next checks of these agents say the same anew.
                log.error("reports_refused", reason=error.reason, message=error.message, reports=len(batch))
                unknown = []
            except MyxError as error:
                self._reports.put_back()
                UNSENT.set(len(self._reports))
                log.warning("reports_not_taken", reason=error.reason, unsent=len(self._reports))
                return False
            except asyncio.CancelledError:
                self._reports.put_back()
                raise
            self._reports.confirm()
            self._reports.forget(unknown)
        UNSENT.set(len(self._reports))
        return True
