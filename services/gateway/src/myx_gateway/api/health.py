"""/healthz and /readyz, for probes: no token, no detail."""

from fastapi import APIRouter, Request, Response

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> Response:
    """200 while the process serves."""
    return Response("ok\n", media_type="text/plain")


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 while new requests are welcome, 503 once it is stopping."""
    if request.app.state.stream_parts.book.stopping:
        return Response("stopping\n", status_code=503, media_type="text/plain")
    return Response("ok\n", media_type="text/plain")
