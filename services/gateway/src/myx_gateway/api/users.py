"""/users"""

from typing import Annotated

from fastapi import Path, Response

from myx_gateway.access.users import NewUser as UserToBe
from myx_gateway.access.users import UserChanges as Changes
from myx_gateway.api.dependencies import PageSize, PageToken, PrincipalDep, RequestIdDep
from myx_gateway.api.etags import IfMatch, etag_in, put_etag
from myx_gateway.api.keeping import DoorkeeperDep
from myx_gateway.api.pages import after_name, cut, next_token
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import access as convert
from myx_gateway.schemas.users import NewUser, User, UserChanges, UserPage
from myx_gateway.store.access_records import Kind

router = OperationRouter(tags=["users"])

UserPath = Annotated[str, Path(max_length=255, description="Id or name of the user.")]
_KIND = "users"


@router.operation("users.list")
async def list_users(keeper: DoorkeeperDep, page_size: PageSize = 100, page_token: PageToken = "") -> UserPage:
    """All users by name."""
    items, more = cut(await keeper.users.page(after_name(page_token, _KIND), page_size + 1), page_size)
    return UserPage(
        items=[convert.user(item) for item in items],
        next_page_token=next_token(_KIND, items[-1].name if items else "", more=more),
    )


@router.operation("users.create")
async def create_user(keeper: DoorkeeperDep, request_id: RequestIdDep, body: NewUser, response: Response) -> User:
    """Add a person or a program."""
    new = UserToBe(
        name=body.name,
        kind=Kind(body.kind.value),
        display_name=body.display_name,
        grants=convert.grants(body.grants),
        password=body.password,
    )
    user = await keeper.users.create(new, request_id)
    response.headers["Location"] = f"/api/v1/users/{user.id}"
    put_etag(user.etag, response)
    return convert.user(user)


@router.operation("users.get")
async def get_user(keeper: DoorkeeperDep, user: UserPath, response: Response) -> User:
    """One user."""
    found = await keeper.users.get(user)
    put_etag(found.etag, response)
    return convert.user(found)


@router.operation("users.update")
async def update_user(
    keeper: DoorkeeperDep,
    principal: PrincipalDep,
    user: UserPath,
    body: UserChanges,
    response: Response,
    *,
    if_match: IfMatch = None,
) -> User:
    """Change a user; with `If-Match` only if nobody else has since. The last full administrator stays one."""
    changes = Changes(
        display_name=body.display_name,
        grants=None if body.grants is None else convert.grants(body.grants),
        disabled=body.disabled,
        password=body.password,
    )
    changed = await keeper.users.update(user, changes, etag_in(if_match), principal)
    put_etag(changed.etag, response)
    return convert.user(changed)


@router.operation("users.delete")
async def delete_user(keeper: DoorkeeperDep, user: UserPath, if_match: IfMatch = None) -> None:
    """Remove a user with all sessions and tokens; schedules of the user start nothing any more."""
    await keeper.users.delete(user, etag_in(if_match))
