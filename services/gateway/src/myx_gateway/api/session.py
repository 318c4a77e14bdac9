"""/session and /sessions"""

from typing import Annotated

from fastapi import Path, Request, Response

from myx_gateway.access.audit import Entry
from myx_gateway.access.secrets import csrf_token
from myx_gateway.access.sessions import Login as LoginAttempt
from myx_gateway.api.dependencies import PageSize, PageToken, PrincipalDep
from myx_gateway.api.keeping import DoorkeeperDep, OfUser
from myx_gateway.api.pages import before_id, cut, next_token
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import access as convert
from myx_gateway.schemas.access import CurrentSession, LoggedIn, Login, PasswordChange, SessionPage
from myx_gateway.store.access_records import User
from myx_kit.errors import ResourceExhausted

router = OperationRouter(tags=["session"])

_KIND = "sessions"


@router.operation("session.create")
async def create_session(keeper: DoorkeeperDep, body: Login, request: Request, response: Response) -> LoggedIn:
    """Log in: begins a session, whose cookie comes with the answer. A session that the browser had ends."""
    headers = request.scope["headers"]
    entry: Entry | None = getattr(request.state, "audit_entry", None)

    def known(user: User) -> None:
        if entry is not None:
            entry.principal = user.principal

    attempt = LoginAttempt(
        name=body.name,
        password=body.password,
        address=request.state.address,
        user_agent=request.headers.get("user-agent", ""),
        device=keeper.cookies.device_in(headers),
        old_secrets=keeper.cookies.session_in(headers)[:4],
    )
    try:
        made = await keeper.sessions.log_in(attempt, known)
    except ResourceExhausted:
        # Nothing was tried. A flood of these would stay in the trail for ever; a metric and the access log have them.
        if entry is not None:
            entry.is_kept = False
        raise
    response.headers.append("Set-Cookie", keeper.cookies.set_session(made.secret))
    response.headers.append("Set-Cookie", keeper.cookies.set_device(made.device))
    return LoggedIn(
        session=convert.session(made.session, made.principal),
        csrf_token=csrf_token(made.secret),
        me=convert.me(made.principal, made.user),
    )


@router.operation("session.get")
async def get_session(keeper: DoorkeeperDep, principal: PrincipalDep, request: Request) -> CurrentSession:
    """Who you are and what you may do; with a session, what to send as `X-CSRF-Token`."""
    session, user = await keeper.sessions.current(principal)
    return CurrentSession(
        me=convert.me(principal, user),
        session=None if session is None else convert.session(session, principal),
        csrf_token=request.state.csrf_token or None,
    )


@router.operation("session.delete")
async def delete_session(keeper: DoorkeeperDep, principal: PrincipalDep, response: Response) -> None:
    """Log out: ends the session that asks."""
    await keeper.sessions.log_out(principal)
    response.headers["Set-Cookie"] = keeper.cookies.end_session()


@router.operation("session.change_password")
async def change_password(
    keeper: DoorkeeperDep, principal: PrincipalDep, body: PasswordChange, request: Request
) -> None:
    """Change your own password; all your other sessions end."""
    await keeper.sessions.change_password(principal, body.old_password, body.new_password, request.state.address)


@router.operation("sessions.list")
async def list_sessions(
    keeper: DoorkeeperDep,
    principal: PrincipalDep,
    user: OfUser = "",
    page_size: PageSize = 100,
    page_token: PageToken = "",
) -> SessionPage:
    """Your own sessions; those of others for who administrates everything."""
    of = await keeper.whose(user, principal)
    found = await keeper.sessions.page(of, principal, before_id(page_token, _KIND), page_size + 1)
    items, more = cut(found, page_size)
    return SessionPage(
        items=[convert.session(item, principal) for item in items],
        next_page_token=next_token(_KIND, items[-1].id if items else "", more=more),
    )


@router.operation("sessions.delete")
async def end_session(
    keeper: DoorkeeperDep,
    principal: PrincipalDep,
    session_id: Annotated[str, Path(max_length=255, description="Id of the session.")],
) -> None:
    """End a session, in whatever browser it is."""
    await keeper.sessions.end(session_id, principal)
