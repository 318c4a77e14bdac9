"""Checks of agents: when they are due, and when somebody asks."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from prometheus_client import Counter, Gauge, Histogram

from myx_heartbeat.domain import Endpoint, Report, Status, judge, stamp
from myx_heartbeat.usecases.doubt import CAUSE, COUNTED, Doubt
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
OVERDUE = Gauge("myx_heartbeat_overdue_checks", "Checks that are due and have not begun")
FAILED = Counter("myx_heartbeat_failed_checks", "Checks that failed, by cause", ["cause"])
CHECK_S = Histogram(
    "myx_heartbeat_check_seconds",
    "Time of one check with its repeats",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30, 150),
)
LAG_S = Histogram(
    "myx_heartbeat_schedule_lag_seconds",
    "How much later than it was due a check began",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)

# Whoever answers so may be called in a way that is not the agent's any more.
_WRONG_WAY = frozenset({"unauthorized", "pin_mismatch", "wrong_path"})
# An outcome that our own pause or a changed address made void is asked for again, but not for ever.
_MAX_ROUNDS = 3
# Of each lane; the rest waits for the next look, which comes when the loop has time again. On a starved machine more
# TLS handshakes under way than it can do within their time-out would all be in vain, and so would those that follow.
_STARTS_AT_ONCE = 32
# When a check takes long, so many others are made at once: in a small fleet, whose checks lie far apart, it would else
# have failed before another one could have shown that it is our network. No more often than this: where many are slow,
# the others come of themselves.
_WITNESSES = 5
_WITNESSES_EVERY_S = 5.0


class Checks:
    """Runs checks in a bounded number of slots, one at a time for each agent.

    A quarter of the slots is for agents that were alive when last seen, for the first `slow_after_s` of their checks:
    however many are dead or die at once, the living have slots.
    """

    def __init__(
        self,
        fleet: Fleet,
        schedule: Schedule,
        reports: Reports,
        probe: Probe,
        watch: PauseWatch,
        *,
        newest: Callable[[str], Awaitable[Endpoint | None]],
        doubt: Doubt,
        concurrency: int,
        slow_after_s: float,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        owner: TaskOwner,
    ) -> None:
        """`newest`: connection data of an agent as the registry has it now; `now` is what reports are dated by."""
        self._fleet = fleet
        self._schedule = schedule
        self._reports = reports
        self._probe = probe
        self._watch = watch
        self._newest = newest
        self._doubt = doubt
        self._clock = clock
        self._now = now
        self._owner = owner
        self._slow_after_s = slow_after_s
        living = max(1, concurrency // 4)
        self._free = {Lane.LIVING: living, Lane.SUSPECT: max(1, concurrency - living)}
        self._running: dict[str, asyncio.Task[Report]] = {}
        # Start times of the checks in the living lane, oldest first; those in slots of the other lane.
        self._young: dict[str, float] = {}
        self._old: set[str] = set()
        # Checks of agents that are not known to be dead, with their start times, until they are told to be slow.
        self._quick: OrderedDict[str, tuple[float, Agent]] = OrderedDict()
        # Slow checks for which no others were made yet, and when others were made for the last time.
        self._unwitnessed: set[str] = set()
        self._witnesses_at = float("-inf")
        self._last_stamp = datetime.min.replace(tzinfo=UTC)
        # Set when an agent may be due earlier, or a slot is free, than `start_due` said.
        self.changed = asyncio.Event()

    def is_running(self, agent_id: str) -> bool:
        """Whether the agent is being checked now."""
        return agent_id in self._running

    def start_due(self) -> float | None:
        """Start what is due and has a slot; seconds until the next one with a slot is due, None: there is none."""
        now = self._clock()
        self._tell_slow_ones(now)
        self._ask_witnesses(now)
        self._move_slow_ones(now)
        for lane in Lane:
            for _ in range(min(self._free[lane], _STARTS_AT_ONCE)):
                due = self._schedule.next_due(lane)
                agent_id = self._schedule.pop_due(lane, now)
                if agent_id is None or due is None:
                    break
                agent = self._fleet.get(agent_id)
                if agent is None:
                    continue
                LAG_S.observe(now - due)
                if agent_id in self._running:
                    self._fleet.reschedule(agent)
                else:
                    self._take_slot(agent_id, lane, now)
                    self._start(agent)
        times = [self._schedule.next_due(lane) for lane in Lane if self._free[lane] > 0]
        if self._free[Lane.LIVING] == 0 and self._free[Lane.SUSPECT] > 0:
            times.append(next(iter(self._young.values())) + self._slow_after_s)
        if self._quick:
            times.append(next(iter(self._quick.values()))[0] + self._slow_after_s)
        if self._unwitnessed:
            times.append(self._witnesses_at + _WITNESSES_EVERY_S)
        return min((max(0.0, one - now) for one in times if one is not None), default=None)

    async def check_now(self, agent: Agent) -> Report:
        """The report of a check of the agent that runs already, or of one that starts now, outside the slots.

        It goes on when the caller leaves; who asks meanwhile shares it.
        """
        running = self._running.get(agent.endpoint.agent_id)
        if running is None:
            self._schedule.remove(agent.endpoint.agent_id)
            running = self._start(agent, is_asked=True)
            # It may be slow before anything is due.
            self.changed.set()
        return await asyncio.shield(running)

    def confirm(self, reports: Sequence[Report]) -> None:
        """Failures that were held back are true."""
        for report in reports:
            agent = self._fleet.get(report.agent_id)
            if agent is not None:
                self._last_stamp = stamp(self._now(), self._last_stamp)
                self._fleet.mark(agent, report)
                self._reports.add(replace(report, checked_at=self._last_stamp, is_transition=True, checks=0))

    def _take_slot(self, agent_id: str, lane: Lane, now: float) -> None:
        self._free[lane] -= 1
        if lane is Lane.LIVING:
            self._young[agent_id] = now
        else:
            self._old.add(agent_id)

    def _give_slot_back(self, agent_id: str) -> None:
        if self._young.pop(agent_id, None) is not None:
            self._free[Lane.LIVING] += 1
        elif agent_id in self._old:
            self._old.remove(agent_id)
            self._free[Lane.SUSPECT] += 1

    def _move_slow_ones(self, now: float) -> None:
        """Free slots of the living as far as the other lane has room."""
        while self._young and self._free[Lane.SUSPECT] > 0:
            agent_id, started = next(iter(self._young.items()))
            if started + self._slow_after_s > now:
                return
            self._give_slot_back(agent_id)
            self._take_slot(agent_id, Lane.SUSPECT, now)

    def _tell_slow_ones(self, now: float) -> None:
        while self._quick:
            agent_id, (started, agent) = next(iter(self._quick.items()))
            if started + self._slow_after_s > now:
                return
            del self._quick[agent_id]
            if self._fleet.get(agent_id) is not agent:
                continue
            self._doubt.slow(agent_id)
            self._unwitnessed.add(agent_id)

    def _ask_witnesses(self, now: float) -> None:
        if self._doubt.suspicion is not None:
            self._unwitnessed.clear()
        if self._unwitnessed and now >= self._witnesses_at + _WITNESSES_EVERY_S:
            self._unwitnessed.clear()
            self._witnesses_at = now
            self._fleet.ask_witnesses(_WITNESSES)

    def _start(self, agent: Agent, *, is_asked: bool = False) -> asyncio.Task[Report]:
        agent_id = agent.endpoint.agent_id
        task = self._owner.start(self._check(agent, is_asked), name="check")
        self._running[agent_id] = task
        if agent.status in COUNTED:
            self._quick[agent_id] = (self._clock(), agent)
        RUNNING.set(len(self._running))

        def ended(done: asyncio.Task[Report]) -> None:
            del self._running[agent_id]
            self._quick.pop(agent_id, None)
            self._unwitnessed.discard(agent_id)
            RUNNING.set(len(self._running))
            self._give_slot_back(agent_id)
            # Another one than was checked: it left our share and came back, or came to it, and has no due time yet.
            ours = self._fleet.get(agent_id)
            if ours is not None and (ours is not agent or done.cancelled() or done.exception() is not None):
                self._fleet.reschedule(ours)
            self.changed.set()

        task.add_done_callback(ended)
        return task

    async def _look_up(self, agent: Agent) -> None:
        newest = await self._newest(agent.endpoint.agent_id)
        if newest is not None and not newest.quarantined:
            agent.endpoint = newest

    async def _check(self, agent: Agent, is_asked: bool) -> Report:
        began = self._clock()
        for _ in range(_MAX_ROUNDS):
            started = self._clock()
            endpoint = agent.endpoint
            outcome = await self._probe(endpoint, retry=started >= agent.starting_until)
            # One that was alive: its identity was changed, and the news of that may not have come yet.
            if outcome.cause in _WRONG_WAY and agent.status is Status.ONLINE:
                await self._look_up(agent)
            if agent.endpoint.way == endpoint.way and not (outcome.cause and self._watch.paused_since(started)):
                break
        before = agent.status
        checked_at = self._last_stamp = stamp(self._now(), self._last_stamp)
        report = judge(endpoint.agent_id, outcome, checked_at, (agent.status, agent.cause))
        if self._fleet.get(endpoint.agent_id) is agent:
            report = self._doubt.consider(report, before=before, started=started)
            is_for_registry = self._fleet.settle(agent, report) or is_asked
        else:
            report = self._doubt.consider_other(report, started=started)
            is_for_registry = is_asked and report.outcome.cause != CAUSE
        if is_for_registry:
            self._reports.add(report)
        CHECKS.labels(report.status.value).inc()
        CHECK_S.observe(self._clock() - began)
        if report.outcome.cause:
            FAILED.labels(report.outcome.cause).inc()
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
