"""Repair without being asked: bounded, never over commands that run, never for a network that is in the way."""

import asyncio
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from myx_executor.domain.deployment import AGENT_KINDS, Kind
from myx_executor.store.deployments import DeploymentStore, PastRepair
from myx_executor.usecases.deployments.checks import CreateRequest
from myx_executor.usecases.deployments.create import CreateDeployment
from myx_executor.usecases.deployments.ports import Doctor, Registry, ServerFacts
from myx_kit.errors import FailedPrecondition, InvalidArgument, MyxError
from myx_kit.ids import parse_id
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
# Between one repair of a server, or note of the same obstacle, and the next, by how many there were in the window.
_PAUSES_S = (0.0, 300.0, 1800.0, 7200.0, 86_400.0)
# So long that those of one a day are enough for the longest pause.
_WINDOW_S = 5 * 86_400.0


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why a broken agent is not repaired by itself, and what an operator can do; noted once in each outage."""

    reason: str
    why: str
    cure: str


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
            if server.repair_policy in (AUTOMATIC, ASK):
                await self._look_at(server)
        except MyxError as error:
            log.info("repair_not_considered", server_id=server_id, reason=error.reason)

    async def _look_at(self, server: ServerFacts) -> None:
        under_way = await self._store.under_way(server.server_id)
        if under_way & AGENT_KINDS:
            return
        obstacle = await self._obstacle(server, under_way)
        past = await self._store.repairs(server.server_id, REPAIRER)
        alike = [one for one in past if one.skipped == (obstacle.reason if obstacle else "")]
        if _too_early(alike) or (obstacle and alike and _is_of_this_outage(alike[0], server)):
            return
        diagnosis = await self._doctor.diagnose(server.server_id)
        if diagnosis.answers or not diagnosis.agent_is_broken:
            return
        log.warning("agent_is_broken", server_id=server.server_id, cause=diagnosis.cause, policy=server.repair_policy)
        # The request id follows from the history, so that replicas make one deployment between them.
        request = CreateRequest(
            server=server.server_id,
            kind=str(Kind.REPAIR_AGENT),
            request_id=f"repair:{server.server_id}:{past[0].id if past else 'first'}",
            requested_by=REPAIRER,
        )
        if obstacle is None:
            await self._create.create(request)
            return
        message = f"the agent is broken ({diagnosis.message}) and is not repaired by itself: {obstacle.why}"
        await self._create.note_skipped(request, reason=obstacle.reason, message=message, cure=obstacle.cure)

    async def _obstacle(self, server: ServerFacts, under_way: Set[str]) -> _Obstacle | None:
        if server.repair_policy == ASK:
            cure = "start a repair, or set the server's repair policy"
            return _Obstacle("repair_needs_consent", "the server's policy is to ask", cure)
        if not server.has_credential:
            cure = "give the server one; then it is repaired by itself"
            return _Obstacle("no_ssh_credential", "the server has no SSH credential", cure)
        try:
            failed = await self._create.failed_release(server.server_id)
        except FailedPrecondition as error:
            return _Obstacle(
                error.reason.lower(), error.message, "see to the agent bundle; then it is repaired by itself"
            )
        if failed:
            cure = "start a repair, which installs it all the same, or build another agent bundle"
            return _Obstacle("version_failed_before", f"{failed} did not work there before", cure)
        if "command" in under_way or await self._runs_commands(server):
            cure = "wait for them, or cancel them, or repair with force"
            return _Obstacle("commands_running", "commands are known to run there", cure)
        if under_way:
            return _Obstacle("deployment_running", "a deployment runs there", "wait for it, or cancel it")
        return None

    async def _runs_commands(self, server: ServerFacts) -> bool:
        """Whether the agent told last of commands whose end nobody has told since."""
        told = []
        for command_id in server.running_command_ids:
            with suppress(InvalidArgument):
                told.append(parse_id(command_id))
        return bool(told and await self._store.not_ended(server.server_id, told))


def _too_early(past: Sequence[PastRepair]) -> bool:
    ages_s = [(datetime.now(UTC) - one.created_at).total_seconds() for one in past]
    recent = [age_s for age_s in ages_s if age_s < _WINDOW_S]
    return bool(recent) and recent[0] < _PAUSES_S[min(len(recent), len(_PAUSES_S) - 1)]


def _is_of_this_outage(note: PastRepair, server: ServerFacts) -> bool:
    return server.agent_since is not None and note.created_at >= server.agent_since
