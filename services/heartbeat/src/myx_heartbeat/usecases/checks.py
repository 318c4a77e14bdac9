"""Checks of agents: when they are due, and when somebody asks."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from prometheus_client import Counter, Gauge

from myx_heartbeat.domain import Endpoint, Report, Status, judge, stamp
from myx_heartbeat.usecases.fleet import Agent, Fleet
from myx_heartbeat.usecases.pauses import PauseWatch
from myx_heartbeat.usecases.ports import Probe
from myx_heartbeat.usecases.reports import Reports
from myx_heartbeat.usecases.schedule import Lane, Schedule
from myx_kit.logging import get_logger
from myx_kit.loops import TaskOwner

log = get_logger()

CHECKS = Counter("myx_heartbeat_checks", "Checks of agents by what they came to", ["status"])
RUNNING = Gauge("myx_heartbeat_running_checks", "Checks that run now")

# An outcome that our own pause or a changed address made void is asked for again, but not for ever.
_MAX_ROUNDS = 3


class Checks:
    """Runs checks in a bounded number of slots, one at a time for each agent.

    Agents whose last check failed may hold half of the slots: however many are dead, the living have theirs.
    """

    def __init__(
        self,
        fleet: Fleet,
        schedule: Schedule,
        reports: Reports,
        probe: Probe,
        watch: PauseWatch,
        *,
        concurrency: int,
        clock: Callable[[], float],
        owner: TaskOwner,
    ) -> None:
        self._fleet = fleet
        self._schedule = schedule
        self._reports = reports
        self._probe = probe
        self._watch = watch
        self._clock = clock
        self._owner = owner
        self._free = {Lane.SUSPECT: max(1, concurrency // 2), Lane.LIVING: max(1, concurrency - concurrency // 2)}
        self._running: dict[str, asyncio.Task[Report]] = {}
        self._last_stamp = datetime.min.replace(tzinfo=UTC)
        # Set when an agent may be due earlier, or a slot is free, than `start_due` said.
        self.changed = asyncio.Event()

    def is_running(self, agent_id: str) -> bool:
        """Whether the agent is being checked now."""
        return agent_id in self._running

    def start_due(self) -> float | None:
        """Start what is due and has a slot; seconds until the next one with a slot is due, None: there is none."""
        now = self._clock()
        next_due: float | None = None
        for lane in Lane:
            while self._free[lane] > 0 and (agent_id := self._schedule.pop_due(lane, now)) is not None:
                agent = self._fleet.get(agent_id)
                if agent is None:
                    continue
                if agent_id in self._running:
                    self._fleet.reschedule(agent)
                else:
                    self._start(agent, lane)
            due = self._schedule.next_due(lane) if self._free[lane] > 0 else None
            if due is not None and (next_due is None or due < next_due):
                next_due = due
        return None if next_due is None else max(0.0, next_due - now)

    async def check_now(self, agent: Agent) -> Report:
        """The report of a check of the agent that runs already, or of one that starts now, outside the slots.

        It goes on when the caller leaves; who asks meanwhile shares it.
        """
        running = self._running.get(agent.endpoint.agent_id)
        if running is None:
            self._schedule.remove(agent.endpoint.agent_id)
            running = self._start(agent, None)
        return await asyncio.shield(running)

    def _start(self, agent: Agent, lane: Lane | None) -> asyncio.Task[Report]:
        agent_id = agent.endpoint.agent_id
        if lane is not None:
            self._free[lane] -= 1
        task = self._owner.start(self._check(agent, lane is None), name="check")
        self._running[agent_id] = task
        RUNNING.set(len(self._running))

        def ended(done: asyncio.Task[Report]) -> None:
            del self._running[agent_id]
            RUNNING.set(len(self._running))
            if lane is not None:
                self._free[lane] += 1
            if done.cancelled() or done.exception() is not None:
                self._fleet.reschedule(agent)
            self.changed.set()

        task.add_done_callback(ended)
        return task

    async def _check(self, agent: Agent, is_asked: bool) -> Report:
        for _ in range(_MAX_ROUNDS):
            started = self._clock()
            endpoint = agent.endpoint
            outcome = await self._probe(endpoint, retry=started >= agent.starting_until)
            if agent.endpoint is endpoint and not (outcome.cause and self._watch.paused_since(started)):
                break
        before = agent.status
        checked_at = self._last_stamp = stamp(datetime.now(UTC), self._last_stamp)
        report = judge(endpoint.agent_id, outcome, checked_at, (agent.status, agent.cause))
        if self._fleet.settle(agent, report) or is_asked:
            self._reports.add(report)
        CHECKS.labels(report.status.value).inc()
        _log(endpoint, report, before)
        return report


def _log(endpoint: Endpoint, report: Report, before: Status) -> None:
    """Seed 3.2: a check that failed is on record with its cause and the number of tries."""
    facts = {"agent_id": endpoint.agent_id, "server": endpoint.server_name}
    if report.status is Status.ONLINE:
        if before is not Status.ONLINE:
            log.info("agent_online", **facts, version=report.outcome.version)
        return
    emit = log.warning if report.is_transition else log.info
    emit("agent_check_failed", **facts, status=report.status.value, cause=report.outcome.cause,
         message=report.outcome.message, tries=len(report.outcome.tries))  # fmt: skip
