"""What is known of agents over time, and when they are not watched."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from uuid import UUID

from myx_kit.db.outbox import Outbox
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import FailedPrecondition
from myx_kit.ids import parse_id
from myx_kit.pagination import clamp
from myx_registry.domain.agents import Agent
from myx_registry.domain.heartbeats import FactChange, StatusChange
from myx_registry.domain.pauses import checked_pause
from myx_registry.domain.series import RESOLUTIONS, Metric, Point, Range, checked_range, floor
from myx_registry.store import agents, history, pauses, samples, servers
from myx_registry.store.database import Connection
from myx_registry.usecases import events
from myx_registry.usecases.pages import Page, cursor
from myx_registry.usecases.references import agent_not_found, the_server
from myx_registry.usecases.selection import Selection

_TRANSITIONS = "agent-transitions"
_FACTS = "fact-changes"
# Reports of the last moments may still come; what comes later than this is missing in the coarser steps.
_LAG = timedelta(minutes=3)
# How often agents with too long a history are looked for.
_SURPLUS_EVERY = timedelta(hours=1)


class Histories:
    """The reading use cases. A server is named by id or name everywhere."""

    def __init__(self, uow: UnitOfWork, now: Callable[[], datetime]) -> None:
        self._uow = uow
        self._now = now

    async def transitions(self, reference: str, page_size: int, page_token: str) -> Page[StatusChange]:
        """Changes of an agent's status and cause, newest first.

        Raises NotFound `SERVER_NOT_FOUND`, `AGENT_NOT_FOUND`, InvalidArgument `PAGE_TOKEN_INVALID`.
        """
        before, limit = _before(page_token, _TRANSITIONS), clamp(page_size, 100, 1000)
        async with self._uow.begin() as connection:
            agent = await _the_agent(connection, reference)
            found = await history.status_changes(connection, agent.id, before_id=before, limit=limit + 1)
        items = found[:limit]
        return Page(_TRANSITIONS, [one for _, one in items], history.ids_of(items), more=len(found) > limit)

    async def facts(self, reference: str, page_size: int, page_token: str) -> Page[FactChange]:
        """Changes of an agent's facts, newest first. Raises as `transitions`."""
        before, limit = _before(page_token, _FACTS), clamp(page_size, 100, 1000)
        async with self._uow.begin() as connection:
            agent = await _the_agent(connection, reference)
            found = await history.fact_changes(connection, agent.id, before_id=before, limit=limit + 1)
        items = found[:limit]
        return Page(_FACTS, [one for _, one in items], history.ids_of(items), more=len(found) > limit)

    async def series(
        self, reference: str, metrics: Sequence[Metric], start: datetime | None, end: datetime | None, step_s: float
    ) -> tuple[Range, dict[Metric, list[Point]]]:
        """What was measured, by metric (all without one). Raises NotFound, InvalidArgument `RANGE_INVALID`."""
        asked = checked_range(start, end, step_s, self._now())
        async with self._uow.begin() as connection:
            agent = await _the_agent(connection, reference)
            wanted = dict.fromkeys(metrics or Metric)
            return asked, {one: await samples.points(connection, agent.id, one, asked) for one in wanted}


class Pauses:
    """Stops and resumes checks."""

    def __init__(self, uow: UnitOfWork, outbox: Outbox, now: Callable[[], datetime]) -> None:
        self._uow = uow
        self._outbox = outbox
        self._now = now
        self._selection = Selection(uow)

    async def pause(
        self, selector: str, references: Sequence[str], until: datetime | None, reason: str, actor: str
    ) -> int:
        """How many servers are paused now. Raises InvalidArgument `PAUSE_INVALID`, `SELECTOR_INVALID`, NotFound
        `SERVER_NOT_FOUND`, FailedPrecondition `SELECTOR_MATCHES_NOTHING`."""
        pause = checked_pause(until, reason, actor, self._now())
        ids = await self._chosen(selector, references)
        async with self._uow.begin() as connection:
            kept = await servers.keep_servers(connection, ids)
            await pauses.put_pauses(connection, kept, pause)
            await self._tell(connection, kept)
        return len(kept)

    async def resume(self, selector: str, references: Sequence[str]) -> int:
        """How many servers were paused. Raises as `pause`."""
        ids = await self._chosen(selector, references)
        async with self._uow.begin() as connection:
            ended = await pauses.end_pauses(connection, ids)
            await self._tell(connection, ended)
        return len(ended)

    async def _chosen(self, selector: str, references: Sequence[str]) -> list[UUID]:
        found = await self._selection.resolve(selector, references)
        if not found:
            raise FailedPrecondition("SELECTOR_MATCHES_NOTHING", "No server matches the selector.", field="selector")
        return [one.id for one in found]

    async def _tell(self, connection: Connection, server_ids: Sequence[UUID]) -> None:
        """One event is enough for who reads the whole list again."""
        if server_ids:
            server = await servers.find_server(connection, str(server_ids[0]))
            if server is not None:
                event = events.server_updated(server, self._now())
                await self._outbox.add(connection, "server", "updated", str(server.id), event)


class Machines:
    """Which machine is the right one."""

    def __init__(self, uow: UnitOfWork, outbox: Outbox, now: Callable[[], datetime]) -> None:
        self._uow = uow
        self._outbox = outbox
        self._now = now

    async def accept(self, reference: str) -> Agent:
        """The agent; the machine that answers next is the right one. Raises NotFound."""
        async with self._uow.begin() as connection:
            server = await the_server(connection, reference)
            await agents.accept_machine(connection, server.id)
            agent = await _the_agent(connection, str(server.id))
            event = events.server_updated(server, self._now())
            await self._outbox.add(connection, "server", "updated", str(server.id), event)
        return agent


class Housekeeping:
    """Sums samples up and removes what is too old; one replica at a time does it."""

    def __init__(self, uow: UnitOfWork, now: Callable[[], datetime], *, history_days: int, history_rows: int) -> None:
        self._uow = uow
        self._now = now
        self._history_days = history_days
        self._history_rows = history_rows
        self._surplus_at = datetime.min.replace(tzinfo=UTC)

    async def run_once(self) -> None:
        """One turn: a step that fails does not keep the others. Raises MyxError, as when the database is away."""
        failures: list[Exception] = []
        for step in self._steps(self._now()):
            try:
                async with self._uow.begin() as connection:
                    if await samples.take_turn(connection):
                        await step(connection)
            except Exception as error:  # noqa: BLE001 - what cannot be summed up must not stay for ever
                failures.append(error)
        if failures:
            raise failures[0]

    def _steps(self, now: datetime) -> list[Callable[[Connection], Awaitable[object]]]:
        """Each has a transaction of its own."""
        steps: list[Callable[[Connection], Awaitable[object]]] = []
        for source, target in pairwise(RESOLUTIONS):
            until = floor(now - _LAG, target.step)
            steps.append(partial(samples.sum_up, source=source, target=target, until=until))
        steps += [partial(samples.prune, resolution=one, now=now) for one in RESOLUTIONS]
        steps.append(partial(history.prune_expired, before=now - timedelta(days=self._history_days)))
        steps.append(partial(pauses.forget_ended, now=now))
        if now >= self._surplus_at:
            steps.append(self._prune_surplus)
        return steps

    async def _prune_surplus(self, connection: Connection) -> None:
        self._surplus_at = self._now() + _SURPLUS_EVERY
        await history.prune_surplus(connection, self._history_rows)


async def _the_agent(connection: Connection, reference: str) -> Agent:
    server = await the_server(connection, reference)
    agent = await agents.find_agent(connection, server.id)
    if agent is None:
        raise agent_not_found(reference)
    return agent


def _before(page_token: str, kind: str) -> UUID | None:
    key = cursor(page_token, kind)
    return parse_id(key, field="page_token") if key else None
