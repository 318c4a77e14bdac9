"""Repair without being asked: bounded, never over commands that run, never for a network that is in the way."""

import asyncio
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
# Worth a look at the agent from outside; a network that is in the way is none of them.
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
        "hung",
    }
)
# Servers that are looked at together; what does not fit the sweep finds.
_AT_ONCE = 8
_MOST_NOTED = 10_000
# Between one repair of a server and the next, by how many there were in the window.
_PAUSES_S = (0.0, 300.0, 1800.0, 7200.0, 86_400.0)
_WINDOW_S = 2 * 86_400.0


class SelfRepair:
    """Looks at servers whose agent is offline, and asks for what their policy says."""

    def __init__(
        self,
        store: DeploymentStore,
        registry: Registry,
        doctor: Doctor,
        create: CreateDeployment,
        *,
        sweep_interval_s: float,
    ) -> None:
        # Set when there is somebody to look at.
        self.wake = asyncio.Event()
        self._store = store
        self._registry = registry
        self._doctor = doctor
        self._create = create
        self._sweep_interval_s = sweep_interval_s
        self._sweep_at: float | None = None
        self._noted: dict[str, str] = {}

    def note(self, server_id: str, cause: str) -> None:
        """An agent went offline."""
        if cause in SUSPICIOUS and len(self._noted) < _MOST_NOTED:
            self._noted[server_id] = cause
            self.wake.set()

    async def run_once(self) -> None:
        """Looks at those that were noted, and from time to time at all that are offline."""
        noted, self._noted = self._noted, {}
        now = asyncio.get_running_loop().time()
        if self._sweep_at is None:
            # Who has just started does not yet know better than the events.
            self._sweep_at = now + self._sweep_interval_s
        if now >= self._sweep_at:
            self._sweep_at = now + self._sweep_interval_s
            async for server_id, cause in self._registry.offline_agents():
                noted[server_id] = cause
        slots = asyncio.Semaphore(_AT_ONCE)

        async def look(server_id: str, cause: str) -> None:
            async with slots:
                await self.consider(server_id, cause)

        async with asyncio.TaskGroup() as group:
            for server_id, cause in noted.items():
                group.create_task(look(server_id, cause), name=f"consider {server_id}")

    async def consider(self, server_id: str, cause: str) -> None:
        """Repairs one, if it is to be; harmless to repeat, also on several replicas at once."""
        if cause not in SUSPICIOUS:
            return
        try:
            server = await self._registry.server(server_id)
            if server.agent_status != "offline" or server.paused or server.quarantined:
                return
            if server.repair_policy not in (AUTOMATIC, ASK):
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
