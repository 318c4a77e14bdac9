"""Asks agents through the agent client."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from myx_heartbeat.domain import Endpoint, Outcome, Try
from myx_kit.agent_rpc.client import AgentClient, AgentTarget
from myx_kit.agent_rpc.errors import AgentCallError, Attempt, Cause, JsonRpcError

# `get_status` with a thousand running commands is 50 KB; outcomes are kept while the registry is away.
_MAX_ANSWER_BYTES = 128 * 1024


class AgentProbe:
    """`heartbeat` and `get_status` in one request (DESIGN.md section 4), with the client's retries."""

    def __init__(self, client: AgentClient, now: Callable[[], datetime]) -> None:
        """`now` is what the times of tries are told by."""
        self._client = client
        self._now = now

    async def __call__(self, endpoint: Endpoint, *, retry: bool) -> Outcome:
        """The outcome; an agent that answers `heartbeat` is alive, even when its facts cannot be had."""
        attempts: list[Attempt] = []
        calls = [("heartbeat", {"timestamp": datetime.now(UTC).timestamp()}), ("get_status", {})]
        try:
            heartbeat, status = await self._client.batch(
                _target(endpoint), calls, retry=retry, attempts=attempts, max_answer_bytes=_MAX_ANSWER_BYTES
            )
        except AgentCallError as error:
            return Outcome(cause=error.cause.value, message=error.message, tries=self._tries(error.attempts))
        answered_at = datetime.now(UTC)
        if isinstance(heartbeat, JsonRpcError):
            return Outcome(cause=Cause.RPC_ERROR.value, message=attempts[-1].message, tries=self._tries(attempts))
        version = heartbeat.get("version")
        return Outcome(
            tries=self._tries(attempts),
            latency_s=max(0.0, (answered_at - attempts[-1].at).total_seconds()),
            version=version if isinstance(version, str) else "",
            facts=None if isinstance(status, JsonRpcError) else status,
        )

    def _tries(self, attempts: Sequence[Attempt]) -> tuple[Try, ...]:
        behind = self._now() - datetime.now(UTC)
        return tuple(_try(one, behind) for one in attempts)


def _target(endpoint: Endpoint) -> AgentTarget:
    return AgentTarget(
        agent_id=endpoint.agent_id,
        address=endpoint.address,
        rpc_port=endpoint.rpc_port,
        rpc_path=endpoint.rpc_path,
        agent_token=endpoint.agent_token,
        secret_key=endpoint.secret_key,
        certificate_sha256=endpoint.certificate_sha256,
        next_certificate_sha256=endpoint.next_certificate_sha256,
    )


def _try(one: Attempt, behind: timedelta) -> Try:
    return Try(one.at + behind, one.cause.value if one.cause else "", one.message, one.wait_s)
