"""Files to agents, in pieces: an upload that broke off goes on where it was, from any process."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myx_kit.agent_rpc.client import AgentClient, AgentTarget
from myx_kit.agent_rpc.errors import AgentCallError, Attempt, Cause

# At 30 s a try this still goes through a line of 50 kB/s.
PIECE_BYTES = 1 << 20
MAX_MOVES = 100
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that lies where it was to lie. `sent_bytes` is less than `size` when some or all of it was there."""

    size: int
    sha256: str
    sent_bytes: int


async def upload(
    client: AgentClient,
    target: AgentTarget,
    root: str,
    path: str,
    source: Path,
    *,
    extract: bool = False,
    mode: int = 0o600,
    sha256: str = "",
    timeout_s: float | None = None,
    attempts: list[Attempt] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Uploaded:
    """Put a file below a root of the agent, or unpack an archive there. What is there already is not sent again.

    The agent shows it only whole and with the right digest. Each piece is tried by the client's policy. `sha256` spares
    reading the source first; `on_progress` is told (received, size). Raises AgentCallError, OSError.
    """
    size, digest = await asyncio.to_thread(_measure, source, sha256)
    wish: dict[str, Any] = {
        "upload_id": _upload_id(root, path, digest, mode, extract),
        "root": root,
        "path": path,
        "size": size,
        "sha256": digest,
        "mode": mode,
        "extract": extract,
    }
    sender = _Sender(client, target, source, wish, timeout_s, attempts)
    moves = 0
    answer = await sender.put(0, b"", final=False)
    while not answer.get("done"):
        received = _received(answer, size)
        if on_progress is not None:
            on_progress(received, size)
        piece = await asyncio.to_thread(_read, source, received)
        try:
            answer = await sender.put(received, piece, final=received + len(piece) >= size)
        except AgentCallError as error:
            moves += 1
            answer = _go_on(error, moves)
    if on_progress is not None:
        on_progress(size, size)
    return Uploaded(size, digest, sender.sent_bytes)


class _Sender:
    def __init__(  # noqa: PLR0917 - one caller, above
        self,
        client: AgentClient,
        target: AgentTarget,
        source: Path,
        wish: dict[str, Any],
        timeout_s: float | None,
        attempts: list[Attempt] | None,
    ) -> None:
        self._client = client
        self._target = target
        self._source = source
        self._wish = wish
        self._timeout_s = timeout_s
        self._attempts = attempts
        self.sent_bytes = 0

    async def put(self, offset: int, piece: bytes, *, final: bool) -> dict[str, Any]:
        params = self._wish | {"offset": offset, "data": base64.b64encode(piece).decode(), "final": final}
        answer = await self._client.call(
            self._target, "put_file", params, timeout_s=self._timeout_s, attempts=self._attempts
        )
        self.sent_bytes += len(piece)
        return answer


def _go_on(error: AgentCallError, moves: int) -> dict[str, Any]:
    """Where to go on after a refusal that says it; anything else, and a second wrong digest, is raised."""
    refusal = error.rpc_error
    if refusal is None or moves > MAX_MOVES:
        raise error
    if refusal.reason == "UPLOAD_OFFSET":
        return {"received": refusal.data.get("received"), "done": False}
    if refusal.reason == "DIGEST_MISMATCH" and moves == 1:
        return {"received": 0, "done": False}  # what an earlier upload left was another file's
    raise error


def _received(answer: dict[str, Any], size: int) -> int:
    received = answer.get("received")
    if not isinstance(received, int) or isinstance(received, bool) or not 0 <= received <= size:
        raise AgentCallError(Cause.RPC_ERROR, "the agent's answer to an upload cannot be understood")
    return received


def _upload_id(root: str, path: str, digest: str, mode: int, extract: bool) -> str:
    """The same for the same wish, so that whoever tries again goes on with what is there."""
    return hashlib.sha256(f"{root}\n{path}\n{digest}\n{mode}\n{extract}".encode()).hexdigest()[:32]


def _measure(source: Path, sha256: str) -> tuple[int, str]:
    if sha256:
        return source.stat().st_size, sha256
    digest = hashlib.sha256()
    size = 0
    with source.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def _read(source: Path, offset: int) -> bytes:
    with source.open("rb") as file:
        file.seek(offset)
        return file.read(PIECE_BYTES)
