"""Reading, cancelling and repeating deployments, and the progress of their plays."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from myx_executor.domain.command import Completeness, Outcome
from myx_executor.domain.deployment import Deployment, Kind
from myx_executor.domain.states import Status
from myx_executor.store.commands import CommandStore
from myx_executor.store.deployments import DeploymentStore
from myx_executor.usecases.deployments.bell import Bells
from myx_executor.usecases.deployments.checks import CreateRequest
from myx_executor.usecases.deployments.create import CreateDeployment
from myx_executor.usecases.deployments.events import DeploymentFacts
from myx_executor.usecases.deployments.ports import Registry
from myx_executor.usecases.lists import newest_first, server_filter
from myx_executor.usecases.locks import Locks
from myx_executor.usecases.runner import Runner
from myx_kit.errors import FailedPrecondition, InvalidArgument, MyxError, NotFound
from myx_kit.ids import parse_id

GRACE_S = 10.0
MAX_WAIT_S = 30.0
_EVENTS_AT_ONCE = 1000
# News from another replica is looked for this often.
_LOOK_S = 0.5


class ReadDeployments:
    """One deployment, pages of them, and their events."""

    def __init__(self, store: DeploymentStore, registry: Registry, bells: Bells) -> None:
        self._store = store
        self._registry = registry
        self._bells = bells

    async def get(self, deployment_id: UUID) -> Deployment:
        """NotFound `DEPLOYMENT_NOT_FOUND`."""
        deployment = await self._store.get(deployment_id)
        if deployment is None:
            raise not_found(str(deployment_id))
        return deployment

    async def events(
        self, deployment_id: UUID, after: int, wait_s: float
    ) -> tuple[list[tuple[int, Mapping[str, Any]]], bool]:
        """Events after `after`, and whether nothing follows; waits for the first. NotFound `DEPLOYMENT_NOT_FOUND`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(max(wait_s, 0.0), MAX_WAIT_S)
        while True:
            # The state is read first: what is stored after it was final is nothing.
            deployment = await self.get(deployment_id)
            events = await self._store.events(deployment_id, max(after, 0), _EVENTS_AT_ONCE)
            is_final = deployment.is_final and len(events) < _EVENTS_AT_ONCE
            left_s = deadline - loop.time()
            if events or is_final or left_s <= 0:
                return list(events), is_final
            await self._bells.wait(deployment_id, min(left_s, _LOOK_S))

    async def list(
        self,
        *,
        page_size: int,
        page_token: str,
        server: str,
        kind: str,
        statuses: Sequence[Status],
        within: Sequence[str] | None = None,
    ) -> tuple[Sequence[Deployment], str]:
        """Newest first, and the token of the next page. InvalidArgument `PAGE_TOKEN_INVALID`, `KIND_INVALID`."""

        async def read(limit: int, before: UUID | None) -> Sequence[Deployment]:
            wanted = _kind(kind)
            server_id, server_name = await server_filter(server, self._id_of)
            return await self._store.page(
                limit=limit,
                before=before,
                server_id=server_id,
                server_name=server_name,
                kind=wanted,
                statuses=statuses,
                within=within,
            )

        return await newest_first(read, page_size, page_token)

    async def _id_of(self, server: str) -> str:
        return (await self._registry.server(server)).server_id


class CancelDeployment:
    """Asks for the end of a deployment."""

    def __init__(
        self,
        store: DeploymentStore,
        commands: CommandStore,
        runner: Runner,
        registry: Registry,
        locks: Locks,
        *,
        tell_others: Callable[[], Awaitable[None]],
        on_event: Callable[[], None],
    ) -> None:
        self._store = store
        self._commands = commands
        self._runner = runner
        self._registry = registry
        self._locks = locks
        self._tell_others = tell_others
        self._on_event = on_event

    async def cancel(self, deployment_id: UUID, requested_by: str = "") -> Deployment:
        """The deployment once the wish is stored; a final one as it is. NotFound `DEPLOYMENT_NOT_FOUND`."""
        deployment = await self._get(deployment_id)
        if deployment.is_final:
            return deployment
        if deployment.row.status is not Status.CANCELLING:
            await self._ask(deployment, requested_by)
            deployment = await self._get(deployment_id)
        if not deployment.is_final and not self._runner.request_cancel(deployment_id, GRACE_S):
            await self._tell_others()
        return deployment

    async def _ask(self, deployment: Deployment, actor: str) -> None:
        message = "cancelled before it was begun"
        outcome = Outcome(Status.CANCELLED, "cancelled", message, completeness=Completeness.UNVERIFIED)
        event = DeploymentFacts(deployment.plan.kind).finished(deployment.row, outcome)
        asked = await self._commands.cancel(deployment.id, GRACE_S, actor=actor, message=message, event=event)
        if asked is None or not asked.is_final:
            return
        self._on_event()
        await self._locks.released(asked)
        try:
            await self._registry.release_maintenance(deployment.row.server_id, str(deployment.id))
        except MyxError:
            return  # the lease runs out by itself

    async def _get(self, deployment_id: UUID) -> Deployment:
        deployment = await self._store.get(deployment_id)
        if deployment is None:
            raise not_found(str(deployment_id))
        return deployment


class RetryDeployment:
    """Repeats a deployment that is final."""

    def __init__(self, store: DeploymentStore, create: CreateDeployment) -> None:
        self._store = store
        self._create = create

    async def retry(
        self, deployment_id: UUID, *, secret_vars: Mapping[str, str], request_id: str, requested_by: str
    ) -> Deployment:
        """A new one with the same content, of the newest version of its project.

        NotFound `DEPLOYMENT_NOT_FOUND`; FailedPrecondition `DEPLOYMENT_NOT_FINAL`, `SECRETS_GONE`; as `create`.
        """
        earlier = await self._store.get(deployment_id)
        if earlier is None:
            raise not_found(str(deployment_id))
        if not earlier.is_final:
            raise FailedPrecondition("DEPLOYMENT_NOT_FINAL", "it is not over yet: wait, or cancel it")
        plan = earlier.plan
        missing = sorted(set(plan.secret_var_names) - secret_vars.keys())
        if missing:
            message = f"secret variables are not kept: give {', '.join(missing)} again"
            raise FailedPrecondition("SECRETS_GONE", message, field="secret_vars")
        is_own = plan.kind is Kind.PLAYBOOK
        return await self._create.create(
            CreateRequest(
                server=earlier.row.server_id,
                kind=str(plan.kind),
                method=plan.method,
                project=plan.project if is_own else "",
                playbook=plan.playbook if is_own else "",
                extra_vars=plan.extra_vars,
                secret_vars=secret_vars,
                check=plan.check,
                diff=plan.diff,
                tags=plan.tags,
                skip_tags=plan.skip_tags,
                limit=plan.limit,
                timeout_s=earlier.row.spec.timeout_s,
                no_output_timeout_s=earlier.row.spec.no_output_timeout_s,
                force=plan.force,
                new_port=plan.new_port,
                new_path=plan.new_path,
                artifact_sha256=plan.artifact_sha256,
                request_id=request_id,
                requested_by=requested_by,
                retry_of=earlier.id,
                offline=earlier.row.offline_policy,
                queue_timeout_s=earlier.row.queue_timeout_s,
                lock=earlier.row.lock_mode,
            )
        )


def not_found(deployment_id: str) -> NotFound:
    """The error for an id that no deployment has."""
    return NotFound("DEPLOYMENT_NOT_FOUND", "there is no such deployment", deployment_id=deployment_id[:64])


def deployment_id_of(text: str) -> UUID:
    """A deployment id as callers give it; NotFound for what can be none."""
    try:
        return parse_id(text, "deployment_id")
    except InvalidArgument:
        raise not_found(text) from None


def _kind(kind: str) -> Kind | None:
    try:
        return Kind(kind) if kind else None
    except ValueError:
        raise InvalidArgument("KIND_INVALID", f"kind must be one of {', '.join(Kind)}", field="kind") from None
