"""Requests to the public REST API."""

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from myx_cli.endpoint import Endpoint
from myx_cli.errors import ApiError, Failure, Unreachable
from myx_cli.http1 import SWITCHING_PROTOCOLS, Connection, ProtocolError, Response, Upload
from myx_cli.text import clean

Document = dict[str, Any]

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 30.0
_MESSAGE_LIMIT = 1000
_BASE = "/api/v1"


class Client:
    """One kept-alive connection to MyX. Not for two threads at once."""

    def __init__(self, endpoint: Endpoint, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self.endpoint = endpoint
        self._answer_timeout_s = answer_timeout_s
        self._connection: Connection | None = None
        # Who this is: the token, or after `sign_in` the cookie of a session.
        self._identity = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}

    def get(self, path: str, **query: Any) -> Document:
        """The document at `path` below /api/v1. ApiError, Unreachable."""
        asked = {name: value for name, value in query.items() if value is not None}
        return self._document("GET", f"{path}?{urlencode(asked, doseq=True)}" if asked else path)

    def post(self, path: str, content: Document, *, idempotency_key: str = "") -> Document:
        """The answer to a POST. ApiError; Unreachable, whose `maybe_sent` says whether MyX may have acted."""
        headers = {"Content-Type": "application/json"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        return self._document("POST", path, json.dumps(content).encode(), headers)

    def patch(self, path: str, content: Document, etag: str = "") -> Document:
        """The answer to a PATCH, of the state that `etag` names where one is given."""
        headers = {"Content-Type": "application/json"}
        if etag:
            headers["If-Match"] = f'"{etag}"'
        return self._document("PATCH", path, json.dumps(content).encode(), headers)

    def put(self, path: str, content: Document) -> Document:
        """The answer to a PUT."""
        return self._document("PUT", path, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def delete(self, path: str, **query: Any) -> None:
        """Removes what is at `path`."""
        self._document("DELETE", f"{path}?{urlencode(query)}" if query else path)

    def sign_in(self, user: str, password: str) -> Document:
        """Opens a session, as whose user all that follows is asked; what MyX says of it."""
        headers = {"Content-Type": "application/json"}
        response = self._send("POST", "/session", json.dumps({"name": user, "password": password}).encode(), headers)
        self._check(response)
        answer = self._decoded(response)
        cookies = [line.partition(";")[0] for line in response.headers.get("set-cookie", "").split("\n")]
        self._identity = {
            "Cookie": "; ".join(cookies),
            "X-CSRF-Token": str(answer.get("csrf_token") or ""),
            # Not an Origin: MyX may be called otherwise here than it is called in browsers.
            "Sec-Fetch-Site": "same-origin",
        }
        return answer

    def sign_out(self) -> None:
        """Ends that session; where that fails it ends by itself."""
        with suppress(Failure):
            self.delete("/session")
        self._identity = {}

    def upload(self, method: str, path: str, body: Upload, media_type: str) -> Document:
        """The answer to a large body, which is sent as it is read."""
        return self._document(method, path, body, {"Content-Type": media_type})

    def download(self, path: str, take: Callable[[bytes], object], **query: Any) -> None:
        """Gives what is at `path` to `take` as it comes. Unreachable when it breaks off."""
        target = f"{self.endpoint.prefix}{_BASE}{path}?{urlencode(query)}"
        connection = self._connection or self._connect()
        try:
            response = connection.download(target, self._identity, take)
        except BrokenPipeError:
            raise
        except (OSError, ProtocolError) as error:
            raise self._unreachable(error, maybe_sent=True) from None
        finally:
            connection.close()
            self._connection = None
        self._check(response)

    def upgrade(self, path: str, headers: dict[str, str]) -> tuple[socket.socket, dict[str, str], bytes]:
        """Asks to switch protocols: the socket, the headers of the 101 answer, and what was already read behind it.

        The socket then belongs to the caller. ApiError when MyX declines.
        """
        response = self._send("GET", path, None, headers)
        self._check(response)
        if response.status != SWITCHING_PROTOCOLS or self._connection is None:
            raise ApiError(f"{self.endpoint.shown} does not stream logs: a proxy between?", status=response.status)
        sock, early = self._connection.take_over()
        self._connection = None
        return sock, response.headers, early

    def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _document(
        self, method: str, path: str, body: bytes | Upload | None = None, headers: dict[str, str] | None = None
    ) -> Document:
        response = self._send(method, path, body, headers or {})
        self._check(response)
        return self._decoded(response)

    def _decoded(self, response: Response) -> Document:
        try:
            document = json.loads(response.body) if response.body else {}
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ApiError(f"{self.endpoint.shown} did not answer as MyX does: is the address right?", status=0)
        return document

    def _send(self, method: str, path: str, body: bytes | Upload | None, headers: dict[str, str]) -> Response:
        # The server may close a kept connection at any time.
        if self._connection is not None and self._connection.is_over():
            self.close()
        kept_alive = self._connection is not None
        is_repeatable = method == "GET" or "Idempotency-Key" in headers
        try:
            return self._send_once(method, path, body, headers)
        except Unreachable as error:
            if not is_repeatable and error.maybe_sent:
                raise error.in_doubt() from None
            if not kept_alive or not is_repeatable:
                raise
        try:
            return self._send_once(method, path, body, headers)
        except Unreachable as error:
            # The first one may have arrived, whatever became of the second.
            error.maybe_sent = True
            raise

    def _send_once(self, method: str, path: str, body: bytes | Upload | None, headers: dict[str, str]) -> Response:
        connection = self._connection or self._connect()
        self._connection = connection
        everything = {**self._identity, "Accept": "application/json", **headers}
        try:
            response = connection.request(method, f"{self.endpoint.prefix}{_BASE}{path}", everything, body)
        except (OSError, ProtocolError) as error:
            self.close()
            raise self._unreachable(error, maybe_sent=True) from None
        if not connection.reusable:
            self.close()
        return response

    def _connect(self) -> Connection:
        endpoint = self.endpoint
        try:
            place = (endpoint.scheme, endpoint.host, endpoint.port)
            return Connection(*place, CONNECT_TIMEOUT_S, self._answer_timeout_s, ca=endpoint.ca)
        except (OSError, UnicodeError) as error:
            raise self._unreachable(error, maybe_sent=False) from None

    def _check(self, response: Response) -> None:
        if response.status >= 300:
            raise self._refusal(response.status, response.body)

    def _unreachable(self, error: Exception, *, maybe_sent: bool) -> Unreachable:
        why, permanent = _cause(error)
        return Unreachable(
            f"cannot reach MyX at {self.endpoint.shown}: {why}", maybe_sent=maybe_sent, permanent=permanent
        )

    def _refusal(self, status: int, content: bytes) -> Failure:
        try:
            problem = json.loads(content)
        except ValueError:
            problem = None
        if not isinstance(problem, dict):
            problem = {}
        reason = clean(problem.get("reason") or "")
        detail = clean(problem.get("detail") or problem.get("title") or f"HTTP status {status}")
        if status == 401 and self.endpoint.token:
            detail = f"MyX at {self.endpoint.shown} refused the token from {self.endpoint.origin}"
        elif 300 <= status < 400:
            detail = f"{self.endpoint.shown} sends elsewhere (HTTP status {status}): give the address it sends to"
        elif status == 404 and not reason:
            detail = f"{self.endpoint.shown} did not answer as MyX does: is the address right?"
        elif status >= 500 and problem.get("request_id"):
            detail += f" (request {clean(problem['request_id'])})"
        elif isinstance(problem.get("fields"), dict):
            fields = [(clean(name), clean(text)) for name, text in problem["fields"].items()]
            told = "; ".join(f"{name}: {text}" for name, text in fields if text not in detail)
            detail = f"{detail.rstrip('.')} ({told})" if told else detail
        return ApiError(detail[:_MESSAGE_LIMIT], status=status, reason=reason)


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="", errors="surrogateescape") if text not in {".", ".."} else text.replace(".", "%2E")


def _cause(error: Exception) -> tuple[str, bool]:
    """Why a request failed, for people; and whether trying again is pointless."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused (is it running?)", False
    if isinstance(error, socket.gaierror | UnicodeError):
        return "its name cannot be resolved", False
    if isinstance(error, TimeoutError):
        return "no answer in time", False
    if type(error).__name__ == "SSLCertVerificationError":
        return f"its certificate is not trusted ({clean(getattr(error, 'verify_message', ''))})", True
    if type(error).__module__ == "ssl" and type(error).__name__ == "SSLError":
        return "it does not speak TLS as expected; is it http rather than https?", True
    if isinstance(error, ConnectionError):
        return "the connection was lost", False
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower(), False
    return "it did not answer as an HTTP server does", False
