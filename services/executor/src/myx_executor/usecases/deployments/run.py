"""What the steps of one deployment work with: its record, its log, its ways to the host."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from myx_executor.domain.command import LeaseLost
from myx_executor.domain.deployment import (
    Deployment,
    DeploymentLost,
    Method,
    Recap,
    Step,
    StepCancelled,
    StepFailed,
    StepStatus,
)
from myx_executor.domain.log import STDOUT, LogBytes
from myx_executor.domain.states import Status
from myx_executor.domain.text import clean
from myx_executor.store.deployments import DeploymentStore
from myx_executor.store.files import FileStore
from myx_executor.usecases.deliver import CancelWish
from myx_executor.usecases.deployments import quarantine
from myx_executor.usecases.deployments.bell import Bells
from myx_executor.usecases.deployments.ports import Bundles, Doctor, Fleet, Hosts, Pythons, Registry, Session, Tool
from myx_executor.usecases.drive import Tools
from myx_executor.usecases.ledger import Lease
from myx_executor.usecases.patience import UNTIL_LOST, patiently
from myx_executor.usecases.sink import LogSink
from myx_kit.errors import Unavailable

_MASK = "********"
_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class Times:
    """Limits of deployments, in seconds (settings)."""

    agent_wait_s: float = 120.0
    upgrade_confirm_s: float = 120.0
    maintenance_ttl_s: float = 60.0
    poll_s: float = 3.0


@dataclass(frozen=True, slots=True)
class DeploymentTools:
    """What every deployment works with."""

    base: Tools
    fleet: Fleet
    registry: Registry
    hosts: Hosts
    bundles: Bundles
    pythons: Pythons
    tool: Tool
    doctor: Doctor
    store: DeploymentStore
    files: FileStore
    bells: Bells
    times: Times
    work_dir: Path
    index_url: str = ""


class Run:
    """One deployment while this replica works on it. Every write names the lease: LeaseLost says to stop."""

    def __init__(
        self,
        tools: DeploymentTools,
        deployment: Deployment,
        lease: Lease,
        sink: LogSink,
        wish: CancelWish,
        *,
        secret_vars: Mapping[str, str],
        stack: AsyncExitStack,
    ) -> None:
        self.tools = tools
        self.deployment = deployment
        self.lease = lease
        self.sink = sink
        self.wish = wish
        self.secret_vars = secret_vars
        self.log_is_whole = True
        # A play over SSH is under way: nobody else could go on with it.
        self.dies_with_us = False
        # Why it is ended early, when nobody wished it.
        self.ended_by: StepFailed | None = None
        self._stack = stack
        self._session: Session | None = None
        self._noted = ""
        self._masks = [value for value in secret_vars.values() if len(value) >= _SHORTEST_SECRET]

    @property
    def server_id(self) -> str:
        """The server it is for."""
        return self.deployment.row.server_id

    @property
    def key(self) -> str:
        """The deployment's id as text: names of files and units on the host are made from it."""
        return str(self.deployment.id)

    @property
    def left_s(self) -> float:
        """Time until the deployment's limit."""
        since = self.deployment.row.started_at or datetime.now(UTC)
        due = since + timedelta(seconds=self.deployment.row.spec.timeout_s)
        return max((due - datetime.now(UTC)).total_seconds(), 1.0)

    def check_wish(self) -> None:
        """StepCancelled once the end was asked for."""
        if self.wish.asked.is_set():
            raise StepCancelled

    async def say(self, text: str) -> None:
        """A line of the deployment's log; never within a play, whose bytes follow each other."""
        for secret in self._masks:
            text = text.replace(secret, _MASK)
        await self.write(f"{clean(text)}\n".encode())

    async def write(self, data: bytes, stream: int = STDOUT) -> None:
        """Bytes of the log."""
        if data:
            await self.sink.feed(LogBytes(stream, self.sink.received, data))

    async def note(self, message: str, *, cancel: bool = False) -> None:
        """Shows in the row why nothing comes; once its end was asked for, what becomes of that (`cancel`)."""
        if message == self._noted or (self.wish.asked.is_set() and not cancel):
            return
        self._noted = message
        try:
            landed = await self.tools.base.logs.note(self.deployment.id, self.lease.command.fence, message, [])
        except Unavailable:
            return
        if not landed:
            raise LeaseLost

    def state(self, key: str, default: Any = None) -> Any:
        """What was remembered for the next owner."""
        return self.deployment.state.get(key, default)

    async def remember(self, **values: Any) -> None:
        """Stores plain data for the next owner; None forgets."""
        state = {**self.deployment.state, **values}
        await self._save(state={key: value for key, value in state.items() if value is not None})

    async def tell(self, **details: str) -> None:
        """Facts that callers see; an empty one is left out."""
        merged = {**self.deployment.details, **{key: clean(value) for key, value in details.items()}}
        await self._save(details={key: value for key, value in merged.items() if value})

    async def use_method(self, method: Method) -> None:
        """What AUTO became."""
        await self._save(method_used=method)

    async def use_project(self, version: str, digest: str) -> None:
        """Which version of the project is run."""
        await self._save(project_version=version, project_digest=digest)

    async def set_recap(self, recap: Recap | None) -> None:
        """The counts of the play."""
        if recap is not None:
            await self._save(recap=recap)

    async def set_steps(self, steps: tuple[Step, ...]) -> None:
        """All steps."""
        await self._save(steps=steps)

    async def begin_step(self, name: str) -> None:
        """The step is under way; one that was before keeps its beginning."""

        def begun(step: Step) -> Step:
            if step.status is StepStatus.RUNNING:
                return step
            return replace(step, status=StepStatus.RUNNING, started_at=datetime.now(UTC), log_offset=self.sink.received)

        await self._change_step(name, begun)

    async def end_step(
        self, name: str, status: StepStatus, *, reason: str = "", message: str = "", cure: str = ""
    ) -> None:
        """The step is over."""
        await self._change_step(
            name,
            lambda step: replace(
                step,
                status=status,
                reason=reason,
                message=clean(message),
                cure=clean(cure),
                ended_at=datetime.now(UTC),
            ),
            cure=clean(cure),
        )

    async def session(self) -> Session:
        """The SSH connection of this run, opened when it is first needed. StepFailed `AGENT_QUARANTINED`."""
        if self._session is None:
            await quarantine.check(self.tools.registry, self.server_id, self.deployment.plan.kind)
            self._session = await self._stack.enter_async_context(self.tools.hosts.connect(self.server_id))
        return self._session

    def forget_session(self) -> None:
        """The SSH connection is lost: the next one who asks for it gets a new one."""
        self._session = None

    async def prove_end(self, *, everything: bool = False) -> None:
        """Ends what was broken off on the host over SSH (`everything`: also what ended commands left behind there).

        DeploymentLost unless it is proved that nothing of it is left there.
        """
        if self._session is not None and not await self._session.end(everything=everything):
            message = "it is not proved that what it had begun over SSH has ended: it may still run on the host"
            cure = "see to the host and its network, end there what still runs, then run it again"
            raise DeploymentLost("CANCEL_NOT_PROVED", message, cure)

    async def enter(self, context: Any) -> Any:
        """Enters a context that ends with the run."""
        return await self._stack.enter_async_context(context)

    async def _change_step(self, name: str, change: Callable[[Step], Step], **more: Any) -> None:
        steps = tuple(change(step) if step.name == name else step for step in self.deployment.steps)
        await self._save(steps=steps, **more)

    async def _save(self, **changes: Any) -> None:
        self.deployment = replace(self.deployment, **changes)
        fence = self.lease.command.fence
        status = await patiently(lambda: self.tools.store.save(fence, self.deployment), UNTIL_LOST)
        if status is None:
            raise LeaseLost
        if status is Status.CANCELLING:
            self.wish.ask(None)
