"""What the use cases need from outside; adapters and the kit fit these."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from myx_executor.domain.command import Attempt, CommandSpec, Secrets
from myx_executor.domain.log import LogItem


@dataclass(frozen=True, slots=True)
class ServerRef:
    """A server with an agent, as the registry knows it."""

    server_id: str
    server_name: str
    agent_id: str


class AgentFailed(Exception):
    """A call to an agent failed. `cause` is a name of the cause ladder, `code` that of a JSON-RPC error answer.

    `maybe_delivered`: the agent may have acted on it. `retryable`: the retry table says to try again. `way`: how the
    agent was called, to be compared only; None when that is not known.
    """

    way: object = None

    def __init__(
        self,
        cause: str,
        message: str,
        *,
        retryable: bool,
        maybe_delivered: bool,
        code: int | None = None,
        reason: str = "",
        end: int | None = None,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.retryable = retryable
        self.maybe_delivered = maybe_delivered
        self.code = code
        self.reason = reason
        self.end = end
        self.attempts = tuple(attempts)


# JSON-RPC application errors of the agent.
COMMAND_NOT_FOUND = -32002
OFFSET_BEYOND_END = -32003


class ServerGone(Exception):
    """The registry knows no such server, or the server has no agent; `why` says which."""

    def __init__(self, server_id: str, *, no_agent: bool = False) -> None:
        super().__init__(server_id)
        known = "the server has no agent: enrol it first"
        self.why = known if no_agent else "the registry knows no such server any more"


class Agents(Protocol):
    """Calls to agents, by server; each is one try. Raises AgentFailed; ServerGone when the registry knows no agent."""

    async def execute(
        self,
        server_id: str,
        command_id: UUID,
        spec: CommandSpec,
        secrets: Secrets,
        *,
        wait_s: float,
        timeout_s: float | None = None,
    ) -> list[LogItem]:
        """Hands a command over (harmless to repeat) and returns what its log has within `wait_s`, from offset 0 on.

        `timeout_s` bounds the try; None: the usual time.
        """
        ...

    async def read_log(
        self, server_id: str, command_id: UUID, offset: int, *, wait_s: float, until_final: bool = False
    ) -> list[LogItem]:
        """What the log has from `offset` on, waiting at most `wait_s` for a first byte or the end."""
        ...

    def open_log(
        self, server_id: str, command_id: UUID, offset: int
    ) -> AbstractAsyncContextManager[AsyncIterator[LogItem]]:
        """The log as it is written; an iteration that ends without LogEnd means: come back with your offset."""
        ...

    async def cancel(self, server_id: str, command_id: UUID, grace_s: float) -> None:
        """Asks the agent to end a command."""
        ...

    async def forbid(self, server_id: str, command_id: UUID) -> bool:
        """Whether the agent has promised never to start a command that it does not have; false: it has it.

        AgentFailed with the code COMMAND_NOT_FOUND: it does not have it, and is too old to promise.
        """
        ...

    async def release(self, server_id: str, command_ids: Sequence[UUID]) -> list[UUID]:
        """Lets the agent drop what it keeps of finished commands; those that it keeps no more."""
        ...

    def forget(self, server_id: str) -> None:
        """What is cached about the agent may be stale: ask the registry before the next call."""
        ...

    async def is_called_otherwise(self, server_id: str, way: object) -> bool:
        """Whether the registry, asked now, says another way to the agent than `way`. AgentFailed, ServerGone."""
        ...


class Servers(Protocol):
    """Who the servers are."""

    async def resolve(self, server: str) -> ServerRef:
        """By id or name. NotFound `SERVER_NOT_FOUND`; FailedPrecondition `AGENT_NOT_FOUND`."""
        ...


class Presence(Protocol):
    """What others know of agents."""

    async def is_away(self, server_id: str) -> bool:
        """Whether an agent is known to be offline; false when nobody can say. Never an error."""
        ...


class LiveBus(Protocol):
    """The way to the other replicas; best effort."""

    @property
    def connected(self) -> bool:
        """Whether messages get through now."""
        ...

    async def publish_log(self, command_id: UUID, message: bytes) -> None:
        """Sends one live message; lost when the bus is away."""
        ...

    def follow_log(
        self, command_id: UUID, on_message: Callable[[bytes], None], on_lost: Callable[[], None]
    ) -> AbstractAsyncContextManager[None]:
        """Live messages of a command while the context is open; entered when the subscription stands."""
        ...

    async def publish_work(self) -> None:
        """Wakes the other replicas: something waits to be claimed or cancelled; lost when the bus is away."""
        ...
