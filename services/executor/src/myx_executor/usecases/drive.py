"""One owned command from where it stands to its end."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from myx_executor.domain.command import Command, LeaseLost, Outcome, Secrets
from myx_executor.domain.log import LogBytes, LogEnd, LogGap, LogItem, Piece, gather
from myx_executor.domain.outcome import outcome_of, result_from_wire
from myx_executor.domain.states import Status
from myx_executor.store.commands import CommandStore, Owned
from myx_executor.store.logs import LogStore
from myx_executor.usecases.deliver import SHORT_S, Attempts, CancelWish, Delivery, Order
from myx_executor.usecases.fetch import Fetch
from myx_executor.usecases.ledger import Lease, Ledger
from myx_executor.usecases.live import LiveHub
from myx_executor.usecases.metrics import FINISHED
from myx_executor.usecases.ports import AgentFailed, Agents, ServerGone
from myx_executor.usecases.sealing import open_secrets
from myx_executor.usecases.sink import LogSink, Pressure
from myx_kit.errors import Internal, MyxError
from myx_kit.logging import get_logger
from myx_kit.retry import RetryPolicy
from myx_kit.secretbox import SecretBox

log = get_logger()

# The agent enforces the time limit; past it by this much the executor asks for the end itself.
_OVERDUE_MARGIN_S = 30.0
_ASK_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Times of a drive, in seconds (settings)."""

    delivery_deadline_s: float = 300.0
    calm_retry_s: float = 10.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True, slots=True)
class Tools:
    """What every drive works with."""

    agents: Agents
    commands: CommandStore
    logs: LogStore
    hub: LiveHub
    box: SecretBox
    pressure: Pressure
    limits: Limits
    on_final: Callable[[Command, bool], None]


class Drive:
    """The owner's work on one command, until it is final; LeaseLost when another replica has it."""

    def __init__(self, tools: Tools, owned: Owned, lease: Lease) -> None:
        self._tools = tools
        self._owned = owned
        self._lease = lease
        self.cancel = CancelWish()
        self._attempts = Attempts(owned.command.attempts)
        self._ledger = Ledger(lease, tools.commands, tools.logs, tools.hub, lambda: self.cancel.ask(None))
        self._fetch = Fetch(
            tools.agents,
            owned.command.server_id,
            owned.command.id,
            self._attempts,
            note=lambda message: self._ledger.note(message, self._attempts.all),
            calm_s=tools.limits.calm_retry_s,
        )
        self._overdue = False
        if owned.command.cancel_requested_at is not None:
            self.cancel.ask(owned.command.cancel_grace_s)

    @property
    def dies_with_us(self) -> bool:
        """No: the agent has the command."""
        return False

    async def run(self) -> None:
        """Delivers if need be, follows, finishes."""
        command = self._owned.command
        self._tools.hub.begin(command.id)
        final: Command | None = None
        try:
            if command.started_at is None:
                final = await self._deliver()
            if final is None:
                final = await self._follow()
        finally:
            await self._tools.hub.end(command.id, final)

    async def _deliver(self) -> Command | None:
        """The final command when the first answer was the last word, else None: it runs."""
        tools = self._tools
        try:
            secrets = open_secrets(tools.box, self._owned.command.id, self._owned.sealed)
        except Internal as error:
            status = Status.UNKNOWN if self._owned.maybe_sent else Status.FAILED
            return await self._finish(Outcome(status, error.reason.lower(), error.message), known=False)
        first = await Delivery(
            tools.agents,
            self._lease,
            self._order(secrets),
            self.cancel,
            self._attempts,
            retry=tools.limits.retry,
            deadline_s=tools.limits.delivery_deadline_s,
            calm_s=tools.limits.calm_retry_s,
        ).run()
        if isinstance(first, Outcome):
            return await self._finish(first, known=False)
        items, end = split(first, self._ledger.size)
        pieces = gather(items)
        if end is None:
            await self._ledger.confirm(pieces, self._attempts.all)
            return None
        return await self._conclude(end, pieces)

    def _order(self, secrets: Secrets) -> Order:
        command, agents = self._owned.command, self._tools.agents
        return Order(
            server_id=command.server_id,
            command_id=command.id,
            send=lambda: agents.execute(command.server_id, command.id, command.spec, secrets, wait_s=SHORT_S),
            maybe_sent=self._owned.maybe_sent,
            since=command.dispatch_at or datetime.now(UTC),
        )

    async def _follow(self) -> Command:
        sink = LogSink(self._ledger, self._tools.pressure)
        end: LogEnd | Outcome | None = None
        lost = False
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(sink.run())
                watchers = [group.create_task(self._cancel_until_proved()), group.create_task(self._watch_time())]
                end = await self._fetch.run(sink)
                sink.end()
                for watcher in watchers:
                    watcher.cancel()
        except* LeaseLost:
            lost = True
        finally:
            rest = sink.rest()
        if lost:
            raise LeaseLost
        if isinstance(end, LogEnd):
            return await self._conclude(end, rest)
        assert isinstance(end, Outcome)  # noqa: S101 - fetch returns nothing else
        return await self._finish(end, known=False, rest=rest)

    async def _conclude(self, end: LogEnd, rest: Sequence[Piece]) -> Command:
        result = result_from_wire(end.result)
        completeness, left = await self._ledger.completeness(result, end.offset, rest)
        return await self._finish(outcome_of(result, completeness, overdue=self._overdue), known=True, rest=left)

    async def _finish(self, outcome: Outcome, *, known: bool, rest: Sequence[Piece] = ()) -> Command:
        final = await self._ledger.finish(outcome, self._attempts.all, rest, release_pending=known)
        FINISHED.labels(final.status).inc()
        self._tools.on_final(final, known)
        return final

    async def _cancel_until_proved(self) -> None:
        """Asks the agent for the end again and again; the agent's result ends this, nothing else."""
        await self.cancel.asked.wait()
        while True:
            await self._ask_for_end(self.cancel.grace_s)
            await asyncio.sleep(_ASK_AGAIN_S + self.cancel.grace_s)

    async def _watch_time(self) -> None:
        """Ends a command whose agent let the time limit pass."""
        timeout_s = self._owned.command.spec.timeout_s
        if not timeout_s:
            return
        started_at = self._ledger.command.started_at or datetime.now(UTC)
        due = started_at + timedelta(seconds=timeout_s + _OVERDUE_MARGIN_S)
        await asyncio.sleep(max((due - datetime.now(UTC)).total_seconds(), 0.0))
        self._overdue = not self.cancel.asked.is_set()
        while True:
            await self._ask_for_end(self.cancel.grace_s)
            await asyncio.sleep(_ASK_AGAIN_S + self.cancel.grace_s)

    async def _ask_for_end(self, grace_s: float) -> None:
        command = self._owned.command
        try:
            await self._tools.agents.cancel(command.server_id, command.id, grace_s)
        except AgentFailed as failure:
            log.info("cancel_not_delivered", command_id=str(command.id), cause=failure.cause)
        except (ServerGone, MyxError):
            log.info("cancel_not_delivered", command_id=str(command.id), cause="registry")


def split(items: Iterable[LogItem], offset: int) -> tuple[list[LogBytes | LogGap], LogEnd | None]:
    """The items that follow each other from `offset` on, and the end if nothing before it is missing."""
    out: list[LogBytes | LogGap] = []
    for item in items:
        if item.offset != offset:
            break
        if isinstance(item, LogEnd):
            return out, item
        out.append(item)
        offset = item.end
    return out, None
