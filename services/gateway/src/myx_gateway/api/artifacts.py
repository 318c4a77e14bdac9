"""/artifacts: files that plays put on hosts without internet."""

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from pydantic import AfterValidator

from myx.executor.v1 import playbook_service_pb2 as executor
from myx_gateway.api.dependencies import ClientsDep, PageSize, PageToken, PrincipalDep
from myx_gateway.api.intake import forward, refuse_forms
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import playbooks as convert
from myx_gateway.schemas.common import plain
from myx_gateway.schemas.playbooks import Artifact, ArtifactPage

router = OperationRouter(tags=["playbooks"])

_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file as it is, at most 512 MiB.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.operation("artifacts.list")
async def list_artifacts(clients: ClientsDep, page_size: PageSize = 1000, page_token: PageToken = "") -> ArtifactPage:
    """The stored files, newest first."""
    answer = await clients.playbooks.ListArtifacts(
        executor.ListArtifactsRequest(page_size=page_size, page_token=page_token)
    )
    return ArtifactPage(
        items=[convert.artifact(item) for item in answer.artifacts], next_page_token=answer.next_page_token or None
    )


@router.operation("artifacts.push", openapi_extra=_FILE)
async def push_artifact(
    *,
    request: Request,
    response: Response,
    clients: ClientsDep,
    principal: PrincipalDep,
    name: Annotated[str, Query(min_length=1, max_length=255), AfterValidator(plain)],
    sha256: Annotated[
        str, Query(pattern="^([0-9a-f]{64})?$", description="What it should be, lower-case hex; empty: not checked.")
    ] = "",
) -> Artifact:
    """Store a file; the same content is stored once, so that a repeat is harmless."""
    refuse_forms(request)
    answer: executor.PushArtifactResponse = await forward(
        request,
        clients.uploads.PushArtifact,
        executor.PushArtifactRequest(name=name, sha256=sha256, requested_by=principal.name),
        lambda data, last: executor.PushArtifactRequest(data=data, complete=last),
    )
    response.headers["Location"] = f"/api/v1/artifacts/{answer.artifact.sha256}"
    return convert.artifact(answer.artifact)


@router.operation("artifacts.delete")
async def delete_artifact(
    clients: ClientsDep, sha256: Annotated[str, Path(max_length=64, description="Its SHA-256.")]
) -> None:
    """Remove a stored file."""
    await clients.playbooks.DeleteArtifact(executor.DeleteArtifactRequest(sha256=sha256))
