"""The few calls to MyX's own public API that the supervisor makes."""

import http.client
import json
from dataclasses import dataclass
from typing import Any

ACTIVE = ("pending", "queued", "running", "cancelling")
PAGE_SIZE = 200


class ApiUnavailable(Exception):
    """The gateway did not answer, or not as expected."""


@dataclass(frozen=True)
class Api:
    """Blocking calls (use a thread). ApiUnavailable: no proper answer within the time."""

    port: int
    token: str
    timeout_s: float = 3.0

    def request(
        self, method: str, path: str, body: dict[str, Any] | None = None, more_headers: dict[str, str] | None = None
    ) -> Any:
        """The decoded answer of a successful request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_s)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | (more_headers or {})
        try:
            connection.request(method, f"/api/v1{path}", json.dumps(body or {}) if method == "POST" else None, headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status >= 300:
                raise ApiUnavailable(_detail(answer) or f"status {response.status}")
            return json.loads(answer) if answer else None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiUnavailable(str(error)) from error
        finally:
            connection.close()

    def check(self, server: str) -> tuple[bool, str]:
        """Whether the server's agent answers now, and why not."""
        answer = self.request("POST", f"/servers/{server}/check")
        return answer.get("status") == "online", str(answer.get("message") or answer.get("cause") or "")

    def active_commands(self, server: str) -> list[dict[str, Any]]:
        """What is accepted and not ended on a server (at most PAGE_SIZE of each status)."""
        found: list[dict[str, Any]] = []
        for status in ACTIVE:
            found += self.request("GET", f"/commands?server={server}&status={status}&page_size={PAGE_SIZE}")["items"]
        return found

    def cancel(self, command_id: str, grace_s: float) -> None:
        """Ask for the end of a command."""
        self.request("POST", f"/commands/{command_id}/cancel", {"grace_s": grace_s})


def _detail(answer: bytes) -> str:
    try:
        problem = json.loads(answer)
    except ValueError:
        return ""
    return str(problem.get("detail", "")) if isinstance(problem, dict) else ""
