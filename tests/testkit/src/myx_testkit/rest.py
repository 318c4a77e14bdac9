"""Calls of the public API, with answers of every kind."""

import http.client
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

WITHIN_S = 90.0


class Refused(AssertionError):
    """The API said no: `status`, stable `reason`, and the whole problem."""

    def __init__(self, request: str, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{request}: {status} {json.dumps(problem, ensure_ascii=False)}")
        self.status, self.problem = status, problem
        self.reason = str(problem.get("reason", ""))


@dataclass
class Rest:
    """The API below /api/v1 as one user. Each request has its own idempotency key unless one is given."""

    port: int
    token: str
    headers: dict[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """The decoded answer. Refused: any status of 300 and more."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=WITHIN_S)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {
            "Authorization": f"Bearer {self.token}",
            "Idempotency-Key": secrets.token_hex(16),
            **self.headers,
            **given,
        }
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        document = json.loads(content) if content else None
        if response.status >= 300:
            raise Refused(f"{method} {path}", response.status, document if isinstance(document, dict) else {})
        return document

    def get(self, path: str) -> Any:
        """GET."""
        return self.call("GET", path)

    def post(self, path: str, body: object = None) -> Any:
        """POST; an empty body is `{}`."""
        return self.call("POST", path, {} if body is None else body)

    def put(self, path: str, body: object) -> Any:
        """PUT."""
        return self.call("PUT", path, body)

    def patch(self, path: str, body: object) -> Any:
        """PATCH."""
        return self.call("PATCH", path, body)

    def delete(self, path: str) -> None:
        """DELETE."""
        self.call("DELETE", path)
