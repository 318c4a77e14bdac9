"""The agents that this replica checks, and what it knows of each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from myx_heartbeat.domain import Endpoint, Intervals, Report, Status, first_delay_s, next_delay_s
from myx_heartbeat.usecases.schedule import Lane, Schedule


@dataclass(slots=True)
class Agent:
    """One agent. `starting_until` is the monotonic time up to which a new agent may still be on its way up."""

    endpoint: Endpoint
    status: Status
    cause: str = ""
    starting_until: float = 0.0

    @property
    def lane(self) -> Lane:
        return Lane.LIVING if self.status is Status.ONLINE else Lane.SUSPECT


class Fleet:
    """Keeps agents and schedule in step with the registry's list and with the outcomes of checks."""

    def __init__(
        self, intervals: Intervals, schedule: Schedule, clock: Callable[[], float], chance: Callable[[], float]
    ) -> None:
        """`chance` gives numbers in [0, 1)."""
        self._intervals = intervals
        self._schedule = schedule
        self._clock = clock
        self._chance = chance
        self._agents: dict[str, Agent] = {}
        self._server_agents: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._agents)

    def get(self, agent_id: str) -> Agent | None:
        """The agent, or None when it is gone or not ours."""
        return self._agents.get(agent_id)

    def of_server(self, server: str) -> Agent | None:
        """The agent of a server named by id or name."""
        return self._agents.get(self._server_agents.get(server, ""))

    def living(self) -> list[Endpoint]:
        """The agents that answered when they were last checked."""
        return [one.endpoint for one in self._agents.values() if one.status is Status.ONLINE]

    def replace(self, endpoints: Iterable[Endpoint], checking: Callable[[str], bool]) -> list[str]:
        """Take over the whole list of our agents; the ids of those that are not in it any more.

        New and moved agents are checked at once, but not in one rush. `checking` says whether a check runs now: such
        an agent has no due time until it ends.
        """
        seen = {one.agent_id: one for one in endpoints}
        gone = [agent_id for agent_id in self._agents if agent_id not in seen]
        for agent_id in gone:
            self._schedule.remove(agent_id)
            del self._agents[agent_id]
        fresh = [one for one in seen.values() if self._take(one)]
        self._server_agents = {}
        for one in seen.values():
            self._server_agents[one.server_name] = one.agent_id
        for one in seen.values():
            self._server_agents[one.server_id] = one.agent_id
        now = self._clock()
        for one in fresh:
            if not checking(one.agent_id):
                delay_s = first_delay_s(self._intervals, len(fresh), self._chance())
                self._schedule.put(one.agent_id, now + delay_s, self._agents[one.agent_id].lane)
        return gone

    def _take(self, endpoint: Endpoint) -> bool:
        known = self._agents.get(endpoint.agent_id)
        if known is None:
            is_new = endpoint.status is Status.PENDING
            until = self._clock() + self._intervals.startup_wait_s if is_new else 0.0
            self._agents[endpoint.agent_id] = Agent(endpoint, endpoint.status, starting_until=until)
            return True
        # A change of status, which may be our own, needs no other check.
        has_moved = known.endpoint.way != endpoint.way
        known.endpoint = endpoint
        return has_moved

    def settle(self, agent: Agent, report: Report) -> bool:
        """Note the outcome of a check and when the next one is due; whether the report is for the registry.

        A new agent that does not answer yet is not reported until its time to start is over.
        """
        agent_id = report.agent_id
        if self._agents.get(agent_id) is not agent:
            return False
        now = self._clock()
        is_starting = report.status is not Status.ONLINE and now < agent.starting_until
        if not is_starting:
            agent.status, agent.cause, agent.starting_until = report.status, report.outcome.cause, 0.0
        delay_s = next_delay_s(self._intervals, self._chance(), is_starting=is_starting)
        self._schedule.put(agent_id, now + delay_s, agent.lane)
        return not is_starting

    def mark(self, agent: Agent, report: Report) -> None:
        """Note what an agent is without touching when it is due."""
        agent.status, agent.cause = report.status, report.outcome.cause

    def reschedule(self, agent: Agent) -> None:
        """The check of an agent ended without an outcome: the next one is due as after any other."""
        agent_id = agent.endpoint.agent_id
        if self._agents.get(agent_id) is agent:
            now = self._clock()
            delay_s = next_delay_s(self._intervals, self._chance(), is_starting=now < agent.starting_until)
            self._schedule.put(agent_id, now + delay_s, agent.lane)

    def ask_witnesses(self, count: int) -> None:
        """Check so many agents now instead of soon, living ones if there are any: is it our fault?"""
        lane = Lane.SUSPECT if self._schedule.next_due(Lane.LIVING) is None else Lane.LIVING
        self._schedule.bring_forward(lane, count, self._clock())

    def spread_overdue(self) -> None:
        """After a pause of our own: what became due meanwhile is not done in one rush."""
        now = self._clock()
        overdue = self._schedule.overdue(now)
        for agent_id, lane in overdue:
            self._schedule.put(agent_id, now + first_delay_s(self._intervals, len(overdue), self._chance()), lane)
