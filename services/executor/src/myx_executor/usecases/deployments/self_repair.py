"""Repair without being asked: bounded, never over commands that run, never for a network that is in the way."""

from datetime import UTC, datetime

from myx_executor.domain.deployment import Kind
from myx_executor.store.deployments import DeploymentStore
from myx_executor.usecases.deployments.checks import CreateRequest
from myx_executor.usecases.deployments.create import CreateDeployment
from myx_executor.usecases.deployments.ports import Diagnosis, Doctor, Registry, ServerFacts
from myx_kit.errors import MyxError
from myx_kit.logging import get_logger

log = get_logger()

REPAIRER = "system:repair"
AUTOMATIC, ASK = "automatic", "ask"
# What says that somebody is there, and that it is not the agent as it should be.
SUSPICIOUS = frozenset(
    {
        "refused",
        "tls_failed",
        "pin_mismatch",
        "unauthorized",
        "wrong_path",
        "bad_request",
        "server_error",
        "rpc_error",
        "connection_lost",
    }
)
# Between one repair of a server and the next, by how many there were in the window.
_PAUSES_S = (0.0, 300.0, 1800.0, 7200.0, 86_400.0)
_WINDOW_S = 2 * 86_400.0


class SelfRepair:
    """Looks at servers whose agent is offline, and asks for what their policy says."""

    def __init__(self, store: DeploymentStore, registry: Registry, doctor: Doctor, create: CreateDeployment) -> None:
        self._store = store
        self._registry = registry
        self._doctor = doctor
        self._create = create

    async def sweep_once(self) -> None:
        """Looks at all agents that are offline."""
        async for server_id, cause in self._registry.offline_agents():
            await self.consider(server_id, cause)

    async def consider(self, server_id: str, cause: str) -> None:
        """Repairs one, if it is to be; harmless to repeat, also on several replicas at once."""
        if cause not in SUSPICIOUS:
            return
        try:
            server = await self._registry.server(server_id)
            if server.agent_status != "offline" or server.repair_policy not in (AUTOMATIC, ASK):
                return
            if await self._store.open_work(server_id) or server.running_command_ids:
                return
            repairs = await self._store.repairs(server_id, REPAIRER, _WINDOW_S)
            if repairs and (datetime.now(UTC) - repairs[0][1]).total_seconds() < _pause_s(len(repairs)):
                return
            diagnosis = await self._doctor.diagnose(server_id)
            if diagnosis.agent_is_broken and not diagnosis.answers:
                await self._ask_for(server, diagnosis, str(repairs[0][0]) if repairs else "first")
        except MyxError as error:
            log.info("repair_not_considered", server_id=server_id, reason=error.reason)

    async def _ask_for(self, server: ServerFacts, diagnosis: Diagnosis, after: str) -> None:
        """The request id follows from the history, so that replicas make one deployment between them."""
        request = CreateRequest(
            server=server.server_id,
            kind=str(Kind.REPAIR_AGENT),
            request_id=f"repair:{server.server_id}:{after}",
            requested_by=REPAIRER,
        )
        log.warning("agent_is_broken", server_id=server.server_id, cause=diagnosis.cause, policy=server.repair_policy)
        if server.repair_policy == AUTOMATIC and server.has_credential:
            await self._create.create(request)
            return
        why = "the server's policy is to ask" if server.repair_policy == ASK else "the server has no SSH credential"
        await self._create.note_skipped(
            request,
            reason="repair_needs_consent" if server.repair_policy == ASK else "no_ssh_credential",
            message=f"the agent is broken ({diagnosis.message}) and is not repaired by itself: {why}",
            cure="start a repair, or set the server's repair policy",
        )


def _pause_s(repairs: int) -> float:
    return _PAUSES_S[min(repairs, len(_PAUSES_S) - 1)]
