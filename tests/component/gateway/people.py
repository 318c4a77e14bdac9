"""Users, browsers and programs for tests: logged in, with tokens, and what they are answered."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

PASSWORD = "a-good-password-of-tests"


class Browser:
    """A browser of one user: keeps cookies, says from where it sends, and sends the session's token."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url, self.http = url, http
        self.csrf_token = ""
        self.session: dict[str, Any] = {}

    async def log_in(self, name: str, password: str = PASSWORD, **headers: str) -> dict[str, Any]:
        """Log in; the answer."""
        body = {"name": name, "password": password}
        async with self.http.post("/api/v1/session", json=body, headers={"Origin": self.url, **headers}) as answer:
            document: dict[str, Any] = await answer.json()
            assert answer.status == 200, document
        self.csrf_token, self.session = document["csrf_token"], document["session"]
        return document

    def headers(self) -> dict[str, str]:
        """What a page of ours sends with everything."""
        return {"Origin": self.url, "X-CSRF-Token": self.csrf_token}

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Status and document of an answer."""
        sent = {**self.headers(), **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.http.request(method, f"/api/v1{path}", json=body, headers=sent) as answer:
            return answer.status, await answer.json(content_type=None) if answer.status != 204 else None

    def cookies(self) -> dict[str, str]:
        """Those that it keeps."""
        return {cookie.key: cookie.value for cookie in self.http.cookie_jar}


@asynccontextmanager
async def browser(gateway: Any, name: str = "", password: str = PASSWORD) -> AsyncIterator[Browser]:
    """A fresh browser, logged in where there is a name."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(gateway.url, cookie_jar=jar) as http:
        one = Browser(gateway.url, http)
        if name:
            await one.log_in(name, password)
        yield one


async def call(gateway: Any, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Status and document of an answer to the token of the installation."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with gateway.http.request(method, f"/api/v1{path}", json=body, headers=sent) as answer:
        return answer.status, await answer.json(content_type=None) if answer.status != 204 else None


async def new_user(gateway: Any, role: str = "", selector: str = "all", **fields: Any) -> str:
    """The name of a new user with one grant, or none."""
    name = f"user-{secrets.token_hex(4)}"
    grants = [{"role": role, "selector": selector}] if role else []
    body: dict[str, Any] = {"name": name, "password": PASSWORD, "grants": grants, **fields}
    if body.get("kind") == "program":
        del body["password"]
    status, answer = await call(gateway, "POST", "/users", body)
    assert status == 201, answer
    return name


async def new_token(gateway: Any, user: str, **fields: Any) -> str:
    """The text of a new token of a user."""
    body = {"name": f"token-{secrets.token_hex(4)}", "user": user, **fields}
    status, answer = await call(gateway, "POST", "/tokens", body)
    assert status == 201, answer
    token: str = answer["token"]
    return token


async def with_token(gateway: Any, token: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status and document of an answer to an API token."""
    headers = {"Authorization": f"Bearer {token}"}
    async with gateway.stranger.request(method, f"/api/v1{path}", json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None) if answer.status != 204 else None
