"""Whether failures are believed: when most of what is checked fails at once, it is rather we who are cut off."""

from collections import OrderedDict, deque
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
# The newest answers and failures, to tell whether others answered when a check began.
_RECENT = 8
# One that stands beside us answers in an outage too.
MIN_ANSWERS = 2
# What an agent was before a failure that counts: UNKNOWN is what our own doubt made of it, maybe in another replica.
COUNTED = (Status.ONLINE, Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Suspicion:
    """This replica suspects itself. Times in seconds of the monotonic clock."""

    since: float
    until: float
    message: str = ""


@dataclass(slots=True)
class _Failing:
    """An agent that fails: how many had answered and begun to fail before, and the report that is held back.

    `began_well`: about half of the newest of them had answered.
    """

    answers: int
    failures: int
    began_well: bool
    report: Report | None = None


class Doubt:
    """Holds back that agents are offline while it is more likely that the network here is.

    What counts are agents that were not known to be dead: those that take long or fail now, or failed within the last
    `recent_s`, against the others that have answered since the first of them began to fail, each once: a failure takes
    its time, and a living agent may answer several times meanwhile. First is the first that was not followed by as
    many answers as failures: who died alone long ago says nothing about now. With more failing than answering (at
    least MIN_FAILING, and half of all that fail) there is a suspicion: failures are reported as UNKNOWN with the cause
    until a second opinion confirms them, agents answer again, or the time is over.

    Many that die at once may begin a suspicion anew after each recovery. So who was held back before a recovery and
    fails in a check that began after it is believed, if others answered when it began and answer meanwhile: else it may
    be another outage. At the latest an agent is believed `max_s` after it was first held back.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        max_s: float,
        calm_s: float,
        recent_s: float,
        is_cut_off: Callable[[], bool] = lambda: False,
    ) -> None:
        """`max_s` bounds a suspicion, and all of them together for one agent that does not answer.

        `calm_s`: for how long failures are believed after some were confirmed.
        `is_cut_off`: a second opinion has said that our network is broken.
        """
        self._clock = clock
        self._max_s = max_s
        self._calm_s = calm_s
        self._recent_s = recent_s
        self._is_cut_off = is_cut_off
        self._answers = 0
        self._failures = 0
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        # Agents that answered since the first weighed one began to fail, with the number of their last answer.
        self._answering: OrderedDict[str, int] = OrderedDict()
        self._failing: dict[str, _Failing] = {}
        # Those of them that are weighed against the answers, first one first.
        self._weighed: OrderedDict[str, _Failing] = OrderedDict()
        # Those of them that were said to be offline, with the time until which they count.
        self._believed: OrderedDict[str, float] = OrderedDict()
        # Since when agents are held back that have not answered since, through all suspicions.
        self._held: dict[str, float] = {}
        self._believe_until = float("-inf")
        # When agents answered again after a suspicion.
        self._recovered_at = float("-inf")
        self.suspicion: Suspicion | None = None

    @property
    def failing(self) -> Sequence[str]:
        """Agents that do not answer now, without those that were dead before the others began to fail."""
        return list(self._weighed)

    def slow(self, agent_id: str) -> None:
        """The check of an agent that is not known to be dead takes long: its first try has failed, or soon will."""
        if agent_id not in self._failing:
            self._fails(agent_id)

    def consider(self, report: Report, *, before: Status, started: float | None = None) -> Report:
        """The report to go by; `before` is what the agent was when its check began, at `started` (None: just now)."""
        agent_id = report.agent_id
        if report.status is Status.ONLINE:
            self._answered(agent_id)
            return report
        if report.status is not Status.OFFLINE:
            self._drop(agent_id)
            self._held.pop(agent_id, None)
            return report
        if before is Status.OFFLINE:
            return report
        if self._has_died(agent_id, started):
            self._drop(agent_id)
            return report
        if self._is_void(started):
            self._drop(agent_id)
            return self._hold(report, before)
        if agent_id not in self._failing:
            if before not in COUNTED:
                return report
            self._fails(agent_id)
        if not self._is_suspicious():
            self._believed[agent_id] = self._clock() + self._recent_s
            return report
        self._failing[agent_id].report = report
        return self._hold(report, before)

    def consider_other(self, report: Report, *, started: float) -> Report:
        """The same for an agent of another replica, which weighs nothing here: who has it says what it is."""
        is_doubted = self.suspicion is not None or self._is_cut_off() or self._is_void(started)
        if report.status is not Status.OFFLINE or not is_doubted:
            return report
        return _unknown(report, Status.UNKNOWN)

    def tell(self, message: str) -> None:
        """What the second opinion was, for who looks."""
        if self.suspicion is not None:
            self.suspicion = replace(self.suspicion, message=message)

    def believe(self, why: str) -> list[Report]:
        """The failures are true: the reports that were held back."""
        log.warning("failures_confirmed", why=why, agents=len(self._failing))
        self._believe_until = self._clock() + self._calm_s
        held = [one.report for one in self._failing.values() if one.report is not None]
        self._end()
        return held

    def overdue(self) -> bool:
        """Whether the suspicion has lasted for as long as it may."""
        return self.suspicion is not None and self._clock() >= self.suspicion.until

    def forget(self, agent_ids: Sequence[str]) -> None:
        """Agents that are not ours any more."""
        for agent_id in agent_ids:
            self._drop(agent_id)
            self._answering.pop(agent_id, None)
            self._held.pop(agent_id, None)
        if agent_ids and self.suspicion is not None and not self._outweighed():
            self._recovered()

    def _fails(self, agent_id: str) -> None:
        self._answering.pop(agent_id, None)
        began_well = 2 * sum(self._recent) >= len(self._recent) - 1
        failing = _Failing(self._answers, self._failures, began_well)
        self._failing[agent_id] = self._weighed[agent_id] = failing
        self._failures += 1
        self._recent.append(False)

    def _drop(self, agent_id: str) -> None:
        self._failing.pop(agent_id, None)
        self._weighed.pop(agent_id, None)
        self._believed.pop(agent_id, None)

    def _answered(self, agent_id: str) -> None:
        self._answers += 1
        self._recent.append(True)
        self._drop(agent_id)
        self._held.pop(agent_id, None)
        if self._weighed:
            self._answering[agent_id] = self._answers
            self._answering.move_to_end(agent_id)
        else:
            self._answering.clear()
        if self.suspicion is not None and not self._outweighed():
            self._recovered()

    def _hold(self, report: Report, before: Status) -> Report:
        self._held.setdefault(report.agent_id, self._clock())
        return _unknown(report, before)

    def _has_died(self, agent_id: str, started: float | None) -> bool:
        """Whether an agent that is held back has failed once more while our network was there."""
        since = self._held.get(agent_id)
        if since is None:
            return False
        if self._clock() >= since + self._max_s:
            return True
        failing = self._failing.get(agent_id)
        if failing is None or since >= self._recovered_at or self._is_void(started):
            return False
        # When it began, too: it may have begun in an outage that ends just now.
        answers, failures = self._answers - failing.answers, self._failures - failing.failures
        are_several = min(answers, len(self._answering)) >= MIN_ANSWERS
        return failing.began_well and are_several and 2 * answers >= failures

    def _is_void(self, started: float | None) -> bool:
        """Whether it was tried while our network was broken: only the next check says something about the agent."""
        return started is not None and started < self._recovered_at

    def _is_suspicious(self) -> bool:
        if self.suspicion is not None:
            return True
        now = self._clock()
        while self._believed and next(iter(self._believed.values())) <= now:
            self._drop(next(iter(self._believed)))
        if now < self._believe_until or not self._outweighed():
            return False
        self.suspicion = Suspicion(now, now + self._max_s)
        DOUBTING.set(1)
        log.warning("suspects_itself", failing=len(self._failing), until_s=self._max_s)
        return True

    def _outweighed(self) -> bool:
        while len(self._weighed) >= MIN_FAILING:
            first = next(iter(self._weighed.values()))
            while self._answering and next(iter(self._answering.values())) <= first.answers:
                self._answering.popitem(last=False)
            if len(self._weighed) > len(self._answering):
                return 2 * len(self._weighed) >= len(self._failing)
            # It has died, and we were not cut off then.
            self._weighed.popitem(last=False)
        return False

    def _recovered(self) -> None:
        """Agents answer again: those that still do not are judged at their next check."""
        log.info("suspects_itself_no_more", failing=len(self._failing))
        self._recovered_at = self._clock()
        self._end()

    def _end(self) -> None:
        self.suspicion = None
        self._failing.clear()
        self._weighed.clear()
        self._believed.clear()
        self._answering.clear()
        DOUBTING.set(0)


def _unknown(report: Report, before: Status) -> Report:
    outcome = report.outcome
    message = f"most agents fail at once, so it may be the control plane that is cut off; this one: {outcome.message}"
    doubted = Outcome(cause=CAUSE, message=message, tries=outcome.tries)
    return replace(report, status=Status.UNKNOWN, outcome=doubted, is_transition=before is not Status.UNKNOWN)
