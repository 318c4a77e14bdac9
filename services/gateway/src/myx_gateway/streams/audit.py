"""GET /audit/export"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from myx_gateway.access.audit_check import export
from myx_gateway.api.routes import OperationRouter
from myx_gateway.store.audit import AuditStore
from myx_gateway.streams.parts import StreamParts
from myx_gateway.streams.responses import StreamResponse

router = OperationRouter(tags=["audit"])

_LINES: dict[int | str, dict[str, Any]] = {200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}}


class Export(StreamResponse):
    """The trail as JSON lines; one that breaks off has no last line and no end mark."""

    media_type = "application/x-ndjson"

    def __init__(self, parts: StreamParts, store: AuditStore, after: int) -> None:
        super().__init__(parts)
        self.headers["Content-Disposition"] = 'attachment; filename="myx-audit.jsonl"'
        self._after = after
        self._lines: AsyncIterator[bytes] = export(store, after)
        self._first = b""

    async def open(self) -> None:
        """Read the first of it. Unavailable."""
        self._first = await anext(self._lines)

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The lines, a batch at a time."""
        yield self._first
        async for lines in self._lines:
            yield lines

    async def close(self) -> None:
        """Nothing is open between two batches."""

    def place(self) -> dict[str, str | int]:
        """From where."""
        return {"audit_after": self._after}


@router.operation("audit.export", response_class=Response, responses=_LINES)
async def export_entries(
    request: Request,
    after_seq: Annotated[
        int, Query(ge=0, lt=1 << 63, description="Only entries behind this one, to add to an export that you have.")
    ] = 0,
) -> Response:
    """The whole trail as JSON lines, oldest first; the last line is `{"head": {"seq", "hash"}, "count"}`.

    Without its last line an export is not complete. docs/audit.md has a program that checks it.
    """
    parts: StreamParts = request.app.state.stream_parts
    return Export(parts, request.app.state.audit_store, after_seq)
