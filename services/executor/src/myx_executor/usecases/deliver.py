"""Handing a command to its agent: once, and honestly when it cannot be known."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from myx_executor.domain.command import Attempt, LeaseLost, Outcome
from myx_executor.domain.log import LogItem
from myx_executor.domain.next_step import JOB_HELD
from myx_executor.domain.states import Status
from myx_executor.usecases.ledger import Lease
from myx_executor.usecases.ports import COMMAND_NOT_FOUND, AgentFailed, Agents, ServerGone
from myx_kit.errors import MyxError
from myx_kit.retry import RetryPolicy

MAX_ATTEMPTS = 32

# A short command ends within this time and costs one round trip.
SHORT_S = 0.05
# Whoever answers so may be called in a way that is not the agent's any more.
_WRONG_WAY = frozenset({"unauthorized", "pin_mismatch", "wrong_path"})
_MISSING_TWICE = 2
_LOOK_AGAIN_S = 1.0


class CancelWish:
    """Whether the end of a command was asked for, and how long it may take over it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.grace_s = 10.0

    def ask(self, grace_s: float | None) -> None:
        """Asks; harmless to repeat."""
        if grace_s is not None:
            self.grace_s = grace_s
        self.asked.set()

    async def wait(self, limit_s: float) -> None:
        """Returns once it was asked for, or after `limit_s`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self.asked.wait()


class Attempts:
    """The tries of one command, the last MAX_ATTEMPTS of them."""

    def __init__(self, earlier: tuple[Attempt, ...]) -> None:
        self.all: list[Attempt] = list(earlier)

    def failed(self, failure: AgentFailed, wait_s: float | None) -> None:
        """Records the tries of a failed call; `wait_s` is the pause that follows the last."""
        tries = failure.attempts or (Attempt(datetime.now(UTC), failure.cause, failure.message),)
        last = tries[-1]
        self.all += [*tries[:-1], Attempt(last.at, last.cause, last.message, wait_s)]
        del self.all[:-MAX_ATTEMPTS]

    def succeeded(self) -> None:
        """Records the try that ended a row of failed ones."""
        if self.all and self.all[-1].cause:
            self.all.append(Attempt(datetime.now(UTC), "", ""))


class Mark(Protocol):
    """What is stored of whether an order may have been sent."""

    @property
    def is_set(self) -> bool:
        """Whether that it may have been sent is known to be stored."""
        ...

    async def set(self) -> bool:
        """Before it is sent. False: its job starts nothing now, or its end was asked for. LeaseLost."""
        ...

    async def clear(self) -> None:
        """It was certainly not sent."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """What is handed to an agent."""

    server_id: str
    command_id: UUID
    # One try; gives the first items of the log.
    send: Callable[[], Awaitable[list[LogItem]]]
    # It may have been sent before, at the earliest at `since`.
    maybe_sent: bool
    since: datetime
    # None: whoever goes on with it knows by other means.
    mark: Mark | None = None
    # Whether its job starts nothing now: asked before every try but the first.
    held: Callable[[], Awaitable[bool]] | None = None
    # Until when its agent is asked for the end; None: nobody had asked for it.
    cancel_due: datetime | None = None


class Delivery:
    """Gets one order to its agent and the first answer back.

    `lost_after_s`: how long, beyond the grace, the agent of what may have been sent is asked for its end. `steps_back`:
    while the registry is away nothing is waited for here.
    """

    def __init__(
        self,
        agents: Agents,
        lease: Lease,
        order: Order,
        cancel: CancelWish,
        attempts: Attempts,
        *,
        retry: RetryPolicy,
        deadline_s: float,
        calm_s: float,
        lost_after_s: float,
        steps_back: bool = False,
        note: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._note = note
        self._agents = agents
        self._lease = lease
        self._order = order
        self._cancel = cancel
        self._attempts = attempts
        self._calm_s = calm_s
        self._lost_after_s = lost_after_s
        self._steps_back = steps_back
        self._delays: Iterator[float] = retry.delays()
        # An agent is tried as often, however long nobody could say where it is.
        self._registry_delays: Iterator[float] = retry.delays()
        self._tried = False
        self._missing = 0
        self._asked_anew = False
        self._maybe_sent = order.maybe_sent
        self._deadline = order.since + timedelta(seconds=deadline_s)
        self._cancel_due = order.cancel_due

    async def run(self) -> list[LogItem] | Outcome:
        """The first items of the log (the agent has the command), or the end of a command that never got there."""
        while True:
            locate = self._maybe_sent and (self._cancel.asked.is_set() or self._overdue())
            if self._cancel.asked.is_set() and not self._maybe_sent:
                return Outcome(Status.CANCELLED, "cancelled", "cancelled before it was sent to the agent")
            if self._tried and not self._maybe_sent and self._order.held is not None and await self._order.held():
                return Outcome(Status.FAILED, JOB_HELD, "its job starts nothing now")
            if not self._lease.holds():
                raise LeaseLost
            self._tried = True
            after: Outcome | float | None
            try:
                items = await (self._locate() if locate else self._send())
                if items is None:
                    continue
                self._attempts.succeeded()
                return items
            except ServerGone as gone:
                return self._given_up("server_not_found", gone.why)
            except AgentFailed as failure:
                after = await self._after(failure, located=locate)
            except MyxError as error:
                after = self._wait_s(self._registry_delays, calmly=not self._steps_back)
                self._attempts.failed(registry_failure(error), after)
                if after is None:
                    return self._given_up("registry_unavailable", "the agent's address could not be looked up")
            if isinstance(after, Outcome):
                return after
            if after:
                await self._pause(after)

    async def _after(self, failure: AgentFailed, *, located: bool) -> Outcome | float:
        """The end that follows from a failure, or how long to wait before the next try."""
        ended = self._judge(failure, located=located)
        if ended is not None and await self._is_other_way(failure):
            self._attempts.failed(failure, 0.0)
            return 0.0
        if ended is not None:
            self._attempts.failed(failure, None)
            return ended
        wait_s = _LOOK_AGAIN_S if failure.code == COMMAND_NOT_FOUND else self._wait_s(self._delays)
        self._attempts.failed(failure, wait_s)
        if wait_s is not None:
            return wait_s
        if failure.code is not None:
            return self._given_up((failure.reason or "agent_refused").lower(), failure.message)
        return self._given_up("agent_unreachable", f"the agent could not be reached: {failure.message}")

    async def _send(self) -> list[LogItem] | None:
        """The first items of the log; None: look again whether it is to be sent.

        What is not marked yet is marked once its agent is there: who is killed while he tries has sent nothing.
        """
        mark = self._order.mark
        if mark is not None and not mark.is_set:
            await self._reach()
            if not await mark.set():
                return None
            if not self._lease.holds():
                raise LeaseLost
        return await self._order.send()

    async def _reach(self) -> None:
        """Calls the agent without handing it anything."""
        try:
            await self._agents.read_log(self._order.server_id, self._order.command_id, 0, wait_s=0)
        except AgentFailed as failure:
            if failure.code != COMMAND_NOT_FOUND:
                failure.maybe_delivered = False
                raise

    async def _is_other_way(self, failure: AgentFailed) -> bool:
        """Whether the agent was called by what was known of it before, and there is another way now; asked once."""
        if self._asked_anew or failure.way is None or failure.cause not in _WRONG_WAY:
            return False
        self._asked_anew = True
        try:
            return await self._agents.is_called_otherwise(self._order.server_id, failure.way)
        except (AgentFailed, ServerGone, MyxError):
            return False

    async def _tell_of_cancel(self) -> None:
        if self._note is not None and self._cancel.asked.is_set() and self._maybe_sent:
            await self._note(not_delivered(self._attempts.all[-1].message))

    async def _locate(self) -> list[LogItem] | Outcome:
        """Asks whether the agent has it, without giving it; what is cancelled it may not start any more."""
        server_id, command_id = self._order.server_id, self._order.command_id
        try:
            return await self._agents.read_log(server_id, command_id, 0, wait_s=0)
        except AgentFailed as failure:
            if failure.code != COMMAND_NOT_FOUND or not self._cancel.asked.is_set():
                raise
        if await self._agents.forbid(server_id, command_id):
            message = "cancelled; the agent had not got it, and will not start it"
            return Outcome(Status.CANCELLED, "cancelled", message)
        return await self._agents.read_log(server_id, command_id, 0, wait_s=0)

    def _judge(self, failure: AgentFailed, *, located: bool) -> Outcome | None:
        """The end that follows from a failure; None: try again."""
        if located and failure.code == COMMAND_NOT_FOUND:
            # What was sent may still lie unread at an agent that was stopped for a while: ask twice.
            self._missing += 1
            if self._missing < _MISSING_TWICE:
                return None
            if self._cancel.asked.is_set():
                return Outcome(Status.CANCELLED, "cancelled", "cancelled; the agent had not got it")
            return _unknown("the agent does not know it; it may have forgotten it")
        if failure.cause in ("refused", "unauthorized", "pin_mismatch", "wrong_path", "name_unresolved"):
            self._agents.forget(self._order.server_id)
        self._maybe_sent = self._maybe_sent or failure.maybe_delivered
        if failure.reason == "COMMAND_RELEASED":
            return _unknown("the agent has had it before and kept nothing of it")
        # A refusal ends nothing that may run: an agent looks at the order before it looks whether it has it already.
        if not failure.retryable and not self._maybe_sent:
            reason = failure.cause if failure.code is None else (failure.reason or "agent_refused").lower()
            return Outcome(Status.FAILED, reason, failure.message)
        return None

    def _wait_s(self, delays: Iterator[float], *, calmly: bool = False) -> float | None:
        """None: it is given up. `calmly`: not before its limit, although it was certainly not sent."""
        if self._overdue() and not self._maybe_sent:
            return None
        wait_s = next(delays, None)
        if wait_s is None and (self._maybe_sent or calmly) and not self._overdue():
            wait_s = self._calm_s * (1 - 0.3 * random.random())  # noqa: S311 - spreads load, guards nothing
        return wait_s

    def _given_up(self, reason: str, message: str) -> Outcome:
        if self._maybe_sent:
            return _unknown(f"{message}; it may have been delivered before, so it is not known whether it started")
        return Outcome(Status.FAILED, reason, message)

    def _overdue(self) -> bool:
        now = datetime.now(UTC)
        if not (self._maybe_sent and self._cancel.asked.is_set()):
            return now >= self._deadline
        if self._cancel_due is None:
            self._cancel_due = now + timedelta(seconds=self._cancel.grace_s + self._lost_after_s)
        return now >= self._cancel_due

    async def _pause(self, wait_s: float) -> None:
        mark = self._order.mark
        if mark is not None and mark.is_set and not self._maybe_sent:
            await mark.clear()
        await self._tell_of_cancel()
        if self._cancel.asked.is_set() and self._maybe_sent:
            await asyncio.sleep(wait_s)
        else:
            await self._cancel.wait(wait_s)


def not_delivered(cause: str) -> str:
    """What is shown of a cancellation while its agent cannot be told."""
    return f"cancel not delivered: {cause}; trying again"


def registry_failure(error: MyxError) -> AgentFailed:
    """The registry could not be asked where the agent is."""
    return AgentFailed("registry_unavailable", error.message, retryable=True, maybe_delivered=False)


def _unknown(message: str) -> Outcome:
    return Outcome(Status.UNKNOWN, "delivery_unknown", message)
