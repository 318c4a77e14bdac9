"""Pushed projects and artifacts: taken in as they come, kept within bounds."""

import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from uuid import UUID

from myx_executor.domain.deployment import SHIPPED
from myx_executor.domain.text import clean
from myx_executor.store.deployments import DeploymentStore
from myx_executor.store.files import CHUNK_BYTES, FileStore, ProjectVersion, StoredArtifact
from myx_executor.usecases.deployments.checks import check_name, is_sha256
from myx_executor.usecases.deployments.ports import Project, Tool
from myx_kit.errors import FailedPrecondition, InvalidArgument, NotFound
from myx_kit.ids import new_id
from myx_kit.logging import get_logger
from myx_kit.pagination import clamp, decode_token, encode_token

log = get_logger()

MAX_PROJECT_BYTES = 20 * 1024 * 1024
MAX_ARTIFACT_BYTES = 1 << 30
KEPT_VERSIONS = 5
_NAME_LENGTH = 200
_ABANDONED_S = 86_400.0
_MOST_LISTED = 1000


class Projects:
    """Pushed projects; the shipped tool is listed with them."""

    def __init__(self, files: FileStore, deployments: DeploymentStore, tool: Tool, work_dir: Path) -> None:
        self._files = files
        self._deployments = deployments
        self._tool = tool
        self._work_dir = work_dir

    async def push(self, name: str, requested_by: str, data: AsyncIterator[bytes]) -> tuple[ProjectVersion, bool]:
        """The newest version, and whether it is new. InvalidArgument `PROJECT_INVALID`, `PROJECT_TOO_LARGE`."""
        check_name(name, "PROJECT_INVALID", "a project's name")
        if name == SHIPPED:
            raise InvalidArgument("PROJECT_INVALID", f"{SHIPPED} is what ships with MyX", field="name")
        with tempfile.NamedTemporaryFile(prefix="myx-push-", dir=self._work_dir) as file:
            digest, size = hashlib.sha256(), 0
            async for chunk in data:
                size += len(chunk)
                if size > MAX_PROJECT_BYTES:
                    message = f"a project may have {MAX_PROJECT_BYTES // (1 << 20)} MiB"
                    raise InvalidArgument("PROJECT_TOO_LARGE", message, field="data")
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            playbooks = await self._tool.check(Path(file.name))
            newest = next(iter(await self._files.versions(name)), None)
            if newest is not None and newest.digest == digest.hexdigest():
                return newest, False
            blob = await self._store(Path(file.name))
        version = None
        while version is None:
            version = await self._files.add_version(name, digest.hexdigest(), size, playbooks, blob, requested_by)
        await self._trim(name)
        return version, True

    async def list(self) -> list[Project | ProjectVersion]:
        """The shipped tool, when it is there, then the newest version of each project by name."""
        shipped: list[Project | ProjectVersion] = []
        try:
            shipped = [await self._tool.shipped()]
        except FailedPrecondition as error:
            log.info("no_shipped_tool", reason=error.reason)
        return shipped + list(await self._files.newest())

    async def delete(self, name: str) -> None:
        """All versions. NotFound `PROJECT_NOT_FOUND`; InvalidArgument `PROJECT_INVALID`."""
        if name == SHIPPED:
            raise InvalidArgument("PROJECT_INVALID", "what ships with MyX cannot be deleted", field="name")
        versions = await self._files.versions(name)
        if not versions:
            raise NotFound("PROJECT_NOT_FOUND", f"there is no project {clean(name)[:64]}", field="name")
        await self._files.drop_versions(name, versions)

    async def _store(self, path: Path) -> UUID:
        blob, n = new_id(), 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                await self._files.add_chunk(blob, n, chunk)
                n += 1
        return blob

    async def _trim(self, name: str) -> None:
        in_use = await self._deployments.digests_in_use(name)
        old = [one for one in (await self._files.versions(name))[KEPT_VERSIONS:] if one.digest not in in_use]
        if old:
            await self._files.drop_versions(name, old)


class Artifacts:
    """Files for plays."""

    def __init__(self, files: FileStore, *, bytes_max: int) -> None:
        self._files = files
        self._bytes_max = bytes_max

    async def push(self, name: str, sha256: str, requested_by: str, data: AsyncIterator[bytes]) -> StoredArtifact:
        """The artifact, stored once. InvalidArgument `ARTIFACT_TOO_LARGE`, `ARTIFACT_INVALID`."""
        if not name or len(name) > _NAME_LENGTH or not name.isprintable() or "/" in name:
            message = f"an artifact's name must have 1 to {_NAME_LENGTH} printable characters without '/'"
            raise InvalidArgument("ARTIFACT_INVALID", message, field="name")
        if sha256 and not is_sha256(sha256):
            raise InvalidArgument("ARTIFACT_INVALID", "sha256 must be lower-case hex", field="sha256")
        used = await self._files.artifact_bytes()
        blob = new_id()
        may_be_named = False
        try:
            digest, size = await self._take(blob, data, self._bytes_max - used)
            if sha256 and digest != sha256:
                message = f"the content's SHA-256 is {digest}"
                raise InvalidArgument("ARTIFACT_INVALID", message, field="sha256")
            # Without an answer nobody knows: then the bytes are left, and swept if no row names them.
            may_be_named = True
            artifact = await self._files.add_artifact(digest, name, size, blob, requested_by)
            may_be_named = artifact is not None
        finally:
            if not may_be_named:
                await self._files.drop_blobs([blob])
        return artifact or await self._known(digest)

    async def list(self, page_size: int, page_token: str) -> tuple[list[StoredArtifact], str]:
        """Newest first, and the token of the next page. InvalidArgument `PAGE_TOKEN_INVALID`."""
        size = clamp(page_size, _MOST_LISTED, _MOST_LISTED)
        found = await self._files.artifacts(_place(page_token) if page_token else None, size + 1)
        last = found[size - 1] if len(found) > size else None
        return found[:size], encode_token(last.pushed_at.isoformat(), last.sha256) if last else ""

    async def delete(self, sha256: str) -> None:
        """NotFound `ARTIFACT_NOT_FOUND`."""
        if not is_sha256(sha256) or not await self._files.drop_artifact(sha256):
            raise NotFound("ARTIFACT_NOT_FOUND", "there is no such artifact", field="sha256")

    async def sweep_once(self) -> None:
        """Deletes what uploads left that were given up."""
        dropped = await self._files.drop_abandoned(_ABANDONED_S)
        if dropped:
            log.info("abandoned_uploads_dropped", pieces=dropped)

    async def _take(self, blob: UUID, data: AsyncIterator[bytes], room: int) -> tuple[str, int]:
        digest, size, n = hashlib.sha256(), 0, 0
        buffer = bytearray()
        async for chunk in data:
            size += len(chunk)
            if size > MAX_ARTIFACT_BYTES:
                message = f"an artifact may have {MAX_ARTIFACT_BYTES >> 20} MiB"
                raise InvalidArgument("ARTIFACT_TOO_LARGE", message, field="data")
            if size > room:
                message = f"all artifacts together may have {self._bytes_max >> 20} MiB: delete some first"
                raise InvalidArgument("ARTIFACT_TOO_LARGE", message, field="data")
            digest.update(chunk)
            buffer += chunk
            while len(buffer) >= CHUNK_BYTES:
                await self._files.add_chunk(blob, n, bytes(buffer[:CHUNK_BYTES]))
                del buffer[:CHUNK_BYTES]
                n += 1
        if not size:
            raise InvalidArgument("ARTIFACT_INVALID", "an artifact must not be empty", field="data")
        if buffer:
            await self._files.add_chunk(blob, n, bytes(buffer))
        return digest.hexdigest(), size

    async def _known(self, sha256: str) -> StoredArtifact:
        artifact = await self._files.artifact(sha256)
        if artifact is None:
            raise NotFound("ARTIFACT_NOT_FOUND", "the artifact was deleted meanwhile: push it again")
        return artifact


def _place(page_token: str) -> tuple[datetime, str]:
    text, sha256 = decode_token(page_token, 2)
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None and is_sha256(sha256):
            return moment, sha256
    raise InvalidArgument("PAGE_TOKEN_INVALID", "page_token is not one that MyX gave", field="page_token")
