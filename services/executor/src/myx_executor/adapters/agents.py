"""Agents as the use cases see them: our words on one side, the agent protocol on the other."""

import base64
import binascii
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from myx_executor.adapters.endpoints import EndpointCache
from myx_executor.domain.command import Attempt, CommandSpec, Secrets
from myx_executor.domain.log import STDERR, STDOUT, LogBytes, LogEnd, LogGap, LogItem
from myx_executor.domain.text import clean
from myx_executor.usecases.ports import COMMAND_NOT_FOUND, AgentFailed, ServerGone
from myx_kit.agent_rpc import errors as rpc
from myx_kit.agent_rpc import wire
from myx_kit.agent_rpc.client import AgentClient, AgentTarget
from myx_kit.errors import FailedPrecondition, NotFound

_STREAMS = {"stdout": STDOUT, "stderr": STDERR}
# Beyond a wait that the agent was asked for.
_MARGIN_S = 10.0
# What can be done later does not wait long for a silent agent.
_RELEASE_S = 5.0
_MAX_BYTES = 256 * 1024
# No log reaches so far, whatever an agent says.
_FARTHEST = 1 << 62
_QUARANTINED = f"{rpc.Cause.OTHER_MACHINE.sentence}; nothing is sent to it until it is accepted as the right one"


class KitAgents:
    """Fits `Agents`, with the kit's client and the registry's endpoints."""

    def __init__(self, client: AgentClient, endpoints: EndpointCache) -> None:
        self._client = client
        self._endpoints = endpoints

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
        """One batch: hand over, and read what there is within `wait_s`."""
        calls = [
            ("execute_command", _execute_params(command_id, spec, secrets)),
            ("get_command_log", log_params(command_id, 0, wait_s, until_final=True)),
        ]
        handed, page = await self._batch(server_id, calls, timeout_s=timeout_s)
        if isinstance(handed, rpc.JsonRpcError):
            raise failed_rpc(handed)
        return [] if isinstance(page, rpc.JsonRpcError) else items_of(page, 0)

    async def read_log(
        self, server_id: str, command_id: UUID, offset: int, *, wait_s: float, until_final: bool = False
    ) -> list[LogItem]:
        """One page of one stream's run, and the end when it is reached."""
        params = log_params(command_id, offset, wait_s, until_final=until_final)
        (page,) = await self._batch(server_id, [("get_command_log", params)], timeout_s=wait_s + _MARGIN_S)
        if isinstance(page, rpc.JsonRpcError):
            raise failed_rpc(page)
        return items_of(page, offset)

    @asynccontextmanager
    async def open_log(self, server_id: str, command_id: UUID, offset: int) -> AsyncIterator[AsyncIterator[LogItem]]:
        """The agent's WebSocket."""
        target = await self._target(server_id)
        try:
            async with self._client.open_log(target, str(command_id), offset, retry=False) as stream:
                yield _translated(stream)
        except rpc.AgentCallError as error:
            raise failed(error) from None

    async def cancel(self, server_id: str, command_id: UUID, grace_s: float) -> None:
        """`cancel_command`."""
        params = {"command_id": str(command_id), "grace": grace_s}
        (answer,) = await self._batch(server_id, [("cancel_command", params)])
        if isinstance(answer, rpc.JsonRpcError):
            raise failed_rpc(answer)

    async def forbid(self, server_id: str, command_id: UUID) -> bool:
        """`cancel_command` that leaves nothing to what is still on its way."""
        params = {"command_id": str(command_id), "grace": 0.0, "forbid": True}
        (answer,) = await self._batch(server_id, [("cancel_command", params)])
        if isinstance(answer, rpc.JsonRpcError):
            if answer.code == rpc.INVALID_PARAMS:
                message = "no such command, and the agent is too old to promise more"
                raise AgentFailed("rpc_error", message, retryable=False, maybe_delivered=False, code=COMMAND_NOT_FOUND)
            raise failed_rpc(answer)
        return answer.get("state") == "forbidden"

    async def release(self, server_id: str, command_ids: Sequence[UUID]) -> list[UUID]:
        """`release_command` for many."""
        calls = [("release_command", {"command_id": str(command_id)}) for command_id in command_ids]
        answers = await self._batch(server_id, calls, timeout_s=_RELEASE_S)
        return [
            command_id
            for command_id, answer in zip(command_ids, answers, strict=True)
            if not isinstance(answer, rpc.JsonRpcError)
        ]

    def forget(self, server_id: str) -> None:
        """Asks the registry again before the next call."""
        self._endpoints.expire(server_id)

    async def is_called_otherwise(self, server_id: str, way: object) -> bool:
        """Asks the registry; while that is away nothing else is known."""
        self._endpoints.expire(server_id)
        return await self._target(server_id) != way

    async def _target(self, server_id: str) -> AgentTarget:
        """Raises AgentFailed for a quarantined agent: what is meant for one machine is never sent to another."""
        try:
            endpoint = await self._endpoints.endpoint(server_id)
        except (NotFound, FailedPrecondition) as error:
            raise ServerGone(server_id, no_agent=error.reason == "AGENT_NOT_FOUND") from error
        if endpoint.quarantined:
            raise AgentFailed(rpc.Cause.OTHER_MACHINE.value, _QUARANTINED, retryable=False, maybe_delivered=False)
        return endpoint.target

    async def _batch(
        self, server_id: str, calls: Sequence[tuple[str, Mapping[str, Any]]], *, timeout_s: float | None = None
    ) -> list[dict[str, Any] | rpc.JsonRpcError]:
        target = await self._target(server_id)
        try:
            return await self._client.batch(target, calls, timeout_s=timeout_s, retry=False)
        except rpc.AgentCallError as error:
            failure = failed(error)
            failure.way = target
            raise failure from None


async def _translated(stream: AsyncIterator[wire.LogItem]) -> AsyncIterator[LogItem]:
    async for item in stream:
        match item:
            case wire.LogFrame():
                yield LogBytes(item.stream, item.offset, item.data)
            case wire.LogGap():
                yield LogGap(item.from_, item.to, clean(item.reason))
            case wire.LogFinal():
                yield LogEnd(item.offset, dict(item.result))
            case _:
                continue


def _execute_params(command_id: UUID, spec: CommandSpec, secrets: Secrets) -> dict[str, Any]:
    params: dict[str, Any] = {"command_id": str(command_id), "command": spec.command, "args": list(spec.args)}
    if spec.env:
        params["env"] = dict(spec.env)
    if secrets.env:
        params["secret_env"] = dict(secrets.env)
    if secrets.stdin:
        params["stdin"] = base64.b64encode(secrets.stdin).decode()
    if spec.cwd:
        params["cwd"] = spec.cwd
    if spec.user:
        params["user"] = spec.user
    if spec.timeout_s:
        params["timeout"] = spec.timeout_s
    if spec.no_output_timeout_s:
        params["no_output_timeout"] = spec.no_output_timeout_s
    return params


def log_params(command_id: UUID, offset: int, wait_s: float, *, until_final: bool) -> dict[str, Any]:
    """Parameters of `get_command_log`."""
    params: dict[str, Any] = {
        "command_id": str(command_id),
        "offset": offset,
        "wait": wait_s,
        "max_bytes": _MAX_BYTES,
    }
    if until_final:
        params["until"] = "final"
    return params


def items_of(page: Mapping[str, Any], offset: int) -> list[LogItem]:
    """What one answer of `get_command_log` says. AgentFailed when it is malformed."""
    try:
        items: list[LogItem] = []
        end = _offset(page["new_offset"])
        gap = page.get("gap")
        if gap:
            items.append(LogGap(offset, _offset(gap["to"]), clean(str(gap["reason"]))))
        else:
            data = base64.b64decode(page["log_data"], validate=True)
            if data:
                items.append(LogBytes(_STREAMS[page["log_type"]], offset, data))
            if offset + len(data) != end:
                raise ValueError
        if page["is_final"]:
            items.append(LogEnd(end, dict(page["result"])))
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error):
        raise AgentFailed(
            "rpc_error", "the agent's answer cannot be understood", retryable=True, maybe_delivered=True
        ) from None
    return items


def _offset(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _FARTHEST:
        raise ValueError
    return value


def failed(error: rpc.AgentCallError) -> AgentFailed:
    """A call that failed on the way, in our words."""
    attempts = [
        Attempt(one.at, one.cause.value if one.cause else "", clean(one.message), one.wait_s) for one in error.attempts
    ]
    if error.rpc_error is not None:
        failure = failed_rpc(error.rpc_error)
        failure.attempts = tuple(attempts)
        return failure
    return AgentFailed(
        error.cause.value,
        clean(error.message),
        retryable=error.cause.retryable,
        maybe_delivered=error.maybe_delivered,
        attempts=attempts,
    )


def failed_rpc(error: rpc.JsonRpcError) -> AgentFailed:
    """An error that the agent answered, in our words."""
    end = error.data.get("end")
    return AgentFailed(
        rpc.Cause.RPC_ERROR.value,
        clean(error.sentence),
        retryable=error.retryable,
        # A supervisor that did not answer the agent in time may have started it all the same.
        maybe_delivered=error.code == rpc.INTERNAL_ERROR or error.reason == "SUPERVISOR_UNAVAILABLE",
        code=error.code,
        reason=error.reason,
        end=end if type(end) is int and 0 <= end <= _FARTHEST else None,
    )
