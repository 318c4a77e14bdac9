"""One owned deployment from where it stands to its end, step by step."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from uuid import UUID

from myx_executor.domain.command import Command, Completeness, LeaseLost, Outcome, Secrets
from myx_executor.domain.deployment import (
    Deployment,
    DeploymentLost,
    Step,
    StepCancelled,
    StepFailed,
    StepSkipped,
    StepStatus,
)
from myx_executor.domain.log import Piece
from myx_executor.domain.ssh import SshError
from myx_executor.domain.states import Status
from myx_executor.store.commands import Owned
from myx_executor.usecases.deliver import CancelWish
from myx_executor.usecases.deployments import maintenance, quarantine
from myx_executor.usecases.deployments.action import Action
from myx_executor.usecases.deployments.events import DeploymentFacts
from myx_executor.usecases.deployments.kinds.plan import actions_of
from myx_executor.usecases.deployments.run import DeploymentTools, Run
from myx_executor.usecases.deployments.ssh_work import check_not_left
from myx_executor.usecases.deployments.turn import Turn
from myx_executor.usecases.ledger import Lease, Ledger
from myx_executor.usecases.metrics import DEPLOYMENTS
from myx_executor.usecases.patience import patiently
from myx_executor.usecases.ports import AgentFailed, ServerGone
from myx_executor.usecases.sealing import open_secrets
from myx_executor.usecases.sink import LogSink
from myx_kit.errors import Internal, MyxError
from myx_kit.logging import get_logger

log = get_logger()

_PATIENCE_S = 30.0


class DeploymentDrive:
    """The owner's work on one deployment; LeaseLost when another replica has it."""

    def __init__(self, tools: DeploymentTools, owned: Owned, lease: Lease) -> None:
        self._tools = tools
        self._owned = owned
        self._lease = lease
        self.cancel = CancelWish()
        self._run: Run | None = None
        self._too_late = False
        if owned.command.cancel_requested_at is not None:
            self.cancel.ask(owned.command.cancel_grace_s)

    @property
    def dies_with_us(self) -> bool:
        """Whether a play over SSH is under way."""
        return self._run is not None and self._run.dies_with_us

    async def run(self) -> None:
        """Runs the steps that are left, then finishes."""
        command = self._owned.command
        self._tools.base.hub.begin(command.id)
        last: Command | None = None
        try:
            last = await self._work(command.id)
        finally:
            await self._tools.base.hub.end(command.id, last if last is not None and last.is_final else None)
            self._tools.bells.ring(command.id)

    async def _work(self, deployment_id: UUID) -> Command:
        deployment = await patiently(lambda: self._tools.store.get(deployment_id), _PATIENCE_S)
        if deployment is None or deployment.row.fence != self._lease.command.fence:
            raise LeaseLost
        base = self._tools.base
        ledger = Ledger(
            self._lease,
            base.commands,
            base.logs,
            base.hub,
            lambda: self.cancel.ask(None),
            facts=DeploymentFacts(deployment.plan.kind),
        )
        try:
            secrets = open_secrets(base.box, deployment.id, self._owned.sealed)
        except Internal as error:
            begun = deployment.row.started_at is not None
            unread = Outcome(Status.LOST if begun else Status.FAILED, error.reason.lower(), error.message)
            return await self._finish(deployment, ledger, unread, [])
        if deployment.row.started_at is None:
            waits = await Turn(self._tools, deployment, ledger, self.cancel).wait()
            if isinstance(waits, Outcome):
                final = await self._finish(deployment, ledger, waits, [])
                await self._tidy(deployment)
                return final
            if waits is not None:
                return waits
            await ledger.confirm([], [], "a replica has begun it")
            deployment = replace(deployment, row=ledger.command)
        outcome, rest, run = await self._with_log(deployment, ledger, secrets)
        self._lease.done = True
        final = await self._finish(deployment, ledger, outcome, rest)
        await self._tidy(run.deployment)
        return final

    async def _finish(self, deployment: Deployment, ledger: Ledger, outcome: Outcome, rest: Sequence[Piece]) -> Command:
        final = await ledger.finish(outcome, [], rest, release_pending=False)
        kind = deployment.plan.kind
        DEPLOYMENTS.labels(kind, final.status).inc()
        log.info(
            "deployment_finished", deployment_id=str(final.id), kind=kind, status=final.status, reason=final.reason
        )
        self._tools.base.on_final(final, False)
        await self._tools.base.locks.released(final)
        return final

    async def _with_log(
        self, deployment: Deployment, ledger: Ledger, secrets: Secrets
    ) -> tuple[Outcome, list[Piece], Run]:
        """Runs the steps beside the writer of the log; how it ended and what is left to be written."""
        sink = LogSink(ledger, self._tools.base.pressure)
        outcome: Outcome | None = None
        lost = False
        run: Run | None = None
        try:
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
                group.create_task(sink.run(), name="log")
                run = self._run = self._new_run(deployment, sink, secrets, stack)
                watchers = [group.create_task(self._watch_time(run), name="limit")]
                if maintenance.needs_lease(deployment.plan.kind):
                    watchers.append(group.create_task(maintenance.keep(run), name="maintenance"))
                outcome = await self._outcome(run)
                sink.end()
                for watcher in watchers:
                    watcher.cancel()
        except* LeaseLost:
            lost = True
        finally:
            rest = sink.rest()
        if lost or outcome is None or run is None:
            raise LeaseLost
        return outcome, rest, run

    def _new_run(self, deployment: Deployment, sink: LogSink, secrets: Secrets, stack: AsyncExitStack) -> Run:
        return Run(self._tools, deployment, self._lease, sink, self.cancel, secret_vars=secrets.env, stack=stack)

    async def _outcome(self, run: Run) -> Outcome:
        try:
            failed = await self._steps(run)
        except StepCancelled:
            return self._ended_early(run)
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - _internal logs it
            failed = _internal(run, "", error)
        completeness = Completeness.COMPLETE if run.log_is_whole else Completeness.INCOMPLETE
        if failed is None:
            return Outcome(Status.SUCCESS, message=_summary(run.deployment), completeness=completeness)
        status = Status.LOST if isinstance(failed, DeploymentLost) else Status.FAILED
        if status is Status.LOST:
            completeness = Completeness.INCOMPLETE
        if failed.reason in ("TIMEOUT", "NO_OUTPUT_TIMEOUT"):
            status = Status.TIMEOUT
        why = "the time limit was reached; " if self._too_late and status is Status.LOST else ""
        return Outcome(status, failed.reason.lower(), why + failed.message, completeness=completeness)

    def _ended_early(self, run: Run) -> Outcome:
        completeness = Completeness.COMPLETE if run.log_is_whole else Completeness.INCOMPLETE
        if self._too_late:
            return Outcome(Status.TIMEOUT, "timeout", "the time limit was reached", completeness=completeness)
        if run.ended_by is not None:
            return Outcome(Status.FAILED, run.ended_by.reason.lower(), run.ended_by.message, completeness=completeness)
        return Outcome(Status.CANCELLED, "cancelled", "cancelled on request", completeness=completeness)

    async def _steps(self, run: Run) -> StepFailed | None:
        """Runs what is left; the failure that ended it. StepCancelled once the wished end is proved."""
        while True:
            actions = actions_of(run)
            await _match(run, actions)
            left = [step for step in run.deployment.steps if not step.status.is_over]
            broken = next((one for one in run.deployment.steps if one.status is StepStatus.FAILED), None)
            if broken is not None:
                return StepFailed(broken.reason, broken.message, broken.cure)
            if not left:
                return None
            action = next(action for action in actions if action.name == left[0].name)
            failed = await self._step(run, action)
            if failed is not None:
                return failed

    async def _step(self, run: Run, action: Action) -> StepFailed | None:
        try:
            check_not_left(run)
            if not action.in_one_go:
                run.check_wish()
            if not any(step.started_at for step in run.deployment.steps):
                await quarantine.check(self._tools.registry, run.server_id, run.deployment.plan.kind)
            await run.begin_step(action.name)
            message = await self._do(run, action)
        except StepSkipped as skipped:
            await run.end_step(action.name, StepStatus.SKIPPED, message=str(skipped))
            return None
        except StepCancelled:
            await run.end_step(action.name, StepStatus.CANCELLED)
            raise
        except (StepFailed, AgentFailed, ServerGone, MyxError) as error:
            failed = _as_failure(error)
            await run.say(f"{action.title}: {failed.message}")
            await run.end_step(
                action.name, StepStatus.FAILED, reason=failed.reason, message=failed.message, cure=failed.cure
            )
            return failed
        await run.end_step(action.name, StepStatus.SUCCESS, message=message)
        return None

    async def _do(self, run: Run, action: Action) -> str:
        """The step's work; broken off when the end is asked for, unless it is to be done in one go."""
        work = asyncio.ensure_future(_guarded(run, action))
        if action.in_one_go:
            return await work
        wished = asyncio.ensure_future(self.cancel.asked.wait())
        try:
            await asyncio.wait({work, wished}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
        finally:
            for task in (work, wished):
                task.cancel()
            await asyncio.gather(work, wished, return_exceptions=True)
        await run.prove_end()
        raise StepCancelled

    async def _watch_time(self, run: Run) -> None:
        await asyncio.sleep(run.left_s)
        if not self.cancel.asked.is_set():
            self._too_late = True
            self.cancel.ask(None)

    async def _tidy(self, deployment: Deployment) -> None:
        """What may fail without harm: it runs out by itself."""
        server_id, key = deployment.row.server_id, str(deployment.id)
        try:
            if maintenance.needs_lease(deployment.plan.kind):
                await self._tools.registry.release_maintenance(server_id, key)
            calls = [UUID(call["id"]) for call in deployment.state.get("calls", {}).values()]
            if calls:
                await self._tools.fleet.release(server_id, calls)
        except (AgentFailed, ServerGone, MyxError):
            log.info("deployment_not_tidied", deployment_id=key)


async def _guarded(run: Run, action: Action) -> str:
    try:
        return await action.do(run)
    except (StepFailed, StepSkipped, StepCancelled, AgentFailed, ServerGone, MyxError, LeaseLost):
        raise
    except Exception as error:  # noqa: BLE001 - _internal logs it
        raise _internal(run, action.name, error) from None


def _internal(run: Run, step: str, error: Exception) -> StepFailed:
    """An unexpected fault ends this deployment: not the replica, and not again and again."""
    log.error("deployment_failed", deployment_id=run.key, step=step, exc_info=error)
    message = "an unexpected fault of MyX; the executor's log has the details"
    return StepFailed("INTERNAL", message, "report it, then run it again")


async def _match(run: Run, actions: Sequence[Action]) -> None:
    """The stored steps become those of the plan: new ones are added, those that are not needed any more are skipped."""
    names = {action.name for action in actions}
    kept = tuple(
        step if step.name in names or step.status.is_over else replace(step, status=StepStatus.SKIPPED)
        for step in run.deployment.steps
    )
    known = {step.name for step in kept}
    steps = kept + tuple(Step(action.name, action.title) for action in actions if action.name not in known)
    if steps != run.deployment.steps:
        await run.set_steps(steps)


def _as_failure(error: Exception) -> StepFailed:
    if isinstance(error, StepFailed):
        return error
    if isinstance(error, AgentFailed):
        reason = error.reason or f"AGENT_{error.cause.upper()}"
        return StepFailed(reason, error.message, "see whether the agent is online, then run it again")
    if isinstance(error, ServerGone):
        return StepFailed("SERVER_NOT_FOUND", error.why)
    if isinstance(error, SshError):
        return StepFailed(error.reason, error.message, error.cure)
    if isinstance(error, Internal):
        return StepFailed(error.reason, error.message, "see the executor's log")
    if isinstance(error, MyxError):
        return StepFailed(error.reason, error.message, "run it again")
    raise error


def _summary(deployment: Deployment) -> str:
    """The last thing that was said of a step."""
    said = [step.message for step in deployment.steps if step.message]
    return said[-1] if said else ""
