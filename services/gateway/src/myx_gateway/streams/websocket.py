"""WebSocket /commands/{id}/log/stream and /deployments/{id}/log/stream"""

from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from myx_gateway.streams import frames
from myx_gateway.streams.outlet import ClientGoneError, ClientStalledError, Outlet, StoppingError
from myx_gateway.streams.parts import StreamParts, parse_offset
from myx_gateway.streams.source import LogSource
from myx_gateway.streams.subjects import Subject, SubjectKind
from myx_kit.errors import Code, MyxError
from myx_kit.logging import get_logger

log = get_logger()

_NORMAL, _POLICY, _INTERNAL, _RESTART, _AGAIN = 1000, 1008, 1011, 1012, 1013


class LogSocket:
    """The log from `?offset=`, then live: binary frames, text frames `gap`, `ping`, `final`; then close 1000.

    Before the upgrade errors are plain HTTP problems. Afterwards: 1012 the gateway stops, 1013 the log cannot be had
    now, 1008 the client does not read, 1011 a fault; each with a reason. Without `final` come back with your offset.
    """

    def __init__(self, kind: SubjectKind) -> None:
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        await _serve(self._kind, scope, receive, send)


async def _serve(kind: SubjectKind, scope: Scope, receive: Receive, send: Send) -> None:
    parts: StreamParts = scope["app"].state.stream_parts
    offset = _offset(scope["query_string"])
    subject = kind(parts.clients, scope["path_params"]["id"])
    await receive()  # websocket.connect
    with parts.book.entry():
        source = parts.source(subject, offset, follow=True)
        outlet = Outlet(scope, receive, send, parts.patience)
        try:
            await source.open()
            await send({"type": "websocket.accept"})
            code, reason = await _talk(parts, subject, source, outlet)
        finally:
            await source.close()
    log.info("log_stream_ended", command_id=subject.id, offset=source.offset, code=code, reason=reason)


async def _talk(parts: StreamParts, subject: Subject, source: LogSource, outlet: Outlet) -> tuple[int, str]:
    """Run an accepted socket to its end; the close code and its reason."""

    async def ping() -> None:
        await outlet.send({"type": "websocket.send", "text": frames.PING_TEXT})

    try:
        await outlet.run(_pump(subject, source, outlet), ping, parts.book)
        code, reason = _NORMAL, ""
    except ClientGoneError:
        return _NORMAL, "client gone"
    except ClientStalledError:
        code, reason = _POLICY, f"nothing was read for {parts.patience.stall_s:g} s"
    except StoppingError:
        code, reason = _RESTART, "the gateway is restarting; come back with your offset"
    except MyxError as error:
        code = _AGAIN if error.code in {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED} else _INTERNAL
        reason = frames.close_reason(f"{error.reason}: {error.message}")
    except Exception as error:
        log.error("log_stream_failed", exc_info=error)
        code, reason = _INTERNAL, "internal error"
    if code == _NORMAL:
        await _close(outlet, code, reason)
    else:
        outlet.hang_up(code, reason)
    return code, reason


async def _close(outlet: Outlet, code: int, reason: str) -> None:
    try:
        await outlet.send({"type": "websocket.close", "code": code, "reason": reason})
    except ClientStalledError:
        outlet.hang_up(_POLICY, "the end was not read")
    except ClientGoneError:
        pass


async def _pump(subject: Subject, source: LogSource, outlet: Outlet) -> None:
    async for step in source:
        for piece in frames.pieces(step.frames):
            await outlet.send({"type": "websocket.send", "bytes": frames.binary_message(piece)})
        if step.HasField("gap"):
            await outlet.send({"type": "websocket.send", "text": frames.gap_text(step.gap)})
        if step.HasField("final"):
            document = await subject.document(step.final)
            text = frames.final_text(step.final.offset, subject.word, document)
            await outlet.send({"type": "websocket.send", "text": text})


def _offset(query: bytes) -> int:
    values = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    return parse_offset(values.get("offset", ["0"])[-1], "offset")
