"""`PlaybookService`."""

from collections.abc import AsyncIterator

from grpc.aio import ServicerContext

from myx.executor.v1 import playbook_service_pb2 as pb
from myx.executor.v1.playbook_service_pb2_grpc import PlaybookServiceServicer
from myx_executor.convert import files as convert
from myx_executor.usecases.deployments.pushes import Artifacts, Projects
from myx_kit.errors import InvalidArgument


class PlaybookServicer(PlaybookServiceServicer):
    """`myx.executor.v1.PlaybookService`; statuses and reasons are in the proto's comments."""

    def __init__(self, projects: Projects, artifacts: Artifacts) -> None:
        self._projects = projects
        self._artifacts = artifacts

    async def PushProject(  # noqa: N802
        self,
        request_iterator: AsyncIterator[pb.PushProjectRequest],
        context: ServicerContext[pb.PushProjectRequest, pb.PushProjectResponse],
    ) -> pb.PushProjectResponse:
        """Stores a project."""
        head = await anext(request_iterator, None)
        if head is None:
            raise InvalidArgument("PROJECT_INVALID", "nothing was sent", field="name")
        version, changed = await self._projects.push(
            head.name, head.requested_by, _data(head.data, (one.data async for one in request_iterator))
        )
        return pb.PushProjectResponse(project=convert.project_to_proto(version), changed=changed)

    async def ListProjects(  # noqa: N802
        self,
        request: pb.ListProjectsRequest,
        context: ServicerContext[pb.ListProjectsRequest, pb.ListProjectsResponse],
    ) -> pb.ListProjectsResponse:
        """Projects, the shipped one first."""
        return pb.ListProjectsResponse(projects=[convert.project_to_proto(one) for one in await self._projects.list()])

    async def DeleteProject(  # noqa: N802
        self,
        request: pb.DeleteProjectRequest,
        context: ServicerContext[pb.DeleteProjectRequest, pb.DeleteProjectResponse],
    ) -> pb.DeleteProjectResponse:
        """Deletes a project."""
        await self._projects.delete(request.name)
        return pb.DeleteProjectResponse()

    async def PushArtifact(  # noqa: N802
        self,
        request_iterator: AsyncIterator[pb.PushArtifactRequest],
        context: ServicerContext[pb.PushArtifactRequest, pb.PushArtifactResponse],
    ) -> pb.PushArtifactResponse:
        """Stores a file."""
        head = await anext(request_iterator, None)
        if head is None:
            raise InvalidArgument("ARTIFACT_INVALID", "nothing was sent", field="name")
        artifact = await self._artifacts.push(
            head.name, head.sha256, head.requested_by, _data(head.data, (one.data async for one in request_iterator))
        )
        return pb.PushArtifactResponse(artifact=convert.artifact_to_proto(artifact))

    async def ListArtifacts(  # noqa: N802
        self,
        request: pb.ListArtifactsRequest,
        context: ServicerContext[pb.ListArtifactsRequest, pb.ListArtifactsResponse],
    ) -> pb.ListArtifactsResponse:
        """Artifacts, newest first."""
        found, token = await self._artifacts.list(request.page_size, request.page_token)
        return pb.ListArtifactsResponse(
            artifacts=[convert.artifact_to_proto(one) for one in found], next_page_token=token
        )

    async def DeleteArtifact(  # noqa: N802
        self,
        request: pb.DeleteArtifactRequest,
        context: ServicerContext[pb.DeleteArtifactRequest, pb.DeleteArtifactResponse],
    ) -> pb.DeleteArtifactResponse:
        """Deletes an artifact."""
        await self._artifacts.delete(request.sha256)
        return pb.DeleteArtifactResponse()


async def _data(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for data in rest:
        if data:
            yield data
