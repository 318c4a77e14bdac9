"""One owned command from where it stands to its end."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from myx_executor.domain.command import Command, LeaseLost, OfflinePolicy, Outcome, Secrets
from myx_executor.domain.log import LogBytes, LogEnd, LogGap, LogItem, Piece, gather
from myx_executor.domain.next_step import (
    ACCESS_UNKNOWN,
    AGENT_OFFLINE,
    JOB_HELD,
    LOCK_HELD,
    has_waited,
    has_waited_for,
    until,
)
from myx_executor.domain.outcome import never_sent, outcome_of, result_from_wire
from myx_executor.domain.states import LOST_AFTER_S, OVERDUE_MARGIN_S, Status
from myx_executor.store.commands import CommandStore, Owned
from myx_executor.store.logs import LogStore
from myx_executor.usecases.authority import RUN, Authority
from myx_executor.usecases.deliver import SHORT_S, Attempts, CancelWish, Delivery, Order, not_delivered
from myx_executor.usecases.fetch import Fetch
from myx_executor.usecases.ledger import Lease, Ledger
from myx_executor.usecases.live import LiveHub
from myx_executor.usecases.locks import Locks
from myx_executor.usecases.metrics import DISPATCH_S, FINISHED
from myx_executor.usecases.patience import UNTIL_LOST, patiently
from myx_executor.usecases.ports import AgentFailed, Agents, Presence, ServerGone
from myx_executor.usecases.sealing import open_secrets
from myx_executor.usecases.sent_mark import SentMark
from myx_executor.usecases.sink import LogSink, Pressure
from myx_executor.usecases.vigil import Contact, Vigil
from myx_kit.errors import Internal, MyxError, Unavailable
from myx_kit.logging import get_logger
from myx_kit.retry import RetryPolicy
from myx_kit.secretbox import SecretBox

log = get_logger()

_ASK_AGAIN_S = 5.0
# What waits is looked at again so often at the least.
LOOK_S = 30.0
# How often an agent that is said to be offline is tried all the same: who says so may be wrong.
DISTRUST = 0.1
# Ends of a delivery after which nothing was sent and the agent is away.
AWAY = ("agent_unreachable", "registry_unavailable")


@dataclass(frozen=True, slots=True)
class Limits:
    """Times of a drive, in seconds (settings)."""

    delivery_deadline_s: float = 300.0
    calm_retry_s: float = 10.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    call_s: float = 30.0
    # What does not hear from its agent for so long beyond its limits is lost.
    lost_after_s: float = LOST_AFTER_S
    # What agents are given beyond the limits that they keep themselves.
    margin_s: float = OVERDUE_MARGIN_S


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
    locks: Locks
    presence: Presence
    authority: Authority = field(default_factory=Authority)


class Drive:
    """The owner's work on one command, until it is final; LeaseLost when another replica has it."""

    def __init__(self, tools: Tools, owned: Owned, lease: Lease) -> None:
        self._tools = tools
        self._owned = owned
        self._lease = lease
        self.cancel = CancelWish()
        self._attempts = Attempts(owned.command.attempts)
        self._ledger = Ledger(lease, tools.commands, tools.logs, tools.hub, lambda: self.cancel.ask(None))
        self._contact = Contact()
        self._fetch = Fetch(
            tools.agents,
            owned.command.server_id,
            owned.command.id,
            self._attempts,
            note=self._note_way,
            calm_s=tools.limits.calm_retry_s,
            contact=self._contact,
        )
        self._overdue = ""
        self._said = owned.command.message
        if owned.command.cancel_requested_at is not None:
            self.cancel.ask(owned.command.cancel_grace_s)

    @property
    def dies_with_us(self) -> bool:
        """No: the agent has the command."""
        return False

    async def run(self) -> None:
        """Delivers if need be, follows, finishes; or gives it back to wait when nothing was sent."""
        command = self._owned.command
        self._tools.hub.begin(command.id)
        last: Command | None = None
        try:
            if command.started_at is None:
                last = await self._deliver()
            if last is None:
                last = await self._follow()
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - raised again, or logged and ended by the deadline
            last = await self._broken(error)
        finally:
            await self._tools.hub.end(command.id, last if last is not None and last.is_final else None)

    async def _broken(self, error: Exception) -> Command:
        """A fault of ours is tried again by whoever has the lease next; it does not outlive the deadline."""
        command = self._ledger.command
        if command.deadline_at is None or datetime.now(UTC) < command.deadline_at or _is_absence(error):
            raise error
        log.error("drive_given_up", command_id=str(command.id), exc_info=error)
        message = "an unexpected fault of MyX until its deadline; the executor's log has the details"
        if command.started_at is not None:
            return await self._finish(Outcome(Status.LOST, "internal", message), known=False)
        status = Status.UNKNOWN if self._owned.maybe_sent else Status.FAILED
        return await self._finish(Outcome(status, "internal", message), known=False)

    async def _deliver(self) -> Command | None:
        """The final command when the first answer was the last word, or the queued one; None: it runs."""
        tools, command = self._tools, self._owned.command
        queued = await self._wait_for_turn()
        if queued is not None:
            return queued
        if has_waited(command) and not self._owned.maybe_sent and (refused := await self._refused()) is not None:
            return refused
        try:
            secrets = open_secrets(tools.box, command.id, self._owned.sealed)
        except Internal as error:
            status = Status.UNKNOWN if self._owned.maybe_sent else Status.FAILED
            return await self._finish(Outcome(status, error.reason.lower(), error.message), known=False)
        first = await Delivery(
            tools.agents,
            self._lease,
            self._order(secrets),
            self.cancel,
            self._attempts,
            # A look at what waits is one try.
            retry=RetryPolicy(0, 0.0) if self._waits_for_agent else tools.limits.retry,
            deadline_s=command.connect_timeout_s,
            calm_s=tools.limits.calm_retry_s,
            lost_after_s=tools.limits.lost_after_s,
            steps_back=command.offline_policy is OfflinePolicy.QUEUE,
            note=self._say,
        ).run()
        if isinstance(first, Outcome):
            return await self._undelivered(first)
        DISPATCH_S.observe(max(0.0, (datetime.now(UTC) - command.created_at).total_seconds()))
        items, end = split(first, self._ledger.size)
        pieces = gather(items)
        if end is None:
            await self._ledger.confirm(pieces, self._attempts.all)
            return None
        return await self._conclude(end, pieces)

    def _order(self, secrets: Secrets) -> Order:
        command, agents = self._owned.command, self._tools.agents
        since = command.dispatch_at or datetime.now(UTC)
        due = since + timedelta(seconds=command.connect_timeout_s)

        def send() -> Awaitable[list[LogItem]]:
            left_s = max((due - datetime.now(UTC)).total_seconds(), 1.0)
            timeout_s = min(left_s, self._tools.limits.call_s)
            return agents.execute(
                command.server_id, command.id, command.spec, secrets, wait_s=SHORT_S, timeout_s=timeout_s
            )

        def held() -> Awaitable[bool]:
            return patiently(lambda: self._tools.commands.is_held(command), UNTIL_LOST)

        mark = SentMark(command, self._tools.commands, lambda: self.cancel.ask(None))
        cancel_due = command.deadline_at if command.cancel_requested_at is not None else None
        return Order(command.server_id, command.id, send, self._owned.maybe_sent, since, mark, held, cancel_due)

    async def _wait_for_turn(self) -> Command | None:
        """The queued command when it is not its turn yet; None: it may be sent."""
        command = self._owned.command
        doubted = random.random() < DISTRUST  # noqa: S311 - guards nothing
        if self._waits_for_agent and not doubted and await self._tools.presence.is_away(command.server_id):
            return await self._queue(AGENT_OFFLINE, "the agent is offline")
        # Nothing is sent without the lock: who does not have it was never sent, whoever had it before.
        waits = await self._tools.locks.acquire(self._lease.command)
        return await self._queue(LOCK_HELD, waits) if waits else None

    @property
    def _waits_for_agent(self) -> bool:
        """Whether it waited for its agent until now; an owner before us may have sent it since."""
        return not self._owned.maybe_sent and has_waited_for(self._owned.command, AGENT_OFFLINE)

    async def _refused(self) -> Command | None:
        """What waited begins only if whoever ordered it still may: the final or again queued command; None: it may."""
        command = self._owned.command
        try:
            why = await self._tools.authority.refusal(command.requested_by, RUN, [command.server_id])
        except Unavailable as error:
            return await self._queue(ACCESS_UNKNOWN, error.message)
        if why is None:
            return None
        return await self._finish(Outcome(Status.FAILED, "access_denied", why), known=False)

    async def _undelivered(self, outcome: Outcome) -> Command:
        if outcome.reason == JOB_HELD:
            return await self._queue(JOB_HELD, outcome.message)
        policy = self._owned.command.offline_policy
        if outcome.status is Status.FAILED and outcome.reason in AWAY:
            if self.cancel.asked.is_set():
                return await self._finish(never_sent(self._owned.command.kind), known=False)
            if policy is OfflinePolicy.QUEUE:
                return await self._queue(AGENT_OFFLINE, outcome.message)
            if policy is OfflinePolicy.SKIP:
                outcome = replace(outcome, status=Status.SKIPPED, message=f"skipped: {outcome.message}")
        return await self._finish(outcome, known=False)

    async def _queue(self, reason: str, why: str) -> Command:
        """The queued command; the final one when its end was asked for meanwhile."""
        command = self._owned.command
        message = until(why, command.created_at + timedelta(seconds=command.queue_timeout_s))
        look_s = LOOK_S * (1 - 0.3 * random.random())  # noqa: S311 - spreads load, guards nothing
        queued = await self._ledger.queue(reason, message, self._attempts.all, look_s)
        if queued is None:
            return await self._finish(never_sent(command.kind), known=False)
        await self._tools.locks.released(command)
        return queued

    async def _follow(self) -> Command:
        sink = LogSink(self._ledger, self._tools.pressure)
        limits = self._tools.limits
        vigil = Vigil(
            self._ledger.command,
            self._contact,
            self._ledger.touch,
            lost_after_s=limits.lost_after_s,
            margin_s=limits.margin_s,
        )
        end: LogEnd | Outcome | None = None
        lost = False
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(sink.run())
                watchers = [
                    group.create_task(self._cancel_until_proved(vigil)),
                    group.create_task(self._keep_limits(vigil)),
                ]
                ends = [group.create_task(self._fetch.run(sink)), group.create_task(vigil.gone())]
                done, waiting = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                end = next(task for task in ends if task in done).result()
                sink.end()
                for task in (*watchers, *waiting):
                    task.cancel()
        except* LeaseLost:
            lost = True
        finally:
            rest = sink.rest()
        if lost:
            raise LeaseLost
        if isinstance(end, LogEnd):
            return await self._conclude(end, rest)
        assert isinstance(end, Outcome)  # noqa: S101 - nothing else is returned
        return await self._finish(end, known=False, rest=rest)

    async def _conclude(self, end: LogEnd, rest: Sequence[Piece]) -> Command:
        result = result_from_wire(end.result)
        completeness, left = await self._ledger.completeness(result, end.offset, rest)
        return await self._finish(outcome_of(result, completeness, overdue=self._overdue), known=True, rest=left)

    async def _finish(self, outcome: Outcome, *, known: bool, rest: Sequence[Piece] = ()) -> Command:
        final = await self._ledger.finish(outcome, self._attempts.all, rest, release_pending=known)
        FINISHED.labels(final.status).inc()
        log.info("command_finished", command_id=str(final.id), status=final.status, reason=final.reason)
        self._tools.on_final(final, known)
        await self._tools.locks.released(final)
        return final

    async def _cancel_until_proved(self, vigil: Vigil) -> None:
        """Asks the agent for the end again and again; the agent's result ends this, nothing else."""
        await self.cancel.asked.wait()
        vigil.end_is_asked(self.cancel.grace_s)
        while True:
            cause = await self._ask_for_end(self.cancel.grace_s)
            if cause:
                await self._say(not_delivered(cause))
            elif self._said:
                await self._say("")
            await asyncio.sleep(_ASK_AGAIN_S + (0.0 if cause else self.cancel.grace_s))

    async def _keep_limits(self, vigil: Vigil) -> None:
        """Ends a command whose agent let a limit pass."""
        reason = await vigil.overdue()
        self._overdue = "" if self.cancel.asked.is_set() else reason
        vigil.end_is_asked(self.cancel.grace_s)
        while True:
            cause = await self._ask_for_end(self.cancel.grace_s)
            await asyncio.sleep(_ASK_AGAIN_S + (0.0 if cause else self.cancel.grace_s))

    async def _ask_for_end(self, grace_s: float) -> str:
        """Empty: the agent was told. Else why not."""
        command = self._owned.command
        try:
            await self._tools.agents.cancel(command.server_id, command.id, grace_s)
        except AgentFailed as failure:
            log.info("cancel_not_delivered", command_id=str(command.id), cause=failure.cause)
            return failure.message
        except (ServerGone, MyxError):
            log.info("cancel_not_delivered", command_id=str(command.id), cause="registry")
            return "the agent's address could not be looked up"
        self._contact.heard()
        return ""

    async def _note_way(self, message: str) -> None:
        """What the way of the log says; while a cancellation is under way that one is told of."""
        if not self.cancel.asked.is_set():
            await self._say(message)

    async def _say(self, message: str) -> None:
        """Shows in the row why nothing comes."""
        if message != self._said:
            self._said = message
            await self._ledger.note(message, self._attempts.all)


def _is_absence(error: Exception) -> bool:
    """Whether it is nothing but a database that is away: a result that is not stored yet can be had again."""
    if isinstance(error, ExceptionGroup):
        return error.split(Unavailable)[1] is None
    return isinstance(error, Unavailable)


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
