"""The calls to agents that only deployments make."""

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from myx_executor.adapters.agents import KitAgents, failed, failed_rpc, items_of, log_params
from myx_executor.domain.log import LogItem
from myx_executor.usecases.deployments.ports import NextIdentity, PlayEvent, PlayRequest, Upload
from myx_executor.usecases.ports import AgentFailed
from myx_kit.agent_rpc import errors as rpc

# Base64 of it and the rest of the call fit the agent's limit on a request many times.
_CHUNK_BYTES = 1024 * 1024
# The last piece is checked and perhaps unpacked before the answer comes.
_LAST_PIECE_S = 300.0
_MARGIN_S = 10.0
_QUICK_S = 10.0


class KitFleet(KitAgents):
    """Fits `Fleet`."""

    async def status(self, server_id: str, *, identity: NextIdentity | None = None) -> dict[str, Any]:
        """`get_status`."""
        return await self._ask(server_id, "get_status", {}, identity=identity)

    async def heartbeat(self, server_id: str) -> dict[str, Any]:
        """`heartbeat`, one try."""
        return await self._ask(server_id, "heartbeat", {}, timeout_s=_QUICK_S, retry=False)

    async def put_file(
        self,
        server_id: str,
        source: Upload,
        *,
        root: str,
        path: str,
        extract: bool = False,
        mode: int = 0o600,
    ) -> None:
        """`put_file`, from where an earlier upload of the same content stopped."""
        size = source.path.stat().st_size
        params: dict[str, Any] = {
            "upload_id": hashlib.sha256(f"{root}/{path}:{source.sha256}".encode()).hexdigest()[:32],
            "root": root,
            "path": path,
            "size": size,
            "sha256": source.sha256,
        }
        params |= {"extract": True} if extract else {"mode": mode}
        answer = await self._ask(server_id, "put_file", {**params, "offset": 0, "data": ""}, timeout_s=_LAST_PIECE_S)
        while not answer.get("done"):
            offset = _offset(answer, size)
            data = await asyncio.to_thread(_read, source, offset)
            piece = {"offset": offset, "data": base64.b64encode(data).decode(), "final": offset + len(data) == size}
            answer = await self._ask(server_id, "put_file", params | piece, timeout_s=_LAST_PIECE_S)
            if not answer.get("done") and _offset(answer, size) <= offset:
                raise AgentFailed(
                    "rpc_error", "the agent takes no more of the file", retryable=False, maybe_delivered=True
                )

    async def execute_ansible(
        self, server_id: str, command_id: UUID, request: PlayRequest, *, wait_s: float
    ) -> list[LogItem]:
        """One batch: hand over, and read what there is within `wait_s`."""
        calls = [
            ("execute_ansible", _play_params(command_id, request)),
            ("get_command_log", log_params(command_id, 0, wait_s, until_final=True)),
        ]
        handed, page = await self._batch(server_id, calls)
        if isinstance(handed, rpc.JsonRpcError):
            raise failed_rpc(handed)
        return [] if isinstance(page, rpc.JsonRpcError) else items_of(page, 0)

    async def play_events(
        self, server_id: str, command_id: UUID, after: int, *, wait_s: float
    ) -> tuple[list[PlayEvent], bool]:
        """`get_playbook_events`."""
        params = {"command_id": str(command_id), "seq": after, "wait": wait_s}
        answer = await self._ask(server_id, "get_playbook_events", params, timeout_s=wait_s + _MARGIN_S, retry=False)
        return _events(answer), answer.get("is_final") is True

    async def rotate(self, server_id: str, identity: NextIdentity) -> None:
        """`rotate_credentials`; when the present identity is not taken any more, as one that was rotated before."""
        params = {
            "rotation_id": identity.rotation_id,
            "agent_token": identity.agent_token,
            "secret_key": identity.secret_key,
            "certificate_pem": identity.certificate_pem,
            "private_key_pem": identity.private_key_pem,
        }
        try:
            await self._ask(server_id, "rotate_credentials", params)
        except AgentFailed as failure:
            if failure.cause not in ("pin_mismatch", "unauthorized"):
                raise
            await self._ask(server_id, "rotate_credentials", params, identity=identity)

    async def finish_rotation(self, server_id: str, rotation_id: str) -> None:
        """`finish_rotation`."""
        await self._ask(server_id, "finish_rotation", {"rotation_id": rotation_id})

    async def get_upgrade(self, server_id: str, upgrade_id: str) -> dict[str, Any]:
        """`get_upgrade`, one try."""
        return await self._ask(server_id, "get_upgrade", {"upgrade_id": upgrade_id}, timeout_s=_QUICK_S, retry=False)

    async def confirm_upgrade(self, server_id: str, upgrade_id: str) -> None:
        """`confirm_upgrade`."""
        await self._ask(server_id, "confirm_upgrade", {"upgrade_id": upgrade_id})

    async def _ask(
        self,
        server_id: str,
        method: str,
        params: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        retry: bool = True,
        identity: NextIdentity | None = None,
    ) -> dict[str, Any]:
        target = await self._target(server_id)
        if identity is not None:
            target = replace(
                target,
                agent_token=identity.agent_token,
                secret_key=identity.secret_key,
                certificate_sha256=identity.certificate_sha256,
            )
        try:
            return await self._client.call(target, method, params, timeout_s=timeout_s, retry=retry)
        except rpc.AgentCallError as error:
            raise failed(error) from None


def _read(source: Upload, offset: int) -> bytes:
    with source.path.open("rb") as file:
        file.seek(offset)
        return file.read(_CHUNK_BYTES)


def _offset(answer: Mapping[str, Any], size: int) -> int:
    received = answer.get("received")
    if not isinstance(received, int) or not 0 <= received <= size:
        raise AgentFailed("rpc_error", "the agent's answer cannot be understood", retryable=False, maybe_delivered=True)
    return received


def _play_params(command_id: UUID, request: PlayRequest) -> dict[str, Any]:
    params: dict[str, Any] = {
        "command_id": str(command_id),
        "playbook": request.playbook,
        "project": request.project,
        "tool_digest": request.digest,
        "extra_vars": dict(request.extra_vars),
        "secret_vars": dict(request.secret_vars),
        "trusted_vars": dict(request.trusted_vars),
        "check": request.check,
        "diff": request.diff,
        "tags": list(request.tags),
        "skip_tags": list(request.skip_tags),
        "limit": request.limit,
        "timeout": request.timeout_s,
    }
    return {name: value for name, value in params.items() if value}


def _events(answer: Mapping[str, Any]) -> list[PlayEvent]:
    events = answer.get("events")
    found: list[PlayEvent] = []
    for item in events if isinstance(events, list) else ():
        number = item.get("seq") if isinstance(item, dict) else None
        if not isinstance(number, int):
            continue
        event = item.get("event", item)
        if isinstance(event, dict):
            found.append(PlayEvent(number, event))
    return found
