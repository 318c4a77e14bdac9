"""/playbooks: projects of playbooks."""

from typing import Annotated, Any

from fastapi import Path, Request

from myx.executor.v1 import playbook_service_pb2 as executor
from myx_gateway.api.dependencies import ClientsDep, PrincipalDep
from myx_gateway.api.intake import forward, require_media_type
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import playbooks as convert
from myx_gateway.schemas.playbooks import ProjectList, PushedProject

router = OperationRouter(tags=["playbooks"])

ProjectPath = Annotated[str, Path(max_length=255, description="Name of the project.")]
_MEDIA_TYPES = ("application/gzip", "application/x-gzip", "application/octet-stream")
_ARCHIVE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A gzipped tar with `playbooks/*.yml` and what they need, at most 20 MiB.",
        "content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.operation("playbooks.list")
async def list_projects(clients: ClientsDep) -> ProjectList:
    """All projects with their playbooks, `myx` (what ships with MyX) first."""
    answer = await clients.playbooks.ListProjects(executor.ListProjectsRequest())
    return ProjectList(items=[convert.project(item) for item in answer.projects])


@router.operation("playbooks.push", openapi_extra=_ARCHIVE)
async def push_project(
    request: Request, clients: ClientsDep, principal: PrincipalDep, name: ProjectPath
) -> PushedProject:
    """Store a project in a new version; the same content changes nothing."""
    require_media_type(request, *_MEDIA_TYPES)
    answer: executor.PushProjectResponse = await forward(
        request,
        clients.uploads.PushProject,
        executor.PushProjectRequest(name=name, requested_by=principal.name),
        lambda data, last: executor.PushProjectRequest(data=data, complete=last),
    )
    return convert.pushed_project(answer)


@router.operation("playbooks.delete")
async def delete_project(clients: ClientsDep, name: ProjectPath) -> None:
    """Remove a pushed project with all its versions."""
    await clients.playbooks.DeleteProject(executor.DeleteProjectRequest(name=name))
