"""Calls to agents with the retry rules of the product, and their log streams."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import quote

from yarl import URL

from myx_kit import tracing
from myx_kit.agent_rpc.errors import INTERNAL_ERROR, AgentCallError, Attempt, Cause, JsonRpcError
from myx_kit.agent_rpc.log_stream import LogStream
from myx_kit.agent_rpc.pool import Answer, Failed, PinnedCertificate, Pool
from myx_kit.agent_rpc.signature import HEADER as SIGNATURE_HEADER
from myx_kit.agent_rpc.signature import sign
from myx_kit.agent_rpc.wire import MAX_FRAME_BYTES, WireError, decode_answers, encode_calls
from myx_kit.retry import RetryPolicy
from myx_kit.tracing import Kind, Span

TOKEN_HEADER = "X-Agent-Token"  # noqa: S105 - a name, no token
# Pieces of log (base64) fit many times.
MAX_ANSWER_BYTES = 16 * 1024 * 1024

Call = tuple[str, Mapping[str, Any]]
Item = dict[str, Any] | JsonRpcError
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AgentTarget:
    """Where an agent is and how it is known. Path, token and key are not in the repr.

    `next_certificate_sha256` is a second certificate that is accepted: the one of a rotation under way.
    """

    agent_id: str
    address: str
    rpc_port: int
    rpc_path: str = field(repr=False)
    agent_token: str = field(repr=False)
    secret_key: str = field(repr=False)
    certificate_sha256: str
    next_certificate_sha256: str = ""


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[_T]):
    """What one try came to: a value, a failure, or a value that is worth another try."""

    value: _T | None = None
    cause: Cause | None = None
    message: str = ""
    maybe_delivered: bool = False
    retryable: bool = False
    rpc_error: JsonRpcError | None = None


class AgentClient:
    """The agent client of one process: connections are kept and shared by all calls. `async with`, one event loop."""

    def __init__(self, timeout_s: float = 30.0, retry: RetryPolicy | None = None) -> None:
        """`timeout_s` bounds each try, connecting included (seed 6.3); `retry` says how many there are and when."""
        self._timeout_s = timeout_s
        self._retry = retry or RetryPolicy()
        self._pool = Pool()

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._pool.__aexit__(exc_type, exc, traceback)

    async def call(
        self,
        target: AgentTarget,
        method: str,
        params: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        retry: bool = True,
        attempts: list[Attempt] | None = None,
    ) -> dict[str, Any]:
        """The result of one JSON-RPC call. Raises AgentCallError, with `rpc_error` where the agent answered with one.

        `attempts` is filled with every try as it ends, the successful one included.
        """
        trail = [] if attempts is None else attempts
        outcome = await self._post(target, [(method, params)], timeout_s, retry, trail)
        (item,) = _value(outcome, trail)
        if isinstance(item, JsonRpcError):
            raise AgentCallError(Cause.RPC_ERROR, item.sentence, trail, outcome.maybe_delivered, item)
        return item

    async def batch(
        self,
        target: AgentTarget,
        calls: Sequence[Call],
        *,
        timeout_s: float | None = None,
        retry: bool = True,
        attempts: list[Attempt] | None = None,
        max_answer_bytes: int | None = None,
    ) -> list[Item]:
        """The results of several calls in one request, in their order; the agent works them off one after the other.

        The whole batch is sent again while an item's error is retryable; what is an error then stands in the list.
        Raises AgentCallError when the request as a whole failed.
        """
        trail = [] if attempts is None else attempts
        return _value(await self._post(target, calls, timeout_s, retry, trail, max_answer_bytes), trail)

    async def _post(  # noqa: PLR0917 - `call` and `batch` pass on what they were given
        self,
        target: AgentTarget,
        calls: Sequence[Call],
        timeout_s: float | None,
        retry: bool,
        trail: list[Attempt],
        max_answer_bytes: int | None = None,
    ) -> _Outcome[list[Item]]:
        body = encode_calls(calls)
        path = f"/{target.rpc_path}/rpc"
        url = _url(target, path)
        pin = _pin(target.certificate_sha256, target.next_certificate_sha256)

        async def post() -> _Outcome[list[Item]]:
            with _span(calls, target) as span:
                outcome = await send()
                if outcome.cause is not None:
                    span.fail(outcome.cause.value)
                return outcome

        async def send() -> _Outcome[list[Item]]:
            answer = await self._pool.post(
                url,
                lambda: {"Content-Type": "application/json", **_headers(target, "POST", path, body)},
                body,
                pin,
                timeout_s=timeout_s or self._timeout_s,
                max_bytes=max_answer_bytes or MAX_ANSWER_BYTES,
            )
            if answer.status != 200:
                return _refused(answer)
            return _judge(decode_answers(answer.body, len(calls)))

        return await self._run(post, retry, trail)

    @asynccontextmanager
    async def open_log(
        self,
        target: AgentTarget,
        command_id: str,
        offset: int,
        *,
        seq: int = 0,
        timeout_s: float | None = None,
        retry: bool = True,
        attempts: list[Attempt] | None = None,
    ) -> AsyncIterator[LogStream]:
        """The log of a command from `offset` on, as it is written. Raises AgentCallError when it cannot be opened.

        That of a playbook run has its progress in it, LogEvent by LogEvent: those after `seq`.

        The iteration ends after LogFinal; when it ends without one the connection is gone: come back with your offset.
        A consumer that is slow slows the agent; at most about two frames wait in memory.
        """
        path = f"/{target.rpc_path}/commands/{quote(command_id, safe='')}/log?offset={offset}"
        path += f"&seq={seq}" if seq else ""
        url = _url(target, path)
        pin = _pin(target.certificate_sha256, target.next_certificate_sha256)

        async def connect() -> _Outcome[LogStream]:
            opened = await self._pool.open_websocket(
                url,
                lambda: _headers(target, "GET", path, b""),
                pin,
                timeout_s=timeout_s or self._timeout_s,
                max_message_bytes=2 * MAX_FRAME_BYTES,
            )
            return _refused(opened) if isinstance(opened, Answer) else _Outcome(LogStream(opened))

        trail = [] if attempts is None else attempts
        stream = _value(await self._run(connect, retry, trail), trail)
        try:
            yield stream
        finally:
            await stream.close()

    async def _run(
        self, try_once: Callable[[], Awaitable[_Outcome[_T]]], retry: bool, trail: list[Attempt]
    ) -> _Outcome[_T]:
        """The outcome of the last try; `maybe_delivered` speaks for all of them."""
        delays = self._retry.delays() if retry else iter(())
        maybe_delivered = False
        while True:
            at = datetime.now(UTC)
            outcome = await _guard(try_once)
            maybe_delivered = maybe_delivered or outcome.maybe_delivered
            wait_s = next(delays, None) if outcome.retryable else None
            trail.append(Attempt(at, outcome.cause, outcome.message, wait_s))
            if wait_s is None:
                return replace(outcome, maybe_delivered=maybe_delivered)
            await asyncio.sleep(wait_s)


def _value(outcome: _Outcome[_T], trail: Sequence[Attempt]) -> _T:
    if outcome.value is None:
        cause = outcome.cause or Cause.RPC_ERROR
        raise AgentCallError(cause, outcome.message, trail, outcome.maybe_delivered, outcome.rpc_error)
    return outcome.value


async def _guard(try_once: Callable[[], Awaitable[_Outcome[_T]]]) -> _Outcome[_T]:
    """One try whose failures are values: no exception of the library, with the URL in it, is chained to ours."""
    try:
        return await try_once()
    except Failed as failed:
        return _Outcome(
            cause=failed.cause, message=failed.message, maybe_delivered=failed.sent, retryable=failed.cause.retryable
        )
    except WireError as error:
        return _Outcome(cause=Cause.RPC_ERROR, message=str(error), maybe_delivered=True)


# One object for each certificate, which its connection holds anyway.
@lru_cache(maxsize=16_384)
def _pin(*digests: str) -> PinnedCertificate:
    return PinnedCertificate(*(bytes.fromhex(digest) for digest in digests if digest))


def _url(target: AgentTarget, path_and_query: str) -> URL:
    host = target.address.strip("[]")
    authority = f"[{host}]" if ":" in host else host
    return URL(f"https://{authority}:{target.rpc_port}{path_and_query}", encoded=True)


def _headers(target: AgentTarget, method: str, path_and_query: str, body: bytes) -> dict[str, str]:
    """Token and a signature of its own for each request: a nonce is never used twice."""
    signature = sign(target.secret_key, method, path_and_query, body, int(time.time()), os.urandom(16).hex())
    headers = {TOKEN_HEADER: target.agent_token, SIGNATURE_HEADER: signature}
    traceparent = tracing.traceparent()
    return headers | {tracing.HEADER: traceparent} if traceparent else headers


def _span(calls: Sequence[Call], target: AgentTarget) -> Span:
    """Around one try. Names of methods and the agent's id, never parameters or the secret path."""
    names = ", ".join(method for method, _ in calls[:4])
    return tracing.span(f"agent {names}", Kind.CLIENT, rpc__system="jsonrpc", myx__agent_id=target.agent_id)


_STATUS_CAUSES = {
    400: Cause.BAD_REQUEST,
    401: Cause.UNAUTHORIZED,
    404: Cause.WRONG_PATH,
    413: Cause.TOO_LARGE,
    429: Cause.THROTTLED,
}


def _refused(answer: Answer) -> _Outcome[Any]:
    """The outcome of an HTTP status other than success. 400 to 429 prove that nothing was done."""
    if answer.status == 401 and _tells_skew(answer.body):
        cause = Cause.CLOCK_SKEW
    elif answer.status >= 500:
        cause = Cause.SERVER_ERROR
    else:
        cause = _STATUS_CAUSES.get(answer.status, Cause.RPC_ERROR)
    known = cause not in (Cause.SERVER_ERROR, Cause.RPC_ERROR)
    return _Outcome(
        cause=cause,
        message=f"{cause.sentence} (HTTP {answer.status})",
        maybe_delivered=not known,
        retryable=cause.retryable,
    )


def _tells_skew(body: bytes) -> bool:
    try:
        document = json.loads(body)
    except ValueError:
        return body == b"application/json"
    return isinstance(document, dict) and document.get("error") == "clock_skew"


def _judge(items: list[Item]) -> _Outcome[list[Item]]:
    """Items are a value; one that the agent asks to try again makes the whole worth another try."""
    for item in items:
        if isinstance(item, JsonRpcError) and item.retryable:
            return _Outcome(
                items, Cause.RPC_ERROR, item.sentence, item.code == INTERNAL_ERROR, retryable=True, rpc_error=item
            )
    errors = [item for item in items if isinstance(item, JsonRpcError)]
    if errors:
        return _Outcome(items, Cause.RPC_ERROR, errors[0].sentence, rpc_error=errors[0])
    return _Outcome(items)
