"""Whether failures are believed: when most of what is checked fails at once, it is rather we who are cut off."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from prometheus_client import Gauge

from myx_heartbeat.domain import Outcome, Report, Status
from myx_kit.logging import get_logger

log = get_logger()

DOUBTING = Gauge("myx_heartbeat_doubting", "1 while this replica suspects itself and marks nobody offline")

CAUSE = "control_plane_doubt"
# Fewer failing at once prove nothing about us.
MIN_FAILING = 3


@dataclass(frozen=True, slots=True)
class Suspicion:
    """This replica suspects itself. Times in seconds of the monotonic clock."""

    since: float
    until: float
    message: str = ""


@dataclass(slots=True)
class _Failing:
    answers_before: int
    report: Report | None = None


class Doubt:
    """Holds back that agents are offline while it is more likely that the network here is.

    What counts are agents that answered at their last check: those that take long or fail now, against the others that
    have answered since the first of them began to fail, each once: a failure takes its time, and a living agent may
    answer several times meanwhile. With more failing than answering (and at least MIN_FAILING) there is a suspicion:
    failures are reported as UNKNOWN with the cause until a second opinion confirms them, agents answer again, or the
    time is over.
    """

    def __init__(self, clock: Callable[[], float], *, max_s: float, calm_s: float) -> None:
        """`max_s` bounds a suspicion; failures that were confirmed are believed for `calm_s` more."""
        self._clock = clock
        self._max_s = max_s
        self._calm_s = calm_s
        self._answers = 0
        # Agents that answered since the first failing one began to fail, with the number of their last answer.
        self._answering: OrderedDict[str, int] = OrderedDict()
        self._failing: dict[str, _Failing] = {}
        self._believe_until = float("-inf")
        # When agents answered again after a suspicion.
        self._recovered_at = float("-inf")
        self.suspicion: Suspicion | None = None

    @property
    def failing(self) -> Sequence[str]:
        """Agents that answered before and do not now."""
        return list(self._failing)

    def slow(self, agent_id: str) -> None:
        """The check of an agent that answered last time takes long: its first try has failed, or soon will."""
        if agent_id not in self._failing:
            self._fails(agent_id)

    def consider(self, report: Report, *, before: Status, started: float | None = None) -> Report:
        """The report to go by; `before` is what the agent was when its check began, at `started` (None: just now)."""
        if report.status is Status.ONLINE:
            self._answered(report.agent_id)
            return report
        if report.status is not Status.OFFLINE:
            self._failing.pop(report.agent_id, None)
            return report
        if started is not None and started < self._recovered_at:
            # It was tried while our network was broken: only the next check says something about the agent.
            self._failing.pop(report.agent_id, None)
            return _unknown(report, before)
        entry = self._failing.get(report.agent_id)
        if entry is None and before is Status.ONLINE:
            entry = self._fails(report.agent_id)
        if entry is None:
            return report
        if not self._is_suspicious():
            del self._failing[report.agent_id]
            return report
        entry.report = report
        return _unknown(report, before)

    def tell(self, message: str) -> None:
        """What the second opinion was, for who looks."""
        if self.suspicion is not None:
            self.suspicion = replace(self.suspicion, message=message)

    def believe(self, why: str) -> list[Report]:
        """The failures are true: the reports that were held back."""
        log.warning("failures_confirmed", why=why, agents=len(self._failing))
        self._believe_until = self._clock() + self._calm_s
        held = [entry.report for entry in self._failing.values() if entry.report is not None]
        self._end()
        return held

    def overdue(self) -> bool:
        """Whether the suspicion has lasted for as long as it may."""
        return self.suspicion is not None and self._clock() >= self.suspicion.until

    def forget(self, agent_ids: Sequence[str]) -> None:
        """Agents that are not ours any more."""
        for agent_id in agent_ids:
            self._failing.pop(agent_id, None)
            self._answering.pop(agent_id, None)
        if self.suspicion is not None and not self._outweighed():
            self._recovered()

    def _fails(self, agent_id: str) -> _Failing:
        self._answering.pop(agent_id, None)
        entry = self._failing[agent_id] = _Failing(self._answers)
        return entry

    def _answered(self, agent_id: str) -> None:
        self._answers += 1
        self._failing.pop(agent_id, None)
        if self._failing:
            self._answering[agent_id] = self._answers
            self._answering.move_to_end(agent_id)
        else:
            self._answering.clear()
        if self.suspicion is not None and not self._outweighed():
            self._recovered()

    def _is_suspicious(self) -> bool:
        if self.suspicion is not None:
            return True
        now = self._clock()
        if now < self._believe_until or not self._outweighed():
            return False
        self.suspicion = Suspicion(now, now + self._max_s)
        DOUBTING.set(1)
        log.warning("suspects_itself", failing=len(self._failing), until_s=self._max_s)
        return True

    def _outweighed(self) -> bool:
        if len(self._failing) < MIN_FAILING:
            return False
        first = next(iter(self._failing.values()))
        # Those before belong to failures that are settled.
        while self._answering and next(iter(self._answering.values())) <= first.answers_before:
            self._answering.popitem(last=False)
        return len(self._failing) > len(self._answering)

    def _recovered(self) -> None:
        """Agents answer again: those that still do not are judged at their next check."""
        log.info("suspects_itself_no_more", failing=len(self._failing))
        self._recovered_at = self._clock()
        self._end()

    def _end(self) -> None:
        self.suspicion = None
        self._failing.clear()
        self._answering.clear()
        DOUBTING.set(0)


def _unknown(report: Report, before: Status) -> Report:
    outcome = report.outcome
    message = f"most agents fail at once, so it may be the control plane that is cut off; this one: {outcome.message}"
    doubted = Outcome(cause=CAUSE, message=message, tries=outcome.tries)
    return replace(report, status=Status.UNKNOWN, outcome=doubted, is_transition=before is not Status.UNKNOWN)
