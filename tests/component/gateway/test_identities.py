"""What was revoked works no longer, on any replica; what a database that is away does to visitors."""

import asyncio
from typing import Any

import aiohttp
import pytest
from people import PASSWORD, browser, call, new_token, new_user, with_token

from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_is_revoked_on_one_replica_works_on_no_other(gateway: Any, start_gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    token = await new_token(gateway, name)
    async with start_gateway() as other, browser(gateway, name) as one:
        cookie = {"Cookie": f"myx_session={one.cookies()['myx_session']}"}

        async def seen() -> set[int]:
            async with other.stranger.get("/api/v1/session", headers=cookie) as answer:
                return {answer.status, (await with_token(other, token, "GET", "/session"))[0]}

        assert await seen() == {200}
        _, page = await call(gateway, "GET", f"/tokens?user={name}")
        assert (await call(gateway, "DELETE", f"/tokens/{page['items'][0]['id']}"))[0] == 204
        assert (await call(gateway, "DELETE", f"/sessions/{one.session['id']}"))[0] == 204

        async def gone() -> bool:
            return await seen() == {401}

        await until(gone, 10)


@pytest.mark.parametrize(
    "how", ["session", "token", *(pytest.param(how, marks=pytest.mark.long) for how in ("disabled", "narrowed"))]
)
async def test_an_open_stream_ends_when_what_it_came_with_is_revoked(gateway: Any, backend: Any, how: str) -> None:
    name = await new_user(gateway, "viewer")
    token = await new_token(gateway, name)
    command_id, log = backend.new_log()
    log.write(b"hello\n")
    async with browser(gateway, name) as one:
        headers = {"Origin": one.url} if how == "session" else {"Authorization": f"Bearer {token}"}
        async with one.http.ws_connect(f"/api/v1/commands/{command_id}/log/stream", headers=headers) as stream:
            assert (await stream.receive()).type is aiohttp.WSMsgType.BINARY
            if how == "session":
                await call(gateway, "DELETE", f"/sessions/{one.session['id']}")
            elif how == "token":
                _, page = await call(gateway, "GET", f"/tokens?user={name}")
                await call(gateway, "DELETE", f"/tokens/{page['items'][0]['id']}")
            else:
                changes = {"disabled": True} if how == "disabled" else {"grants": []}
                await call(gateway, "PATCH", f"/users/{name}", changes)
            async with asyncio.timeout(40):
                async for _ in stream:
                    pass
            assert stream.close_code == 1008


async def test_while_the_database_is_away_nobody_is_told_that_they_are_nobody(start_gateway: Any) -> None:
    async with start_gateway() as gateway:
        name = await new_user(gateway, "viewer")
        unseen = await new_token(gateway, name)
        async with browser(gateway, name) as one:
            assert (await one.call("GET", "/servers"))[0] == 200
            gateway.database.kill9()
            try:
                seen = await one.call("GET", "/servers")
                assert seen[0] in {200, 503}, seen
                assert (await call(gateway, "GET", "/servers"))[0] == 200

                async def unknown() -> bool:
                    status, problem = await one.call("GET", "/servers")
                    assert (status, problem.get("reason", "")) in {(200, ""), (503, "DATABASE_UNAVAILABLE")}
                    return bool(status == 503)

                await until(unknown, 20)
                assert (await with_token(gateway, unseen, "GET", "/servers"))[0] == 503
                body = {"name": name, "password": PASSWORD}
                async with gateway.stranger.post("/api/v1/session", json=body) as answer:
                    assert answer.status == 503
                assert (await with_token(gateway, "wrong", "GET", "/servers"))[0] == 401
            finally:
                gateway.database.restart()

            async def known() -> bool:
                return (await one.call("GET", "/servers"))[0] == 200

            await until(known, 30)
            assert (await with_token(gateway, unseen, "GET", "/servers"))[0] == 200


async def test_a_gateway_starts_without_its_database_and_makes_the_first_admin_when_it_comes(
    start_gateway: Any,
) -> None:
    async with start_gateway() as first:
        database = first.database
        database.kill9()
        try:
            async with start_gateway(session_max_s=999) as gateway:
                assert (await call(gateway, "GET", "/servers"))[0] == 200
                database.restart()

                async def logged_in() -> bool:
                    body = {"name": "admin", "password": gateway.password}
                    async with gateway.stranger.post("/api/v1/session", json=body) as answer:
                        return bool(answer.status == 200)

                await until(logged_in, 30)
        finally:
            if not database.server.program.is_running():
                database.restart()
