"""Sessions, tokens and users of the fake gateway: kept in dictionaries, with the real one's demands on who asks."""

import json
from dataclasses import dataclass, field
from typing import Any

from cli_fake_jobs import problem

PASSWORD = "correct horse 4711"
NAME = "alice"
COOKIES = "Set-Cookie: myx_session=s-4711; Path=/; HttpOnly\r\nSet-Cookie: myx_device=d-4711; Path=/; HttpOnly\r\n"
ME = {
    "name": f"user:{NAME}",
    "user": {"id": "u1", "name": NAME, "display_name": "Alice"},
    "via": "token",
    "grants": [{"role": "operator", "selector": "env=test"}],
    "cap": None,
}


@dataclass
class FakeAccess:
    """`tokens` are those that are valid, by their text. With `persons_only` tokens may make and end no others."""

    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: int = 0
    sessions: int = 0
    persons_only: bool = False
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    revoked: list[str] = field(default_factory=list)
    changed: list[dict[str, str]] = field(default_factory=list)

    def bearer(self, request: Any) -> str:
        return str(request.headers.get("authorization", "")).removeprefix("Bearer ")

    def is_person(self, request: Any) -> bool:
        """Whether this has a session, and shows what a page of ours would."""
        headers = request.headers
        return (
            self.sessions > 0
            and headers.get("cookie") == "myx_session=s-4711; myx_device=d-4711"
            and (request.method == "GET" or headers.get("x-csrf-token") == "csrf-4711")
            and (request.method == "GET" or headers.get("sec-fetch-site") == "same-origin")
        )

    def knows(self, request: Any) -> bool:
        return self.bearer(request) in self.tokens or self.is_person(request)

    def log_in(self, request: Any) -> tuple[int, Any]:
        content = json.loads(request.body)
        if content != {"name": NAME, "password": PASSWORD}:
            return problem(401, "LOGIN_FAILED", "name or password is wrong")
        self.sessions += 1
        return 200, {"session": {"id": "s1"}, "csrf_token": "csrf-4711", "me": ME}

    def answer(self, request: Any) -> tuple[int, Any] | None:
        parts = request.path.strip("/").split("/")
        match (request.method, *parts):
            case ("GET", "session"):
                return 200, {"me": ME, "session": None, "csrf_token": None}
            case ("DELETE", "session"):
                self.sessions -= 1
                return 204, b""
            case ("POST", "session", "password"):
                if not self.is_person(request):
                    return problem(403, "SESSION_NEEDED", "this is for somebody who has logged in, not for a token")
                self.changed.append(json.loads(request.body))
                return 204, b""
            case ("GET", "tokens"):
                return 200, {"items": list(self.tokens.values()), "next_page_token": None}
            case ("POST", "tokens"):
                return self.make(request)
            case ("DELETE", "tokens", id_):
                return self.revoke(request, id_)
            case ("DELETE", "sessions", id_):
                return self.end_session(request, id_)
            case ("GET", "users"):
                return 200, {"items": list(self.users.values()), "next_page_token": None}
            case ("POST", "users"):
                content = json.loads(request.body)
                self.users[content["name"]] = {**content, "id": "u9", "disabled": False, "etag": "e1"}
                return 201, self.users[content["name"]]
            case ("GET", "users", name) if name in self.users:
                return 200, self.users[name]
            case ("PATCH", "users", name) if name in self.users:
                self.users[name] |= json.loads(request.body)
                return 200, self.users[name]
            case ("DELETE", "users", name) if name in self.users:
                del self.users[name]
                return 204, b""
        return None

    def make(self, request: Any) -> tuple[int, Any]:
        if self.persons_only and not self.is_person(request):
            return problem(403, "SESSION_NEEDED", "this is for somebody who has logged in, not for a token")
        content = json.loads(request.body)
        self.made += 1
        text, id_ = f"myx_t{self.made}_secret", f"t{self.made}"
        token = {"id": id_, "user": NAME, "role": "admin", "selector": "all", "expires_at": None, **content}
        self.tokens[text] = token
        return 201, {**token, "token": text}

    def revoke(self, request: Any, id_: str) -> tuple[int, Any]:
        own = self.tokens.get(self.bearer(request), {}).get("id") == id_
        if self.persons_only and not own and not self.is_person(request):
            return problem(403, "SESSION_NEEDED", "this is for somebody who has logged in, not for a token")
        for text, token in self.tokens.items():
            if token["id"] == id_:
                del self.tokens[text]
                self.revoked.append(id_)
                return 204, b""
        return problem(404, "TOKEN_NOT_FOUND", "there is no such token")

    def end_session(self, request: Any, id_: str) -> tuple[int, Any]:
        if self.persons_only and not self.is_person(request):
            return problem(403, "SESSION_NEEDED", "this is for somebody who has logged in, not for a token")
        self.revoked.append(id_)
        return 204, b""
