"""Why a call to an agent failed: the cause ladder, attempts, and the error that carries them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from myx_kit.errors import Unavailable

INTERNAL_ERROR = -32603
INVALID_PARAMS = -32602
SERVER_ERRORS = range(-32099, -31999)


class Cause(StrEnum):
    """The cause ladder: from "no name" up to "answered wrongly"; the further up, the more of the agent was there."""

    NAME_UNRESOLVED = "name_unresolved"
    NO_ROUTE = "no_route"
    FILTERED = "filtered"
    REFUSED = "refused"
    TLS_FAILED = "tls_failed"
    PIN_MISMATCH = "pin_mismatch"
    CONNECTION_LOST = "connection_lost"
    HUNG = "hung"
    UNAUTHORIZED = "unauthorized"
    CLOCK_SKEW = "clock_skew"
    WRONG_PATH = "wrong_path"
    BAD_REQUEST = "bad_request"
    TOO_LARGE = "too_large"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    RPC_ERROR = "rpc_error"
    OTHER_MACHINE = "other_machine"

    @property
    def retryable(self) -> bool:
        """Whether the retry table retries it. For `rpc_error` the JSON-RPC error itself decides."""
        return _LADDER[self][0]

    @property
    def sentence(self) -> str:
        """What an operator reads."""
        return _LADDER[self][1]


_LADDER: Mapping[Cause, tuple[bool, str]] = {
    Cause.NAME_UNRESOLVED: (True, "the host name does not resolve"),
    Cause.NO_ROUTE: (True, "there is no route to the host"),
    Cause.FILTERED: (True, "the connection attempt was not answered: the host is down or packets are dropped"),
    Cause.REFUSED: (True, "nothing listens on the agent's port"),
    Cause.TLS_FAILED: (True, "the TLS handshake failed"),
    Cause.PIN_MISMATCH: (False, "the certificate is not the one of this agent"),
    Cause.CONNECTION_LOST: (True, "the connection was lost before the answer was complete"),
    Cause.HUNG: (True, "the port is open, but no answer came in time"),
    Cause.UNAUTHORIZED: (False, "the agent refused token or signature"),
    Cause.CLOCK_SKEW: (False, "the clocks of control plane and agent are too far apart"),
    Cause.WRONG_PATH: (False, "the agent does not know the path"),
    Cause.BAD_REQUEST: (False, "the agent refused the request as malformed"),
    Cause.TOO_LARGE: (False, "the agent refused the request as too large"),
    Cause.THROTTLED: (True, "the agent asked to slow down"),
    Cause.SERVER_ERROR: (True, "the agent failed to handle the request"),
    Cause.RPC_ERROR: (False, "the agent's answer is an error or cannot be understood"),
    Cause.OTHER_MACHINE: (False, "another machine answers at this address"),
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a call (seed 6.4). `cause` is None for the one that succeeded, `wait_s` for the last one."""

    at: datetime
    cause: Cause | None
    message: str
    wait_s: float | None


@dataclass(frozen=True, slots=True)
class JsonRpcError:
    """An error object of a JSON-RPC answer. `data` stays out of the repr: it may hold what the caller sent."""

    code: int
    message: str
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def reason(self) -> str:
        """The agent's stable name of the error (UPPER_SNAKE), or an empty string."""
        reason = self.data.get("reason")
        return reason if isinstance(reason, str) and reason.isascii() and reason.isprintable() else ""

    @property
    def sentence(self) -> str:
        """What an operator reads; a refused parameter needs no number."""
        if self.code == INVALID_PARAMS:
            return f"the agent refused: {self.message.removeprefix('Invalid params: ')[:200]}"
        return f"the agent answered {self.code}: {self.message[:200]}"

    @property
    def retryable(self) -> bool:
        """Internal errors always, server errors where the agent says so, nothing else."""
        if self.code == INTERNAL_ERROR:
            return True
        return self.code in SERVER_ERRORS and self.data.get("retryable") is True


class AgentCallError(Unavailable):
    """A call that failed for good; reason is `AGENT_<CAUSE>`. Neither message nor fields hold token, key or path.

    `attempts`: every try, first one first. `maybe_delivered`: whether the agent may have acted on it; False when
    none was written or when the agent's answers prove that it refused. `rpc_error`: the error that the agent answered.
    """

    def __init__(
        self,
        cause: Cause,
        message: str = "",
        attempts: Sequence[Attempt] = (),
        maybe_delivered: bool = False,
        rpc_error: JsonRpcError | None = None,
    ) -> None:
        super().__init__(f"AGENT_{cause.name}", message or cause.sentence, cause=cause.value)
        self.cause = cause
        self.attempts = tuple(attempts)
        self.maybe_delivered = maybe_delivered
        self.rpc_error = rpc_error
