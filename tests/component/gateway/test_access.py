"""Nothing answers without the token."""

import io
import re
from typing import Any

import aiohttp
import pytest
from fastapi.routing import iter_route_contexts

from myx_gateway.app import build_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN = {"/healthz", "/readyz"}
LOGIN = ("POST", "/api/v1/session")


def routes() -> list[tuple[str, str]]:
    """(method, path) of every route that there is; WebSockets as method WS."""
    app = build_api(None, None)  # type: ignore[arg-type]
    found = []
    for route in iter_route_contexts(app.routes):
        path = re.sub(r"\{\w+\}", "abc", route.path or "")
        found += [(method, path) for method in route.methods or {"WS"} if path not in OPEN]
    return sorted(set(found) - {LOGIN})


async def test_the_list_of_routes_is_the_real_one() -> None:
    assert ("WS", "/api/v1/commands/abc/log/stream") in routes()
    assert ("WS", "/api/v1/deployments/abc/log/stream") in routes()
    assert ("WS", "/api/v1/jobs/abc/stream") in routes()
    assert ("GET", "/api/v1/openapi.json") in routes()
    assert len(routes()) > 68


@pytest.mark.parametrize(("method", "path"), routes())
async def test_a_route_is_closed_without_the_token(gateway: Any, backend: Any, method: str, path: str) -> None:
    if method == "WS":
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await gateway.stranger.ws_connect(path)
        assert refused.value.status == 401
    else:
        async with gateway.stranger.request(method, path, json={"no": "matter"}) as answer:
            assert (answer.status, answer.content_type) == (401, "application/problem+json")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert method == "HEAD" or (await answer.json())["reason"] == "UNAUTHENTICATED"
    assert not backend.requests


async def test_what_does_not_exist_is_closed_too(gateway: Any) -> None:
    async with gateway.stranger.get("/api/v1/nothing") as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}x", "Bearer {token} a"],
)
async def test_a_wrong_token_is_refused(gateway: Any, value: str) -> None:
    headers = {"Authorization": value.format(token=gateway.token)}
    async with gateway.stranger.get("/api/v1/servers", headers=headers) as answer:
        assert answer.status == 401
        assert gateway.token not in await answer.text()


@pytest.mark.parametrize("value", ["Bearer {token}", "bearer {token}", "BEARER  {token} "])
async def test_the_right_token_opens(gateway: Any, value: str) -> None:
    headers = {"Authorization": value.format(token=gateway.token)}
    async with gateway.stranger.get("/api/v1/servers", headers=headers) as answer:
        assert answer.status == 200


async def test_two_tokens_are_refused_even_when_one_is_right(gateway: Any) -> None:
    headers = [("Authorization", f"Bearer {gateway.token}"), ("Authorization", "Bearer other")]
    async with gateway.stranger.get("/api/v1/servers", headers=headers) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("name", ["token", "access_token", "authorization"])
async def test_a_token_in_the_address_opens_nothing(gateway: Any, name: str) -> None:
    async with gateway.stranger.get(f"/api/v1/servers?{name}={gateway.token}") as answer:
        assert answer.status == 401
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.stranger.ws_connect(f"/api/v1/commands/abc/log/stream?{name}={gateway.token}")
    assert refused.value.status == 401


async def test_a_big_body_of_a_stranger_is_not_read(gateway: Any) -> None:
    async with gateway.stranger.post("/api/v1/commands", data=io.BytesIO(b"x" * (8 << 20))) as answer:
        assert answer.status == 401
