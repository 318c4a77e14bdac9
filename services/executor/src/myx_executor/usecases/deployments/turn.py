"""Whether a deployment that has not begun may begin: its lock, and its agent."""

import random
from datetime import timedelta

from myx_executor.domain.command import Command, LockMode, OfflinePolicy, Outcome
from myx_executor.domain.deployment import AGENT_KINDS, Deployment, Method
from myx_executor.domain.next_step import (
    ACCESS_UNKNOWN,
    AGENT_OFFLINE,
    JOB_HELD,
    LOCK_HELD,
    has_waited,
    has_waited_for,
    until,
)
from myx_executor.domain.outcome import never_sent
from myx_executor.domain.states import Status
from myx_executor.usecases.authority import DEPLOY
from myx_executor.usecases.deliver import CancelWish
from myx_executor.usecases.deployments.run import DeploymentTools
from myx_executor.usecases.drive import DISTRUST, LOOK_S
from myx_executor.usecases.ledger import Ledger
from myx_executor.usecases.patience import UNTIL_LOST, patiently
from myx_executor.usecases.ports import AgentFailed, ServerGone
from myx_kit.errors import MyxError, Unavailable


class Turn:
    """Decides it for one deployment, before its first step."""

    def __init__(self, tools: DeploymentTools, deployment: Deployment, ledger: Ledger, wish: CancelWish) -> None:
        self._tools = tools
        self._deployment = deployment
        self._row = deployment.row
        self._ledger = ledger
        self._wish = wish

    async def wait(self) -> Command | Outcome | None:
        """None: it may begin. Else the row, given back to wait; or how it ends."""
        waits = None if self._wish.asked.is_set() else await self._look()
        if isinstance(waits, Command) or not self._wish.asked.is_set():
            return waits
        return never_sent(self._row.kind)

    async def _look(self) -> Command | Outcome | None:
        if self._row.offline_policy is not OfflinePolicy.FAIL:
            away = await self._why_away()
            if away and self._row.offline_policy is OfflinePolicy.SKIP:
                return Outcome(Status.SKIPPED, AGENT_OFFLINE, f"skipped: {away}")
            if away:
                return await self._queue(AGENT_OFFLINE, away)
        if self._row.lock_mode is not LockMode.NONE:
            waits = await self._tools.base.locks.acquire(self._ledger.command)
            if waits:
                return await self._queue(LOCK_HELD, waits)
        # The looks before may have taken their time.
        if await patiently(lambda: self._tools.base.commands.is_held(self._row), UNTIL_LOST):
            return await self._queue(JOB_HELD, "its job starts nothing now")
        return await self._refused() if has_waited(self._row) else None

    async def _refused(self) -> Command | Outcome | None:
        """What waited begins only if whoever ordered it still may."""
        row = self._row
        try:
            why = await self._tools.base.authority.refusal(row.requested_by, DEPLOY, [row.server_id])
        except Unavailable as error:
            return await self._queue(ACCESS_UNKNOWN, error.message)
        return None if why is None else Outcome(Status.FAILED, "access_denied", why)

    async def _queue(self, reason: str, why: str) -> Command | Outcome:
        look_s = LOOK_S * (1 - 0.3 * random.random())  # noqa: S311 - spreads load, guards nothing
        deadline = self._row.created_at + timedelta(seconds=self._row.queue_timeout_s)
        queued = await self._ledger.queue(reason, until(why, deadline), [], look_s)
        if queued is None:
            return never_sent(self._row.kind)
        await self._tools.base.locks.released(queued)
        return queued

    async def _why_away(self) -> str:
        """Empty: the agent is there, or is not needed, or nobody can say, or its end was asked for."""
        if not await self._needs_agent():
            return ""
        looks = has_waited_for(self._row, AGENT_OFFLINE)
        doubted = random.random() < DISTRUST  # noqa: S311 - guards nothing
        if looks and not doubted and await self._tools.base.presence.is_away(self._row.server_id):
            return "the agent is offline"
        delays = iter(()) if looks else self._tools.base.limits.retry.delays()
        while not self._wish.asked.is_set():
            try:
                await self._tools.fleet.heartbeat(self._row.server_id)
            except AgentFailed as failure:
                if not failure.retryable:
                    return ""
                pause_s = next(delays, None)
                if pause_s is None:
                    return f"the agent could not be reached: {failure.message}"
            except (ServerGone, MyxError):
                return ""
            else:
                return ""
            await self._wish.wait(pause_s)
        return ""

    async def _needs_agent(self) -> bool:
        plan = self._deployment.plan
        if plan.method is not Method.AUTO:
            return plan.method is Method.AGENT
        if plan.kind in AGENT_KINDS:
            return False
        try:
            return not (await self._tools.registry.server(self._row.server_id)).has_credential
        except MyxError:
            return False
