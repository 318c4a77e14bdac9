"""`DeploymentService`."""

from grpc.aio import ServicerContext

from myx.executor.v1 import deployment_service_pb2 as pb
from myx.executor.v1.deployment_service_pb2_grpc import DeploymentServiceServicer
from myx_executor.convert import deployments as convert
from myx_executor.convert.commands import seconds_or_none, statuses
from myx_executor.usecases.deployments.create import CreateDeployment
from myx_executor.usecases.deployments.manage import (
    CancelDeployment,
    ReadDeployments,
    RetryDeployment,
    deployment_id_of,
)
from myx_executor.usecases.deployments.ports import Hosts, Registry


class DeploymentServicer(DeploymentServiceServicer):
    """`myx.executor.v1.DeploymentService`; statuses and reasons are in the proto's comments."""

    def __init__(
        self,
        create: CreateDeployment,
        read: ReadDeployments,
        cancel: CancelDeployment,
        retry: RetryDeployment,
        *,
        registry: Registry,
        hosts: Hosts,
    ) -> None:
        self._create = create
        self._read = read
        self._cancel = cancel
        self._retry = retry
        self._registry = registry
        self._hosts = hosts

    async def CreateDeployment(  # noqa: N802
        self,
        request: pb.CreateDeploymentRequest,
        context: ServicerContext[pb.CreateDeploymentRequest, pb.CreateDeploymentResponse],
    ) -> pb.CreateDeploymentResponse:
        """Stores a deployment and answers at once."""
        deployment = await self._create.create(convert.create_request(request))
        return pb.CreateDeploymentResponse(deployment=convert.deployment_to_proto(deployment))

    async def GetDeployment(  # noqa: N802
        self,
        request: pb.GetDeploymentRequest,
        context: ServicerContext[pb.GetDeploymentRequest, pb.GetDeploymentResponse],
    ) -> pb.GetDeploymentResponse:
        """One deployment."""
        deployment = await self._read.get(deployment_id_of(request.deployment_id))
        return pb.GetDeploymentResponse(deployment=convert.deployment_to_proto(deployment))

    async def ListDeployments(  # noqa: N802
        self,
        request: pb.ListDeploymentsRequest,
        context: ServicerContext[pb.ListDeploymentsRequest, pb.ListDeploymentsResponse],
    ) -> pb.ListDeploymentsResponse:
        """Deployments, newest first."""
        deployments, token = await self._read.list(
            page_size=request.page_size,
            page_token=request.page_token,
            server=request.server,
            kind=request.kind,
            statuses=statuses(request.statuses),
            within=request.within.ids if request.HasField("within") else None,
        )
        return pb.ListDeploymentsResponse(
            deployments=[convert.deployment_to_proto(one) for one in deployments], next_page_token=token
        )

    async def CancelDeployment(  # noqa: N802
        self,
        request: pb.CancelDeploymentRequest,
        context: ServicerContext[pb.CancelDeploymentRequest, pb.CancelDeploymentResponse],
    ) -> pb.CancelDeploymentResponse:
        """Asks a deployment to end."""
        deployment = await self._cancel.cancel(deployment_id_of(request.deployment_id), request.requested_by)
        return pb.CancelDeploymentResponse(deployment=convert.deployment_to_proto(deployment))

    async def RetryDeployment(  # noqa: N802
        self,
        request: pb.RetryDeploymentRequest,
        context: ServicerContext[pb.RetryDeploymentRequest, pb.RetryDeploymentResponse],
    ) -> pb.RetryDeploymentResponse:
        """A new deployment with the content of a final one."""
        deployment = await self._retry.retry(
            deployment_id_of(request.deployment_id),
            secret_vars=dict(request.secret_vars),
            request_id=request.request_id,
            requested_by=request.requested_by,
        )
        return pb.RetryDeploymentResponse(deployment=convert.deployment_to_proto(deployment))

    async def ListPlayEvents(  # noqa: N802
        self,
        request: pb.ListPlayEventsRequest,
        context: ServicerContext[pb.ListPlayEventsRequest, pb.ListPlayEventsResponse],
    ) -> pb.ListPlayEventsResponse:
        """Progress events of plays."""
        events, is_final = await self._read.events(
            deployment_id_of(request.deployment_id), request.after_seq, seconds_or_none(request, "wait") or 0.0
        )
        return pb.ListPlayEventsResponse(
            events=[convert.event_to_proto(seq, event) for seq, event in events], is_final=is_final
        )

    async def ScanHostKey(  # noqa: N802
        self,
        request: pb.ScanHostKeyRequest,
        context: ServicerContext[pb.ScanHostKeyRequest, pb.ScanHostKeyResponse],
    ) -> pb.ScanHostKeyResponse:
        """The host key that a server shows."""
        server = await self._registry.server(request.server)
        shown = await self._hosts.scan(server.server_id)
        return pb.ScanHostKeyResponse(
            public_key=shown.public_key,
            fingerprint=shown.fingerprint,
            trusted_fingerprint=server.host_key_fingerprint,
        )
