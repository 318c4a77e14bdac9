"""Outcomes of heartbeats."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from myx.events.v1.events_pb2 import Event
from myx_kit.db.outbox import Outbox
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import InvalidArgument
from myx_registry.domain.agents import HeartbeatReport, Transition, VersionChange, apply_reports
from myx_registry.store import agents
from myx_registry.usecases import events

MAX_REPORTS = 500
# A report from the future would make every later true one look old; clocks of one control plane are closer than this.
_MAX_AHEAD = timedelta(minutes=5)


class Heartbeats:
    """Applies reports to agents; state and events change in one transaction."""

    def __init__(self, uow: UnitOfWork, outbox: Outbox, now: Callable[[], datetime]) -> None:
        self._uow = uow
        self._outbox = outbox
        self._now = now

    async def report(self, reports: Sequence[HeartbeatReport]) -> list[UUID]:
        """Ids of the reported agents that do not exist. Each entry into ONLINE or OFFLINE and each other version
        makes exactly one event, however often a batch comes and in whatever order.

        Raises InvalidArgument `CHECKED_AT_IN_FUTURE`.
        """
        limit = self._now() + _MAX_AHEAD
        for index, report in enumerate(reports):
            if report.checked_at > limit:
                raise InvalidArgument(
                    "CHECKED_AT_IN_FUTURE",
                    "The check lies more than 5 minutes ahead of the registry's clock; compare the clocks.",
                    field=f"reports[{index}].checked_at",
                )
        reported = {report.agent_id for report in reports}
        if not reported:
            return []
        async with self._uow.begin() as connection:
            records = await agents.lock_records(connection, reported)
            changed, facts = apply_reports(records, reports)
            await agents.update_records(connection, changed)
            await self._outbox.add_all(connection, map(_entry, facts))
        return sorted(reported - {record.id for record in records})


def _entry(fact: Transition | VersionChange) -> tuple[str, str, str, Event]:
    verb, event = events.agent_fact(fact)
    return "agent", verb, str(fact.agent_id), event
