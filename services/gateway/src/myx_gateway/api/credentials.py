"""/credentials"""

from typing import Annotated

from fastapi import Path, Query, Response
from google.protobuf.field_mask_pb2 import FieldMask

from myx.registry.v1 import credential_service_pb2 as registry
from myx_gateway.api.dependencies import ClientsDep, PageSize, PageToken, RequestIdDep
from myx_gateway.api.etags import IfMatch, etag_in, put_etag
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import credentials as convert
from myx_gateway.convert.servers import wire_secret
from myx_gateway.schemas.credentials import Credential, CredentialChanges, CredentialPage, NewCredential

router = OperationRouter(tags=["credentials"])

CredentialPath = Annotated[str, Path(max_length=255, description="Id or name of the credential.")]


@router.operation("credentials.list")
async def list_credentials(
    clients: ClientsDep, page_size: PageSize = 100, page_token: PageToken = ""
) -> CredentialPage:
    """All shared credentials by name, without their secrets."""
    answer = await clients.credentials.ListCredentials(
        registry.ListCredentialsRequest(page_size=page_size, page_token=page_token)
    )
    return CredentialPage(
        items=[convert.credential(item) for item in answer.credentials], next_page_token=answer.next_page_token or None
    )


@router.operation("credentials.create")
async def create_credential(
    clients: ClientsDep, request_id: RequestIdDep, body: NewCredential, response: Response
) -> Credential:
    """Add a credential that servers can share."""
    answer = await clients.credentials.CreateCredential(
        registry.CreateCredentialRequest(name=body.name, secret=wire_secret(body.secret), request_id=request_id)
    )
    response.headers["Location"] = f"/api/v1/credentials/{answer.credential.id}"
    put_etag(answer.credential.etag, response)
    return convert.credential(answer.credential)


@router.operation("credentials.get")
async def get_credential(clients: ClientsDep, credential: CredentialPath, response: Response) -> Credential:
    """One credential without its secrets."""
    answer = await clients.credentials.GetCredential(registry.GetCredentialRequest(credential=credential))
    put_etag(answer.credential.etag, response)
    return convert.credential(answer.credential)


@router.operation("credentials.update")
async def update_credential(
    clients: ClientsDep,
    credential: CredentialPath,
    body: CredentialChanges,
    response: Response,
    if_match: IfMatch = None,
) -> Credential:
    """Change name or secret; with `If-Match` only if nobody else has since."""
    request = registry.UpdateCredentialRequest(
        credential=credential,
        name=body.name or "",
        update_mask=FieldMask(paths=body.changed()),
        etag=etag_in(if_match),
    )
    if body.secret is not None:
        request.secret.CopyFrom(wire_secret(body.secret))
    answer = await clients.credentials.UpdateCredential(request)
    put_etag(answer.credential.etag, response)
    return convert.credential(answer.credential)


@router.operation("credentials.delete")
async def delete_credential(
    clients: ClientsDep,
    credential: CredentialPath,
    force: Annotated[bool, Query(description="Also one that servers use; they then have none.")] = False,
    if_match: IfMatch = None,
) -> None:
    """Remove a credential."""
    request = registry.DeleteCredentialRequest(credential=credential, force=force, etag=etag_in(if_match))
    await clients.credentials.DeleteCredential(request)
