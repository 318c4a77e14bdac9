"""CreateDeployment: check, store once, begin."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

from myx_executor.domain.command import (
    DEFAULT_QUEUE_TIMEOUT_S,
    Command,
    CommandSpec,
    Completeness,
    RowKind,
    Secrets,
)
from myx_executor.domain.deployment import (
    AGENT_KINDS,
    ONLY_METHOD,
    PLAYBOOKS,
    SHIPPED,
    Deployment,
    Kind,
    Method,
    Plan,
    Step,
)
from myx_executor.domain.states import Status
from myx_executor.store.deployments import NewDeployment
from myx_executor.usecases.deployments import quarantine
from myx_executor.usecases.deployments.checks import CreateRequest, check
from myx_executor.usecases.deployments.kinds import upgrade
from myx_executor.usecases.deployments.kinds.plan import known_at_start
from myx_executor.usecases.deployments.ports import Project, ServerFacts
from myx_executor.usecases.deployments.run import DeploymentTools
from myx_executor.usecases.run_command import or_default, policy_content
from myx_executor.usecases.runner import Runner
from myx_executor.usecases.sealing import content_digest, open_digest, seal_digest, seal_secrets
from myx_kit.errors import Aborted, FailedPrecondition, Internal, MyxError, NotFound
from myx_kit.ids import new_id
from myx_kit.logging import get_logger

log = get_logger()

_NEED_BUNDLE = (Kind.INSTALL_AGENT, Kind.REPAIR_AGENT, Kind.UPGRADE_AGENT)
_NEED_AGENT = (Kind.UPGRADE_AGENT, Kind.ROTATE_AGENT, Kind.REPAIR_AGENT)


class CreateDeployment:
    """Accepts deployments."""

    def __init__(
        self,
        tools: DeploymentTools,
        runner: Runner,
        *,
        default_timeout_s: float,
        on_waiting: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = tools.store
        self._files = tools.files
        self._registry = tools.registry
        self._bundles = tools.bundles
        self._tool = tools.tool
        self._box = tools.base.box
        self._maintenance_ttl_s = tools.times.maintenance_ttl_s
        self._runner = runner
        self._default_timeout_s = default_timeout_s
        self._on_waiting = on_waiting

    async def create(self, request: CreateRequest) -> Deployment:
        """The stored deployment, new or that of the first call with this request id. Errors as the proto says."""
        kind = check(request)
        known = await self._earlier(request)
        if known is not None:
            return known
        server = await self._registry.server(request.server)
        await self._check_server(kind, request, server)
        project = await self._project(kind, request)
        await self._check_artifact(request)
        deployment = self._new(kind, request, server, project)
        if kind in AGENT_KINDS:
            await self._registry.acquire_maintenance(
                server.server_id, str(deployment.id), str(kind), request.requested_by, self._maintenance_ttl_s
            )
        stored: Deployment | None = None
        try:
            stored = await self._store_and_start(request, deployment)
        finally:
            if kind in AGENT_KINDS and (stored is None or stored.id != deployment.id):
                await self._release(deployment)
        return stored

    async def check_content(self, request: CreateRequest) -> None:
        """Raises what `create` would whatever the server is."""
        kind = check(request)
        if kind in _NEED_BUNDLE:
            await self._bundles.release()
        await self._project(kind, request)
        await self._check_artifact(request)

    async def failed_release(self, server_id: str) -> str:
        """The name of the release that would be installed, if it did not work on this server before; else empty."""
        release = await self._bundles.release()
        last = await self._store.last_of_release(server_id, release.name)
        return release.name if last is not None and upgrade.outcome_counts(*last) else ""

    async def note_skipped(self, request: CreateRequest, *, reason: str, message: str, cure: str) -> None:
        """Stores a deployment that is not done, by policy, so that it is seen with its details."""
        server = await self._registry.server(request.server)
        new = self._new(Kind(request.kind), request, server, None)
        row = replace(new.row, status=Status.SKIPPED, reason=reason, message=message)
        digest = seal_digest(self._box, row.id, _digest(request)) if request.request_id else None
        skipped = replace(new, row=row, steps=(), cure=cure)
        await self._store.insert(NewDeployment(skipped, None, request.request_id or None, digest, None, 0))

    async def _check_server(self, kind: Kind, request: CreateRequest, server: ServerFacts) -> None:
        why = quarantine.obstacle(kind, server)
        if why:
            message = f"{why}; {quarantine.cure(server)}"
            raise FailedPrecondition(quarantine.REASON, message, server=server.name)
        if kind in _NEED_BUNDLE:
            await self._bundles.release()
            if kind is Kind.UPGRADE_AGENT and not request.force:
                await self._check_release(server)
        if kind in _NEED_AGENT and not server.agent_id:
            message = f"server {server.name} has no agent: install one first"
            raise FailedPrecondition("AGENT_NOT_FOUND", message, server=server.name)
        method = ONLY_METHOD.get(kind, request.method)
        if method is Method.SSH and not server.has_credential:
            message = f"server {server.name} has no SSH credential: give it one first"
            raise FailedPrecondition("NO_SSH_CREDENTIAL", message, server=server.name)
        if method is Method.AGENT and not server.agent_id:
            message = f"server {server.name} has no agent: install one, or choose SSH"
            raise FailedPrecondition("AGENT_NOT_FOUND", message, server=server.name)

    async def _check_artifact(self, request: CreateRequest) -> None:
        if request.artifact_sha256 and await self._files.artifact(request.artifact_sha256) is None:
            message = "there is no artifact with this digest: push it first"
            raise NotFound("ARTIFACT_NOT_FOUND", message, field="artifact_sha256")

    async def _check_release(self, server: ServerFacts) -> None:
        release = await self.failed_release(server.server_id)
        if release:
            message = f"{release} did not work on {server.name} before; with force it is tried again"
            raise FailedPrecondition("VERSION_FAILED_BEFORE", message, server=server.name, release=release)

    async def _project(self, kind: Kind, request: CreateRequest) -> Project | None:
        name = request.project or SHIPPED
        if name == SHIPPED:
            if kind is Kind.ROTATE_AGENT:
                return None
            project = await self._tool.shipped()
        else:
            versions = await self._files.versions(name)
            if not versions:
                raise NotFound("PLAYBOOK_NOT_FOUND", f"there is no project {name}", field="project")
            newest = versions[0]
            project = Project(name, str(newest.version), newest.digest, newest.playbooks, newest.size_bytes)
        playbook = request.playbook or PLAYBOOKS[kind]
        if playbook not in project.playbooks:
            message = f"project {name} has no playbook {playbook}"
            raise NotFound("PLAYBOOK_NOT_FOUND", message, field="playbook")
        return project

    def _new(self, kind: Kind, request: CreateRequest, server: ServerFacts, project: Project | None) -> Deployment:
        plan = Plan(
            kind=kind,
            method=ONLY_METHOD.get(kind, request.method),
            project=request.project or SHIPPED,
            playbook=request.playbook or PLAYBOOKS.get(kind, ""),
            extra_vars=request.extra_vars,
            secret_var_names=tuple(sorted(request.secret_vars)),
            check=request.check,
            diff=request.diff,
            tags=request.tags,
            skip_tags=request.skip_tags,
            limit=request.limit,
            force=request.force,
            new_port=request.new_port,
            new_path=request.new_path,
            artifact_sha256=request.artifact_sha256,
        )
        timeout_s = self._default_timeout_s if request.timeout_s is None else request.timeout_s
        return Deployment(
            row=_new_row(server, request, timeout_s),
            plan=plan,
            project_version=project.version if project else "",
            project_digest=project.digest if project else "",
            retry_of=request.retry_of,
            steps=tuple(Step(name, title) for name, title in known_at_start(kind, plan.method)),
        )

    async def _store_and_start(self, request: CreateRequest, deployment: Deployment) -> Deployment:
        sealed = seal_secrets(self._box, deployment.id, Secrets(request.secret_vars))
        digest = seal_digest(self._box, deployment.id, _digest(request)) if request.request_id else None

        def insert(owner: str | None) -> Awaitable[Command | None]:
            return self._store.insert(
                NewDeployment(
                    deployment=deployment,
                    sealed=sealed,
                    request_id=request.request_id or None,
                    sealed_request_digest=digest,
                    owner=owner,
                    lease_s=self._runner.lease_s,
                )
            )

        if request.job_id is None:
            row = await self._runner.accept(insert, sealed, self._on_waiting)
        elif (row := await insert(None)) is not None:
            # Any replica takes it.
            await self._on_waiting()
        if row is not None:
            return replace(deployment, row=row)
        known = await self._earlier(request)
        if known is None and request.job_id is not None:
            raise Aborted("RESERVATION_GONE", "the job does not start this target any more")
        if known is None:
            raise Internal("REQUEST_ID_VANISHED", "the first deployment of this request id is gone")
        return known

    async def _earlier(self, request: CreateRequest) -> Deployment | None:
        if request.deployment_id is not None:
            return await self._store.get(request.deployment_id)
        if not request.request_id:
            return None
        found = await self._store.by_request(request.requested_by, request.request_id)
        if found is None:
            return None
        row_id, sealed = found
        known = await self._store.get(row_id)
        if known is None or open_digest(self._box, row_id, sealed) != _digest(request):
            message = "the request id was used before for something else"
            raise Aborted("REQUEST_ID_REUSED", message, field="request_id")
        return known

    async def _release(self, deployment: Deployment) -> None:
        try:
            await self._registry.release_maintenance(deployment.row.server_id, str(deployment.id))
        except MyxError as error:
            log.info("maintenance_not_released", deployment_id=str(deployment.id), reason=error.reason)


def _new_row(server: ServerFacts, request: CreateRequest, timeout_s: float) -> Command:
    return Command(
        id=request.deployment_id or new_id(),
        server_id=server.server_id,
        server_name=server.name,
        agent_id=server.agent_id,
        spec=CommandSpec("", timeout_s=timeout_s, no_output_timeout_s=request.no_output_timeout_s or None),
        secret_env_names=(),
        status=Status.PENDING,
        reason="",
        message="",
        exit_code=None,
        signal="",
        created_at=datetime.now(UTC),
        dispatch_at=None,
        started_at=None,
        ended_at=None,
        cancel_requested_at=None,
        cancel_grace_s=None,
        log_size=0,
        completeness=Completeness.OPEN,
        result=None,
        attempts=(),
        requested_by=request.requested_by,
        fence=0,
        revision=0,
        kind=RowKind.DEPLOYMENT,
        offline_policy=request.offline,
        queue_timeout_s=or_default(request.queue_timeout_s, DEFAULT_QUEUE_TIMEOUT_S),
        lock_mode=request.lock,
        job_id=request.job_id,
        schedule_id=request.schedule_id,
    )


def _digest(request: CreateRequest) -> bytes:
    limit_s = request.no_output_timeout_s
    return content_digest(
        policy_content(request.offline, request.lock, request.queue_timeout_s)
        # Only where it is given: a request of a release that knew none is repeated with the same digest.
        | ({"no_output_timeout_s": limit_s} if limit_s else {})
        | {
            "deployment": request.kind,
            "server": request.server,
            "method": str(request.method),
            "project": request.project,
            "playbook": request.playbook,
            "extra_vars": dict(request.extra_vars),
            "secret_vars": dict(request.secret_vars),
            "check": request.check,
            "diff": request.diff,
            "tags": list(request.tags),
            "skip_tags": list(request.skip_tags),
            "limit": request.limit,
            "timeout_s": request.timeout_s,
            "force": request.force,
            "new_port": request.new_port,
            "new_path": request.new_path,
            "artifact": request.artifact_sha256,
            "retry_of": str(request.retry_of or ""),
        }
    )
