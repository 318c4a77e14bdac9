"""/playbooks: projects of playbooks."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from myx.executor.v1 import playbook_service_pb2 as executor
from myx_gateway.api.dependencies import ClientsDep, PrincipalDep
from myx_gateway.api.intake import forward, require_media_type
from myx_gateway.convert import playbooks as convert
from myx_gateway.schemas.playbooks import ProjectList, PushedProject

router = APIRouter(prefix="/playbooks", tags=["playbooks"])

ProjectPath = Annotated[str, Path(max_length=255, description="Name of the project.")]
_MEDIA_TYPES = ("application/gzip", "application/x-gzip", "application/octet-stream")
_ARCHIVE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A gzipped tar with `playbooks/*.yml` and what they need, at most 20 MiB.",
        "content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("")
async def list_projects(clients: ClientsDep) -> ProjectList:
    """All projects with their playbooks, `myx` (what ships with MyX) first."""
    answer = await clients.playbooks.ListProjects(executor.ListProjectsRequest())
    return ProjectList(items=[convert.project(item) for item in answer.projects])


@router.put("/{name}", openapi_extra=_ARCHIVE)
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


@router.delete("/{name}", status_code=204)
async def delete_project(clients: ClientsDep, name: ProjectPath) -> None:
    """Remove a pushed project with all its versions."""
    await clients.playbooks.DeleteProject(executor.DeleteProjectRequest(name=name))
