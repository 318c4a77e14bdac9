"""The calls to agents that only deployments make."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from myx_executor.adapters.agents import KitAgents, failed, failed_rpc, items_of, log_params
from myx_executor.adapters.endpoints import EndpointCache
from myx_executor.domain.log import LogItem
from myx_executor.usecases.deployments.ports import NextIdentity, Place, PlayEvent, PlayRequest, Upload
from myx_executor.usecases.ports import AgentFailed
from myx_kit.agent_rpc import errors as rpc
from myx_kit.agent_rpc import methods
from myx_kit.agent_rpc.client import AgentClient, AgentTarget
from myx_kit.agent_rpc.uploads import upload

# With the last piece the whole is checked and perhaps unpacked before the answer comes.
_PIECE_S = 120.0
_QUICK_S = 10.0


class KitFleet(KitAgents):
    """Fits `Fleet`."""

    @property
    def client(self) -> AgentClient:
        """The client that all calls go by."""
        return self._client

    def at(self, place: Place) -> "KitFleet":
        """Calls by the same client, elsewhere."""
        return _FleetAt(self._client, self._endpoints, place)

    async def target(self, server_id: str) -> AgentTarget:
        """How an agent is called. ServerGone: the registry knows none; AgentFailed: it is quarantined."""
        return await self._target(server_id)

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
        target = await self._target(server_id)
        try:
            await upload(
                self._client,
                target,
                root,
                path,
                source.path,
                extract=extract,
                mode=mode,
                sha256=source.sha256,
                timeout_s=_PIECE_S,
            )
        except rpc.AgentCallError as error:
            raise failed(error) from None

    async def execute_ansible(
        self, server_id: str, command_id: UUID, request: PlayRequest, *, wait_s: float
    ) -> list[LogItem]:
        """One batch: hand over, and read what there is within `wait_s`."""
        calls = [
            ("execute_ansible", _play(request).params(str(command_id))),
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
        target = await self._target(server_id)
        try:
            events, is_final = await methods.get_playbook_events(
                self._client, target, str(command_id), after, wait_s=wait_s, retry=False
            )
        except rpc.AgentCallError as error:
            raise failed(error) from None
        return [PlayEvent(one.seq, one.event) for one in events], is_final

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
                next_certificate_sha256="",
            )
        try:
            return await self._client.call(target, method, params, timeout_s=timeout_s, retry=retry)
        except rpc.AgentCallError as error:
            raise failed(error) from None


class _FleetAt(KitFleet):
    def __init__(self, client: AgentClient, endpoints: EndpointCache, place: Place) -> None:
        super().__init__(client, endpoints)
        self._place = place

    async def _target(self, server_id: str) -> AgentTarget:
        target = await super()._target(server_id)
        return replace(target, rpc_port=self._place.rpc_port, rpc_path=self._place.rpc_path)


def _play(request: PlayRequest) -> methods.Play:
    return methods.Play(
        playbook=request.playbook,
        project=request.project,
        tool_digest=request.digest,
        extra_vars=request.extra_vars,
        secret_vars=request.secret_vars,
        trusted_vars=request.trusted_vars,
        check=request.check,
        diff=request.diff,
        tags=request.tags,
        skip_tags=request.skip_tags,
        limit=request.limit,
        timeout_s=request.timeout_s,
        no_output_timeout_s=request.no_output_timeout_s,
    )
