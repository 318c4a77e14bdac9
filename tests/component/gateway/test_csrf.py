"""What other people's pages cannot do with somebody's session."""

import json
from typing import Any

import aiohttp
import pytest
from people import PASSWORD, Browser, browser, new_token, new_user

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = "https://evil.example"


async def refused(one: Browser, headers: dict[str, str], method: str = "DELETE", path: str = "/session") -> str:
    """The reason why a request with the cookie and these headers is refused; empty when it was not."""
    async with one.http.request(method, f"/api/v1{path}", headers=headers) as answer:
        return "" if answer.status < 400 else (await answer.json())["reason"]


async def test_a_request_that_changes_something_needs_token_and_origin(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    async with browser(gateway, name) as one:
        token, ours = {"X-CSRF-Token": one.csrf_token}, {"Origin": one.url}
        for headers in (
            {},
            token,
            ours,
            {**ours, "X-CSRF-Token": ""},
            {**ours, "X-CSRF-Token": one.csrf_token[:-1]},
            {**ours, "X-CSRF-Token": one.cookies()["myx_session"]},
            {**token, "Origin": EVIL},
            {**token, "Origin": "null"},
            {**token, "Origin": f"{one.url}.evil.example"},
            {**token, "Origin": one.url.replace("http://", "http://a@")},
            {**token, "Origin": f"{one.url}/"},
            {**token, "Sec-Fetch-Site": "cross-site"},
            {**token, "Sec-Fetch-Site": "same-site"},
            {**token, "Sec-Fetch-Site": "none"},
            {**token, **ours, "Sec-Fetch-Site": "same-site"},
        ):
            assert await refused(one, headers) == "CSRF_REFUSED", headers
        assert await refused(one, {}, "GET") == ""
        assert (
            await refused(one, {**token, "Sec-Fetch-Site": "same-origin"}, "DELETE", "/sessions/none") != "CSRF_REFUSED"
        )
        assert await refused(one, {**token, **ours}) == ""


async def test_another_sessions_token_is_no_proof(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    async with browser(gateway, name) as one, browser(gateway, name) as two:
        assert await refused(one, {"Origin": one.url, "X-CSRF-Token": two.csrf_token}) == "CSRF_REFUSED"


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", ""])
async def test_forms_and_texts_of_another_page_change_nothing(gateway: Any, kind: str) -> None:
    name = await new_user(gateway, "admin")
    body = json.dumps({"name": "planted", "kind": "program"})
    async with browser(gateway, name) as one:
        for headers in ({"Origin": EVIL}, {}, {"Sec-Fetch-Site": "cross-site"}):
            sent = {**headers, "Content-Type": kind} if kind else headers
            async with one.http.post("/api/v1/users", data=body, headers=sent) as answer:
                assert (answer.status, (await answer.json())["reason"]) == (403, "CSRF_REFUSED")
        assert (await one.call("GET", "/users/planted"))[0] == 404


async def test_no_other_page_may_log_somebody_in(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    body = {"name": name, "password": PASSWORD}
    for headers in ({"Origin": EVIL}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        async with gateway.stranger.post("/api/v1/session", json=body, headers=headers) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (403, "CSRF_REFUSED")
            assert "Set-Cookie" not in answer.headers
    text = {"Content-Type": "text/plain", "Origin": gateway.url}
    async with gateway.stranger.post("/api/v1/session", data=json.dumps(body), headers=text) as answer:
        assert answer.status in {400, 415}


async def test_a_websocket_of_another_page_is_refused_before_it_opens(gateway: Any, backend: Any) -> None:
    name = await new_user(gateway, "viewer")
    command_id, log = backend.new_log()
    log.finish()
    path = f"/api/v1/commands/{command_id}/log/stream"
    async with browser(gateway, name) as one:
        for headers in ({}, {"Origin": EVIL}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-origin"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as closed:
                await one.http.ws_connect(path, headers=headers)
            assert closed.value.status == 403, headers
        async with one.http.ws_connect(path, headers={"Origin": one.url}) as socket:
            assert [message async for message in socket]


async def test_a_bearer_token_needs_no_proof_and_decides_alone(gateway: Any) -> None:
    name, other = await new_user(gateway, "viewer"), await new_user(gateway, "admin")
    token = await new_token(gateway, other)
    async with browser(gateway, name) as one:
        headers = {"Authorization": f"Bearer {token}", "Origin": EVIL}
        async with one.http.get("/api/v1/session", headers=headers) as answer:
            assert (await answer.json())["me"]["name"] == f"user:{other}"
        body = {"name": f"{name}-x", "kind": "program"}
        async with one.http.post("/api/v1/users", json=body, headers=headers) as answer:
            assert answer.status == 201
        wrong = {**one.headers(), "Authorization": "Bearer wrong"}
        async with one.http.get("/api/v1/session", headers=wrong) as answer:
            assert answer.status == 401


async def test_two_session_cookies_are_nobodys(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    async with browser(gateway, name) as one:
        mine = one.cookies()["myx_session"]
        for planted in (f"myx_session=x; myx_session={mine}", f"myx_session={mine}; myx_session=x"):
            async with gateway.stranger.get("/api/v1/session", headers={"Cookie": planted}) as answer:
                assert (answer.status, (await answer.json())["reason"]) == (401, "SESSION_AMBIGUOUS")
        again = f"myx_session={mine}; other=1; myx_session={mine}"
        async with gateway.stranger.get("/api/v1/session", headers={"Cookie": again}) as answer:
            assert answer.status == 200


async def test_with_a_public_url_only_pages_from_there_may_use_a_session(start_gateway: Any) -> None:
    async with start_gateway(public_url="https://MyX.example.com/") as gateway:
        name = await new_user(gateway, "viewer")
        body = {"name": name, "password": PASSWORD}
        async with gateway.stranger.post("/api/v1/session", json=body) as answer:
            lines = answer.headers.getall("Set-Cookie")
            token = (await answer.json())["csrf_token"]
            assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
        assert all(line.startswith("__Host-myx_") and line.split("; ").count("Secure") == 1 for line in lines)
        cookie = next(line for line in lines if "session" in line).partition(";")[0]
        for origin, status in (
            ("https://myx.example.com", 204),
            (gateway.url, 403),
            ("http://myx.example.com", 403),
            ("https://myx.example.com:8443", 403),
        ):
            headers = {"Cookie": cookie, "X-CSRF-Token": token, "Origin": origin}
            if status == 403:
                async with gateway.stranger.delete("/api/v1/session", headers=headers) as answer:
                    assert answer.status == status, origin
        # A cookie of another name, as a page of a sister domain could set it, is not looked at.
        plain = {"Cookie": cookie.removeprefix("__Host-")}
        async with gateway.stranger.get("/api/v1/session", headers=plain) as answer:
            assert answer.status == 401
        headers = {"Cookie": cookie, "X-CSRF-Token": token, "Origin": "https://myx.example.com"}
        async with gateway.stranger.delete("/api/v1/session", headers=headers) as answer:
            assert answer.status == 204


async def test_a_page_of_a_name_that_leads_here_is_not_ours(gateway: Any, start_gateway: Any) -> None:
    async def log_in(at: Any, host: str, name: str) -> tuple[int, str]:
        headers = {"Host": host, "Origin": f"http://{host}"}
        body = {"name": name, "password": PASSWORD}
        async with at.stranger.post("/api/v1/session", json=body, headers=headers) as answer:
            at.stranger.cookie_jar.clear()
            return answer.status, (await answer.json()).get("reason", "")

    name = await new_user(gateway, "viewer")
    assert await log_in(gateway, "rebound.example", name) == (403, "HOST_UNKNOWN")
    assert (await log_in(gateway, f"localhost:{gateway.port}", name))[0] == 200
    async with browser(gateway, name) as one:
        assert await refused(one, {"Host": "rebound.example"}, "GET") == "HOST_UNKNOWN"
    headers = {"Host": "rebound.example", "Origin": "http://rebound.example"}
    async with gateway.http.get("/api/v1/session", headers=headers) as answer:
        assert answer.status == 200
    async with start_gateway(host_names="myx.internal") as named:
        assert (await log_in(named, "myx.internal:8470", name))[0] == 200
        assert await log_in(named, "rebound.example", name) == (403, "HOST_UNKNOWN")


async def test_no_page_of_others_may_read_answers(gateway: Any) -> None:
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": EVIL, "Access-Control-Request-Method": "POST"}
        async with gateway.http.request(method, "/api/v1/session", headers=headers) as answer:
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
