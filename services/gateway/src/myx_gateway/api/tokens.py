"""/tokens"""

from datetime import timedelta
from typing import Annotated

from fastapi import Path, Response

from myx_gateway.access.tokens import NewToken as TokenToBe
from myx_gateway.api.dependencies import PageSize, PageToken, PrincipalDep, RequestIdDep
from myx_gateway.api.keeping import DoorkeeperDep, OfUser
from myx_gateway.api.pages import before_id, cut, next_token
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import access as convert
from myx_gateway.schemas.tokens import CreatedToken, NewToken, TokenPage

router = OperationRouter(tags=["tokens"])

_KIND = "tokens"


@router.operation("tokens.list")
async def list_tokens(
    keeper: DoorkeeperDep,
    principal: PrincipalDep,
    user: OfUser = "",
    page_size: PageSize = 100,
    page_token: PageToken = "",
) -> TokenPage:
    """Your own tokens; those of others for who administrates everything."""
    of = await keeper.whose(user, principal)
    found = await keeper.tokens.page(of, principal, before_id(page_token, _KIND), page_size + 1)
    items, more = cut(found, page_size)
    return TokenPage(
        items=[convert.token(item) for item in items],
        next_page_token=next_token(_KIND, items[-1].id if items else "", more=more),
    )


@router.operation("tokens.create")
async def create_token(
    keeper: DoorkeeperDep, principal: PrincipalDep, request_id: RequestIdDep, body: NewToken, response: Response
) -> CreatedToken:
    """Make a token; the answer is the only place where it is shown."""
    lasts = None if body.expires_in_s is None else timedelta(seconds=body.expires_in_s)
    new = TokenToBe(name=body.name, user=body.user, cap=convert.grant(body.role, body.selector), lasts=lasts)
    token, text = await keeper.tokens.create(new, principal, request_id)
    response.headers["Location"] = f"/api/v1/tokens/{token.id}"
    return CreatedToken(**convert.token(token).model_dump(), token=text)


@router.operation("tokens.delete")
async def delete_token(
    keeper: DoorkeeperDep,
    principal: PrincipalDep,
    token_id: Annotated[str, Path(max_length=255, description="Id of the token.")],
) -> None:
    """Delete a token: it opens nothing any more."""
    await keeper.tokens.delete(token_id, principal)
