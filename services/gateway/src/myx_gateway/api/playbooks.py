"""/playbooks: projects of playbooks."""

from typing import Annotated, Any

from fastapi import Path, Request

from myx.executor.v1 import playbook_service_pb2 as executor
from myx_gateway.api.dependencies import ClientsDep, PageSize, PageToken, PrincipalDep
from myx_gateway.api.intake import forward, require_media_type
from myx_gateway.api.pages import after_name, cut, next_token
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import playbooks as convert
from myx_gateway.schemas.playbooks import ProjectPage, PushedProject

router = OperationRouter(tags=["playbooks"])

ProjectPath = Annotated[str, Path(max_length=255, description="Name of the project.")]
_KIND, _SHIPPED = "playbooks", "myx"
_MEDIA_TYPES = ("application/gzip", "application/x-gzip", "application/octet-stream")
_ARCHIVE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A gzipped tar with `playbooks/*.yml` and what they need, at most 20 MiB.",
        "content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.operation("playbooks.list")
async def list_projects(clients: ClientsDep, page_size: PageSize = 1000, page_token: PageToken = "") -> ProjectPage:
    """All projects with their playbooks, `myx` (what ships with MyX) first, then by name."""
    answer = await clients.playbooks.ListProjects(executor.ListProjectsRequest())
    after = _rank(after_name(page_token, _KIND))
    behind = sorted((one for one in answer.projects if _rank(one.name) > after), key=lambda one: _rank(one.name))
    items, more = cut(behind, page_size)
    last = items[-1].name if items else ""
    return ProjectPage(
        items=[convert.project(item) for item in items], next_page_token=next_token(_KIND, last, more=more)
    )


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


def _rank(name: str) -> tuple[int, str]:
    """The place in the list; no name: before the first one."""
    return (0 if name in {"", _SHIPPED} else 1, name)
