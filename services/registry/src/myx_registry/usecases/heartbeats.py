"""Outcomes of heartbeats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from myx_kit.db.outbox import Outbox
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import InvalidArgument
from myx_registry.domain.heartbeats import (
    Applied,
    FactChange,
    HeartbeatReport,
    VersionChange,
    apply_reports,
    fact_changes,
)
from myx_registry.domain.series import merged, sample_of
from myx_registry.store import agents, history, samples
from myx_registry.store.database import Connection
from myx_registry.usecases import events
from myx_registry.usecases.metrics import CHANGES, REPORTS

MAX_REPORTS = 500
# A report from the future would make every later true one look old; clocks of one control plane are closer than this.
_MAX_AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Taken:
    """Ids of the reported agents that do not exist, and of those that another machine answers for."""

    unknown: Sequence[UUID]
    quarantined: Sequence[UUID]


class Heartbeats:
    """Applies reports to agents; state, history, samples and events change in one transaction."""

    def __init__(self, uow: UnitOfWork, outbox: Outbox, now: Callable[[], datetime]) -> None:
        self._uow = uow
        self._outbox = outbox
        self._now = now

    async def report(self, reports: Sequence[HeartbeatReport]) -> Taken:
        """What became of a batch. Each entry into ONLINE or OFFLINE, each other version, reboot, quarantine, and begin
        and end of flapping makes exactly one event, however often a batch comes and in whatever order.

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
            return Taken((), ())
        async with self._uow.begin() as connection:
            records = await agents.lock_records(connection, reported)
            applied = apply_reports(records, reports, limit)
            await self._store(connection, applied)
            entries = [("agent", verb, str(fact.agent_id), event) for fact in applied.facts
                       for verb, event in [events.agent_fact(fact)]]  # fmt: skip
            await self._outbox.add_all(connection, entries)
        REPORTS.inc(len(reports))
        for _, verb, _, _ in entries:
            CHANGES.labels(verb).inc()
        return Taken(sorted(reported - {record.id for record in records}), sorted(applied.quarantined))

    @staticmethod
    async def _store(connection: Connection, applied: Applied) -> None:
        # Before the facts are replaced.
        changes = await _fact_changes(connection, applied)
        await agents.update_records(connection, applied.changed)
        await history.add_status_changes(connection, applied.history)
        await history.add_fact_changes(connection, changes)
        await samples.add_samples(connection, merged(map(sample_of, applied.taken)))


async def _fact_changes(connection: Connection, applied: Applied) -> list[FactChange]:
    changes = [
        FactChange(one.agent_id, one.at, "version", one.previous_version, one.version)
        for one in applied.facts
        if isinstance(one, VersionChange)
    ]
    if applied.refreshed:
        before = await agents.facts_by_id(connection, applied.refreshed)
        for agent_id, (at, facts) in applied.refreshed.items():
            changes += fact_changes(agent_id, at, before.get(agent_id), facts)
    return changes
