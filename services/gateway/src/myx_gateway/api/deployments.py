"""/deployments"""

from typing import Annotated

from fastapi import Query, Response
from pydantic import AfterValidator

from myx.executor.v1 import deployment_service_pb2 as executor
from myx_gateway.api.dependencies import (
    AccessDep,
    ClientsDep,
    DeploymentPath,
    PageSize,
    PageToken,
    PrincipalDep,
    RequestIdDep,
    ServerFilter,
    within,
)
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import deployments as convert
from myx_gateway.convert.commands import wire_status
from myx_gateway.schemas.commands import CommandStatus
from myx_gateway.schemas.common import plain
from myx_gateway.schemas.deployments import Deployment, DeploymentPage, NewDeployment, PlayEvents, RetryRequest
from myx_kit.wire_time import duration

router = OperationRouter(tags=["deployments"])

# What the executor may need beyond the wait that was asked for.
_EVENTS_MARGIN_S = 10.0
# A start looks at the server, the playbook and the artifact.
_START_DEADLINE_S = 20.0

KindFilter = Annotated[str, Query(max_length=64, description="Only of this kind."), AfterValidator(plain)]


@router.operation("deployments.create")
async def create_deployment(
    clients: ClientsDep, access: AccessDep, request_id: RequestIdDep, body: NewDeployment, response: Response
) -> Deployment:
    """Accept a deployment; it is carried out in the background."""
    request = convert.wire_deployment(body)
    request.server = await access.server(body.server)
    request.request_id, request.requested_by = request_id, access.principal.name
    answer = await clients.deployments.CreateDeployment(request, timeout=_START_DEADLINE_S)
    response.headers["Location"] = f"/api/v1/deployments/{answer.deployment.id}"
    return convert.deployment(answer.deployment)


@router.operation("deployments.list")
async def list_deployments(
    *,
    clients: ClientsDep,
    access: AccessDep,
    server: ServerFilter = "",
    kind: KindFilter = "",
    status: Annotated[list[CommandStatus] | None, Query(description="Only these; may be repeated.")] = None,
    page_size: PageSize = 100,
    page_token: PageToken = "",
) -> DeploymentPage:
    """Deployments, newest first."""
    answer = await clients.deployments.ListDeployments(
        executor.ListDeploymentsRequest(
            page_size=page_size,
            page_token=page_token,
            server=server,
            kind=kind,
            statuses=[wire_status(item) for item in status or ()],
            within=await within(access),
        )
    )
    return DeploymentPage(
        items=[convert.deployment(item) for item in answer.deployments], next_page_token=answer.next_page_token or None
    )


@router.operation("deployments.get")
async def get_deployment(clients: ClientsDep, deployment_id: DeploymentPath) -> Deployment:
    """One deployment with its steps."""
    answer = await clients.deployments.GetDeployment(executor.GetDeploymentRequest(deployment_id=deployment_id))
    return convert.deployment(answer.deployment)


@router.operation("deployments.cancel")
async def cancel_deployment(clients: ClientsDep, principal: PrincipalDep, deployment_id: DeploymentPath) -> Deployment:
    """Ask a deployment to end; it is `cancelling` until the end is proved. Safe to repeat."""
    answer = await clients.deployments.CancelDeployment(
        executor.CancelDeploymentRequest(deployment_id=deployment_id, requested_by=principal.name)
    )
    return convert.deployment(answer.deployment)


@router.operation("deployments.retry")
async def retry_deployment(
    *,
    clients: ClientsDep,
    principal: PrincipalDep,
    request_id: RequestIdDep,
    deployment_id: DeploymentPath,
    response: Response,
    body: RetryRequest | None = None,
) -> Deployment:
    """Start a new deployment with the content of one that is over."""
    answer = await clients.deployments.RetryDeployment(
        executor.RetryDeploymentRequest(
            deployment_id=deployment_id,
            secret_vars=body.secret_vars if body is not None else {},
            request_id=request_id,
            requested_by=principal.name,
        ),
        timeout=_START_DEADLINE_S,
    )
    response.headers["Location"] = f"/api/v1/deployments/{answer.deployment.id}"
    return convert.deployment(answer.deployment)


@router.operation("deployments.events")
async def list_play_events(
    clients: ClientsDep,
    deployment_id: DeploymentPath,
    after: Annotated[int, Query(ge=0, lt=1 << 63, description="`seq` of the last event that is known.")] = 0,
    wait: Annotated[float, Query(ge=0, le=30, description="Seconds to wait for the first one.")] = 0,
) -> PlayEvents:
    """The progress of the deployment's plays: which task, on which host, with which outcome. Safe to repeat."""
    answer = await clients.deployments.ListPlayEvents(
        executor.ListPlayEventsRequest(deployment_id=deployment_id, after_seq=after, wait=duration(wait)),
        timeout=wait + _EVENTS_MARGIN_S,
    )
    return PlayEvents(items=[convert.play_event(item) for item in answer.events], is_final=answer.is_final)
