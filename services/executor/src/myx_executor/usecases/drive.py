"""One owned command from where it stands to its end."""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from myx_executor.domain.command import Command, Completeness, LeaseLost, Outcome
from myx_executor.domain.log import LogBytes, LogEnd, LogGap, LogItem, Piece, gather
from myx_executor.domain.outcome import outcome_of, result_from_wire
from myx_executor.domain.states import Status
from myx_executor.store.commands import CommandStore, Owned
from myx_executor.store.logs import LogStore
from myx_executor.usecases.deliver import Attempts, CancelWish, Delivery, registry_failure
from myx_executor.usecases.ledger import Lease, Ledger
from myx_executor.usecases.live import LiveHub
from myx_executor.usecases.metrics import FINISHED
from myx_executor.usecases.ports import COMMAND_NOT_FOUND, OFFSET_BEYOND_END, AgentFailed, Agents, ServerGone
from myx_executor.usecases.sealing import open_secrets
from myx_executor.usecases.sink import LogSink, OutOfStep, Pressure
from myx_kit.errors import Internal, MyxError
from myx_kit.logging import get_logger
from myx_kit.retry import RetryPolicy
from myx_kit.secretbox import SecretBox

log = get_logger()

# The agent enforces the time limit; past it by this much the executor asks for the end itself.
_OVERDUE_MARGIN_S = 30.0
_ASK_AGAIN_S = 5.0
_LONG_POLL_S = 25.0
_EARLY_ANSWER_PAUSE_S = 0.5
_LONGEST_STREAM_PAUSE_S = 30.0
_QUICK_RETRIES_S = (0.0, 1.0, 2.0, 4.0)


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
        self._overdue = False
        self._stream_pause_s = 0.0
        self._stream_at = 0.0
        self._noted = False
        if owned.command.cancel_requested_at is not None:
            self.cancel.ask(owned.command.cancel_grace_s)

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
            status = Status.FAILED if self._owned.command.fence == 1 else Status.UNKNOWN
            return await self._finish(Outcome(status, error.reason.lower(), error.message), known=False)
        first = await Delivery(
            tools.agents,
            self._lease,
            secrets,
            self.cancel,
            self._attempts,
            retry=tools.limits.retry,
            deadline_s=tools.limits.delivery_deadline_s,
            calm_s=tools.limits.calm_retry_s,
        ).run()
        if isinstance(first, Outcome):
            return await self._finish(first, known=False)
        items, end = _split(first, self._ledger.size)
        pieces = gather(items)
        if end is None:
            await self._ledger.confirm(pieces, self._attempts.all)
            return None
        return await self._conclude(end, pieces)

    async def _follow(self) -> Command:
        sink = LogSink(self._ledger, self._tools.pressure)
        end: LogEnd | Outcome | None = None
        lost = False
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(sink.run())
                watchers = [group.create_task(self._cancel_until_proved()), group.create_task(self._watch_time())]
                end = await self._fetch(sink)
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

    async def _fetch(self, sink: LogSink) -> LogEnd | Outcome:
        """Feeds the sink until the agent's last word, however often the way to the agent breaks."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            try:
                if loop.time() >= self._stream_at:
                    end = await self._stream(sink)
                    if end is not None:
                        return end
                wait_s = min(max(self._stream_at - loop.time(), 0.0), _LONG_POLL_S)
                end = await self._poll(sink, wait_s)
                failures = 0
                if end is not None:
                    return end
                if self._noted:
                    self._noted = False
                    self._attempts.succeeded()
                    await self._ledger.note("", self._attempts.all)
                continue
            except ServerGone:
                return Outcome(Status.LOST, "server_not_found", "the registry knows no such server or agent any more")
            except OutOfStep:
                failure = AgentFailed(
                    "rpc_error", "the log does not go on where it was", retryable=True, maybe_delivered=True
                )
            except AgentFailed as error:
                failure = error
                if error.code == COMMAND_NOT_FOUND:
                    return _lost("the agent does not know the command any more")
                if error.code == OFFSET_BEYOND_END:
                    return await self._short(error.end or 0)
            except MyxError as error:
                failure = registry_failure(error)
            self._tools.agents.forget(self._owned.command.server_id)
            wait_s = _QUICK_RETRIES_S[failures] if failures < len(_QUICK_RETRIES_S) else self._calm_s()
            failures += 1
            self._attempts.failed(failure, wait_s)
            if failures >= len(_QUICK_RETRIES_S):
                self._noted = True
                await self._ledger.note(f"the agent cannot be reached: {failure.message}", self._attempts.all)
            await asyncio.sleep(wait_s)

    async def _stream(self, sink: LogSink) -> LogEnd | None:
        """Reads the WebSocket to its end; LogEnd if it said so. A stream that brings nothing is tried less often."""
        command, before = self._owned.command, sink.received
        try:
            async with self._tools.agents.open_log(command.server_id, command.id, before) as stream:
                async for item in stream:
                    if isinstance(item, LogEnd):
                        return item
                    await sink.feed(item)
        except AgentFailed as failure:
            log.info("log_stream_failed", command_id=str(command.id), cause=failure.cause)
        if sink.received > before:
            self._stream_pause_s = 0.0
        else:
            self._stream_pause_s = min(max(self._stream_pause_s * 2, 1.0), _LONGEST_STREAM_PAUSE_S)
        self._stream_at = asyncio.get_running_loop().time() + self._stream_pause_s
        return None

    async def _poll(self, sink: LogSink, wait_s: float) -> LogEnd | None:
        command, loop = self._owned.command, asyncio.get_running_loop()
        until = loop.time() + wait_s
        items = await self._tools.agents.read_log(command.server_id, command.id, sink.received, wait_s=wait_s)
        for item in items:
            if isinstance(item, LogEnd):
                return item
            await sink.feed(item)
        if not items:  # an agent that does not wait must not keep us busy
            await asyncio.sleep(min(max(until - loop.time(), 0.0), _EARLY_ANSWER_PAUSE_S))
        return None

    async def _short(self, end: int) -> Outcome:
        """The agent's log ends before what is stored (its host lost data): waits for the result, takes no bytes."""
        command = self._owned.command
        log.error("agent_log_shorter_than_stored", command_id=str(command.id), stored=self._ledger.size, agent=end)
        while True:
            try:
                items = await self._tools.agents.read_log(command.server_id, command.id, end, wait_s=_LONG_POLL_S)
            except AgentFailed as failure:
                if failure.code == COMMAND_NOT_FOUND:
                    return _lost("the agent does not know the command any more")
                await asyncio.sleep(self._calm_s())
                continue
            except ServerGone:
                return _lost("the registry knows no such server or agent any more")
            for item in items:
                if isinstance(item, LogEnd):
                    return outcome_of(result_from_wire(item.result), Completeness.INCOMPLETE)
                end = item.end

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

    def _calm_s(self) -> float:
        return self._tools.limits.calm_retry_s * (1 - 0.3 * random.random())  # noqa: S311 - spreads load, guards nothing


def _split(items: Iterable[LogItem], offset: int) -> tuple[list[LogBytes | LogGap], LogEnd | None]:
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


def _lost(message: str) -> Outcome:
    return Outcome(Status.LOST, "lost", message, completeness=Completeness.INCOMPLETE)
