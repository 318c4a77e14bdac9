"""Fetching the log of a command that its agent has, to the agent's last word."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import UUID

from myx_executor.domain.command import Completeness, Outcome
from myx_executor.domain.log import LogBytes, LogEnd, LogGap
from myx_executor.domain.outcome import outcome_of, result_from_wire
from myx_executor.domain.states import Status
from myx_executor.usecases.deliver import Attempts, registry_failure
from myx_executor.usecases.ports import COMMAND_NOT_FOUND, OFFSET_BEYOND_END, AgentFailed, Agents, ServerGone
from myx_executor.usecases.sink import OutOfStep
from myx_executor.usecases.vigil import Contact
from myx_kit.errors import MyxError
from myx_kit.logging import get_logger

log = get_logger()

_LONG_POLL_S = 25.0
_EARLY_ANSWER_PAUSE_S = 0.5
_LONGEST_STREAM_PAUSE_S = 30.0
_QUICK_RETRIES_S = (0.0, 1.0, 2.0, 4.0)


class Feed(Protocol):
    """Takes the items of one log in order."""

    @property
    def received(self) -> int:
        """Offset behind the last item."""
        ...

    async def feed(self, item: LogBytes | LogGap) -> None:
        """One more item; OutOfStep when it does not begin at `received`."""
        ...


class Fetch:
    """Reads one command's log; `note` is told why nothing comes, and an empty text when it comes again."""

    def __init__(
        self,
        agents: Agents,
        server_id: str,
        command_id: UUID,
        attempts: Attempts,
        *,
        note: Callable[[str], Awaitable[None]],
        calm_s: float,
        contact: Contact | None = None,
    ) -> None:
        self._contact = contact or Contact()
        self._agents = agents
        self._server_id = server_id
        self._command_id = command_id
        self._attempts = attempts
        self._note = note
        self._calm_s = calm_s
        self._stream_pause_s = 0.0
        self._stream_at = 0.0
        self._noted = False

    async def run(self, sink: Feed) -> LogEnd | Outcome:
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
                    await self._note("")
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
                    return await self._short(sink, error.end or 0)
            except MyxError as error:
                failure = registry_failure(error)
            self._agents.forget(self._server_id)
            wait_s = _QUICK_RETRIES_S[failures] if failures < len(_QUICK_RETRIES_S) else self._pause_s()
            failures += 1
            self._attempts.failed(failure, wait_s)
            if failures >= len(_QUICK_RETRIES_S):
                self._noted = True
                await self._note(f"the agent cannot be reached: {failure.message}")
            await asyncio.sleep(wait_s)

    async def _stream(self, sink: Feed) -> LogEnd | None:
        """Reads the WebSocket to its end; LogEnd if it said so. A stream that brings nothing is tried less often."""
        before = sink.received
        try:
            async with self._agents.open_log(self._server_id, self._command_id, before) as stream:
                # An agent that does not answer pings has its stream closed.
                self._contact.is_open = True
                async for item in stream:
                    if isinstance(item, LogEnd):
                        return item
                    self._contact.had_output()
                    await sink.feed(item)
        except AgentFailed as failure:
            log.info("log_stream_failed", command_id=str(self._command_id), cause=failure.cause)
        finally:
            if self._contact.is_open:
                self._contact.heard()
            self._contact.is_open = False
        if sink.received > before:
            self._stream_pause_s = 0.0
        else:
            self._stream_pause_s = min(max(self._stream_pause_s * 2, 1.0), _LONGEST_STREAM_PAUSE_S)
        self._stream_at = asyncio.get_running_loop().time() + self._stream_pause_s
        return None

    async def _poll(self, sink: Feed, wait_s: float) -> LogEnd | None:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        items = await self._agents.read_log(self._server_id, self._command_id, sink.received, wait_s=wait_s)
        self._contact.heard()
        for item in items:
            if isinstance(item, LogEnd):
                return item
            self._contact.had_output()
            await sink.feed(item)
        if not items:  # an agent that does not wait must not keep us busy
            await asyncio.sleep(min(max(until - loop.time(), 0.0), _EARLY_ANSWER_PAUSE_S))
        return None

    async def _short(self, sink: Feed, end: int) -> Outcome:
        """The agent's log ends before what is stored (its host lost data): waits for the result, takes no bytes."""
        log.error("agent_log_shorter_than_stored", command_id=str(self._command_id), stored=sink.received, agent=end)
        while True:
            try:
                items = await self._agents.read_log(self._server_id, self._command_id, end, wait_s=_LONG_POLL_S)
            except AgentFailed as failure:
                if failure.code == COMMAND_NOT_FOUND:
                    return _lost("the agent does not know the command any more")
                await asyncio.sleep(self._pause_s())
                continue
            except MyxError:
                await asyncio.sleep(self._pause_s())
                continue
            except ServerGone:
                return _lost("the registry knows no such server or agent any more")
            self._contact.heard()
            before = end
            for item in items:
                if isinstance(item, LogEnd):
                    return outcome_of(result_from_wire(item.result), Completeness.INCOMPLETE)
                end = item.end
            if end <= before:  # as in `_poll`
                await asyncio.sleep(_EARLY_ANSWER_PAUSE_S)

    def _pause_s(self) -> float:
        return self._calm_s * (1 - 0.3 * random.random())  # noqa: S311 - spreads load, guards nothing


def _lost(message: str) -> Outcome:
    return Outcome(Status.LOST, "lost", message, completeness=Completeness.INCOMPLETE, evidence=message)
