"""Outcomes are handed to the registry."""

import asyncio
from collections.abc import Callable, Sequence

from prometheus_client import Gauge

from myx_heartbeat.domain import Report
from myx_heartbeat.usecases.ports import Registry, Taken
from myx_heartbeat.usecases.reports import MAX_BATCH, Reports
from myx_kit.errors import Internal, InvalidArgument, MyxError
from myx_kit.logging import get_logger

log = get_logger()

UNSENT = Gauge("myx_heartbeat_unsent_reports", "Outcomes that the registry has not taken yet")


class HandOver:
    """Sends what there is in batches; `hurry` is set by who waits for it."""

    def __init__(self, registry: Registry, reports: Reports, on_quarantined: Callable[[Sequence[str]], None]) -> None:
        self._registry = registry
        self._reports = reports
        self._on_quarantined = on_quarantined
        self.hurry = asyncio.Event()

    async def run_once(self) -> bool:
        """Hand over all that waits; False: the registry is away and the rest is kept.

        Plain reports that come while the last batch is on its way are gathered for the next turn.
        """
        self.hurry.clear()
        while batch := self._reports.take():
            try:
                taken = await self._send(batch)
            except MyxError as error:
                self._reports.put_back()
                log.warning("reports_not_taken", reason=error.reason, unsent=len(self._reports))
                return False
            except asyncio.CancelledError:
                self._reports.put_back()
                raise
            self._reports.confirm()
            self._reports.forget(taken.unknown)
            if taken.quarantined:
                self._on_quarantined(taken.quarantined)
            if len(batch) < MAX_BATCH and not self._reports.has_changes:
                break
        return True

    async def _send(self, batch: Sequence[Report]) -> Taken:
        """What one agent says must not keep the reports of the others: a batch that is refused goes one by one.

        A report that is refused alone is dropped; the next check of its agent says the same anew.
        """
        try:
            return await self._registry.report(batch)
        except (InvalidArgument, Internal) as error:
            if len(batch) == 1:
                log.error("report_refused", agent_id=batch[0].agent_id, reason=error.reason, message=error.message)
                return Taken()
        taken = Taken()
        for report in batch:
            taken += await self._send([report])
        return taken
