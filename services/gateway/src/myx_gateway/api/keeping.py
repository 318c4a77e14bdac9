"""What the routes of /session, /users and /tokens share."""

from typing import Annotated

from fastapi import Depends, Query, Request

from myx_gateway.doorkeeper import Doorkeeper


async def _doorkeeper(request: Request) -> Doorkeeper:
    keeper: Doorkeeper = request.app.state.doorkeeper
    return keeper


DoorkeeperDep = Annotated[Doorkeeper, Depends(_doorkeeper)]
OfUser = Annotated[str, Query(max_length=255, description="Of this user, by id or name; `*`: of all; empty: your own.")]
