"""Pushed projects and artifacts: their rows, and their bytes in pieces."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from myx_executor.store.pool import Pool

CHUNK_BYTES = 1024 * 1024

_ADD_CHUNK: LiteralString = (
    "insert into executor.blob_chunk (blob_id, n, data) values (%(blob_id)s, %(n)s, %(data)b) on conflict do nothing"
)
_CHUNK: LiteralString = "select data from executor.blob_chunk where blob_id = %(blob_id)s and n = %(n)s"
_UNNAMED: LiteralString = """
not exists (select 1 from executor.project_version p where p.blob_id = b.blob_id)
and not exists (select 1 from executor.artifact a where a.blob_id = b.blob_id)"""
_DROP_BLOB: LiteralString = f"delete from executor.blob_chunk b where b.blob_id = any(%(blob_ids)s) and {_UNNAMED}"
_ABANDONED: LiteralString = f"""
delete from executor.blob_chunk b
where b.blob_id in (
  select blob_id from executor.blob_chunk group by blob_id
  having max(stored_at) < now() - make_interval(secs => %(age_s)s))
and {_UNNAMED}"""

_VERSION_COLUMNS: LiteralString = "name, version, digest, size_bytes, playbooks, blob_id, pushed_at, pushed_by"
_ADD_VERSION: LiteralString = (
    """
with locked as (select pg_advisory_xact_lock(hashtextextended('myx-project:' || %(name)s::text, 0)))
insert into executor.project_version (name, version, digest, size_bytes, playbooks, blob_id, pushed_by)
select %(name)s, coalesce((select max(version) from executor.project_version where name = %(name)s), 0) + 1, %(digest)s,
  %(size)s, %(playbooks)s, %(blob_id)s, %(pushed_by)s
from locked
on conflict do nothing
returning """
    + _VERSION_COLUMNS
)
_VERSIONS: LiteralString = (
    "select " + _VERSION_COLUMNS + " from executor.project_version where name = %(name)s order by version desc"
)
_NEWEST: LiteralString = (
    "select distinct on (name) " + _VERSION_COLUMNS + " from executor.project_version order by name, version desc"
)
_DROP_VERSIONS: LiteralString = (
    "delete from executor.project_version where name = %(name)s and version = any(%(versions)s)"
)

_ARTIFACT_COLUMNS: LiteralString = "sha256, name, size_bytes, blob_id, pushed_at, pushed_by"
_ADD_ARTIFACT: LiteralString = (
    """
insert into executor.artifact (sha256, name, size_bytes, blob_id, pushed_by)
values (%(sha256)s, %(name)s, %(size)s, %(blob_id)s, %(pushed_by)s)
on conflict do nothing
returning """
    + _ARTIFACT_COLUMNS
)
_ARTIFACT: LiteralString = "select " + _ARTIFACT_COLUMNS + " from executor.artifact where sha256 = %(sha256)s"
_ARTIFACTS: LiteralString = f"""
select {_ARTIFACT_COLUMNS} from executor.artifact
where %(before)s::timestamptz is null or pushed_at < %(before)s or (pushed_at = %(before)s and sha256 > %(sha256)s)
order by pushed_at desc, sha256 limit %(limit)s"""
_ARTIFACT_BYTES: LiteralString = "select coalesce(sum(size_bytes), 0)::bigint from executor.artifact"
_DROP_ARTIFACT: LiteralString = "delete from executor.artifact where sha256 = %(sha256)s returning blob_id"


@dataclass(frozen=True, slots=True)
class ProjectVersion:
    """One version of a pushed project."""

    name: str
    version: int
    digest: str
    size_bytes: int
    playbooks: tuple[str, ...]
    blob_id: UUID
    pushed_at: datetime
    pushed_by: str


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """A file for plays."""

    sha256: str
    name: str
    size_bytes: int
    blob_id: UUID
    pushed_at: datetime
    pushed_by: str


class FileStore:
    """Bytes are written first, under an id that nothing names yet, then named by a row."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add_chunk(self, blob_id: UUID, n: int, data: bytes) -> None:
        """The n-th piece of a blob, at most CHUNK_BYTES; each but the last of exactly that size."""
        await self._pool.count(_ADD_CHUNK, {"blob_id": blob_id, "n": n, "data": data})

    async def chunks(self, blob_id: UUID) -> AsyncIterator[bytes]:
        """The pieces of a blob in order."""
        n = 0
        while rows := await self._pool.rows(_CHUNK, {"blob_id": blob_id, "n": n}):
            yield rows[0][0]
            n += 1

    async def drop_blobs(self, blob_ids: Sequence[UUID]) -> None:
        """Deletes the bytes of blobs, except of those that a row names."""
        await self._pool.count(_DROP_BLOB, {"blob_ids": list(blob_ids)})

    async def drop_abandoned(self, age_s: float) -> int:
        """Deletes what uploads left that were given up; how many pieces."""
        return await self._pool.count(_ABANDONED, {"age_s": age_s})

    async def add_version(  # noqa: PLR0917 - a row
        self, name: str, digest: str, size: int, playbooks: Sequence[str], blob_id: UUID, pushed_by: str
    ) -> ProjectVersion | None:
        """The next version of a project; None when another push took that number: look again."""
        rows = await self._pool.rows(
            _ADD_VERSION,
            {
                "name": name,
                "digest": digest,
                "size": size,
                "playbooks": list(playbooks),
                "blob_id": blob_id,
                "pushed_by": pushed_by,
            },
        )
        return _version(rows[0]) if rows else None

    async def versions(self, name: str) -> list[ProjectVersion]:
        """All versions of a project, newest first."""
        return [_version(row) for row in await self._pool.rows(_VERSIONS, {"name": name})]

    async def newest(self) -> list[ProjectVersion]:
        """The newest version of every project, by name."""
        return [_version(row) for row in await self._pool.rows(_NEWEST)]

    async def drop_versions(self, name: str, versions: Sequence[ProjectVersion]) -> None:
        """Deletes versions with their bytes."""
        await self._pool.count(_DROP_VERSIONS, {"name": name, "versions": [one.version for one in versions]})
        await self.drop_blobs([one.blob_id for one in versions])

    async def add_artifact(
        self, sha256: str, name: str, size: int, blob_id: UUID, pushed_by: str
    ) -> StoredArtifact | None:
        """The artifact; None when this content is there already."""
        values = {"sha256": sha256, "name": name, "size": size, "blob_id": blob_id, "pushed_by": pushed_by}
        rows = await self._pool.rows(_ADD_ARTIFACT, values)
        return StoredArtifact(*rows[0]) if rows else None

    async def artifact(self, sha256: str) -> StoredArtifact | None:
        """One artifact."""
        rows = await self._pool.rows(_ARTIFACT, {"sha256": sha256})
        return StoredArtifact(*rows[0]) if rows else None

    async def artifacts(self, behind: tuple[datetime, str] | None, limit: int) -> list[StoredArtifact]:
        """Artifacts, newest first, behind the one of this `pushed_at` and `sha256`; None: from the first."""
        before, sha256 = behind or (None, "")
        values = {"before": before, "sha256": sha256, "limit": limit}
        return [StoredArtifact(*row) for row in await self._pool.rows(_ARTIFACTS, values)]

    async def artifact_bytes(self) -> int:
        """Size of all artifacts together."""
        rows = await self._pool.rows(_ARTIFACT_BYTES)
        return int(rows[0][0])

    async def drop_artifact(self, sha256: str) -> bool:
        """Deletes an artifact with its bytes; false when there is none."""
        rows = await self._pool.rows(_DROP_ARTIFACT, {"sha256": sha256})
        if rows:
            await self.drop_blobs([rows[0][0]])
        return bool(rows)


def _version(row: Sequence[object]) -> ProjectVersion:
    name, version, digest, size, playbooks, blob_id, pushed_at, pushed_by = row
    assert isinstance(playbooks, list)  # noqa: S101 - the column's type
    return ProjectVersion(name, version, digest, size, tuple(playbooks), blob_id, pushed_at, pushed_by)  # type: ignore[arg-type]
