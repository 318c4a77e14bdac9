"""Questions to the registry for connection data: a few at once one by one, what waits meanwhile in one call."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from myx.registry.v1.agent_pb2 import AgentEndpoint
from myx.registry.v1.agent_service_pb2 import (
    AgentEndpointAnswer,
    BatchGetAgentEndpointsRequest,
    GetAgentEndpointRequest,
)
from myx_kit.errors import MyxError, NotFound, Unavailable

if TYPE_CHECKING:
    # Only in the typed stubs.
    from myx.registry.v1.agent_service_pb2_grpc import AgentServiceAsyncStub

_CALL_S = 5.0
_CALLS_AT_ONCE = 4
_MAX_BATCH = 200


class _Turn(Enum):
    """What one who waited is to do: ask for all who wait, or for itself alone."""

    LEAD = "lead"
    ALONE = "alone"


@dataclass(frozen=True, slots=True)
class _Waiter:
    server: str
    turn: "asyncio.Future[AgentEndpoint | MyxError | _Turn]"


class EndpointCalls:
    """A look-up costs the registry about 2 ms, one of many in a batch a tenth of that."""

    def __init__(self, stub: "AgentServiceAsyncStub") -> None:
        self._stub = stub
        self._waiting: deque[_Waiter] = deque()
        self._calls = 0

    async def ask(self, server: str) -> AgentEndpoint:
        """Connection data by id or name of the server. NotFound `SERVER_NOT_FOUND`, `AGENT_NOT_FOUND`; Unavailable."""
        if self._calls < _CALLS_AT_ONCE:
            self._calls += 1
            try:
                return await self._one(server)
            finally:
                self._pass_on()
        waiter = _Waiter(server, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            answer = await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.result() is _Turn.LEAD:
                self._pass_on()
            raise
        if answer is _Turn.LEAD:
            try:
                answer = await self._lead(server)
            finally:
                self._pass_on()
        if answer is _Turn.ALONE:
            return await self._one(server)
        if isinstance(answer, AgentEndpoint):
            return answer
        assert isinstance(answer, MyxError)  # noqa: S101 - nothing else is left
        raise answer

    async def _lead(self, server: str) -> AgentEndpoint | MyxError | _Turn:
        """Asks for `server` and for who waits, and tells them; the answer for `server`."""
        group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MAX_BATCH - 1))]
        if not group:
            return await self._one(server)
        try:
            answers = await self._many([server, *(one.server for one in group)])
        except MyxError as error:
            # A registry that is a release behind does not know the call.
            answers = [error if isinstance(error, Unavailable) else _Turn.ALONE] * (len(group) + 1)
        except BaseException:
            self._waiting.extendleft(reversed(group))
            raise
        for waiter, answer in zip(group, answers[1:], strict=True):
            if not waiter.turn.done():
                waiter.turn.set_result(answer)
        return answers[0]

    def _pass_on(self) -> None:
        """A call has ended: the next one who waits asks, or there is one call less."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.turn.done():
                waiter.turn.set_result(_Turn.LEAD)
                return
        self._calls -= 1

    async def _one(self, server: str) -> AgentEndpoint:
        answer = await self._stub.GetAgentEndpoint(GetAgentEndpointRequest(server=server), timeout=_CALL_S)
        return answer.endpoint

    async def _many(self, servers: Sequence[str]) -> list[AgentEndpoint | MyxError | _Turn]:
        request = BatchGetAgentEndpointsRequest(servers=servers)
        found = await self._stub.BatchGetAgentEndpoints(request, timeout=_CALL_S)
        return [_outcome(server, one) for server, one in zip(servers, found.answers, strict=True)]


def _outcome(server: str, answer: AgentEndpointAnswer) -> AgentEndpoint | MyxError:
    if answer.HasField("endpoint"):
        return answer.endpoint
    message = f"server {server} has no agent" if answer.reason == "AGENT_NOT_FOUND" else f"there is no server {server}"
    return NotFound(answer.reason, message, server=server)
