"""put_file: files and archives in pieces, resumable, visible only when whole and right."""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import msgspec

from myx_agent import tool
from myx_agent.archives import ArchiveRefused, Bounds, unpack
from myx_agent.commands.spec import check_command_id
from myx_agent.config import Config, write_private
from myx_agent.disk import disk_error, storing
from myx_agent.jsonrpc import RpcError, invalid_param
from myx_agent.roots import UPLOADS, opened, parts_of, roots_of
from myx_agent.spool import layout

STAGING_AGE_S = 7 * 86400
ARTIFACTS = "artifacts"  # below the root "files": the control plane puts there, by SHA-256, what a play deploys
IDLE_S = 600
_PIECE = 1 << 20

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 61)]
Mode = Annotated[int, msgspec.Meta(ge=0, le=0o777)]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to lie where; the same for every piece of an upload."""

    root: str
    path: str
    size: int
    sha256: str
    mode: int
    extract: bool


class FileMethods:
    """put_file. Pieces of one upload come one after the other; what is done is done once."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._roots = roots_of(config)
        self._bounds = Bounds(config.max_extracted_bytes, config.max_extracted_files)
        self._lock = asyncio.Lock()
        self._commands = Path(config.spool_dir) / layout.COMMANDS

    async def put_file(  # noqa: PLR0917 - the order is that of positional JSON-RPC parameters
        self,
        upload_id: str,
        root: Literal["deployment-tool", "agent-staging", "files"],
        path: str,
        size: Count,
        sha256: str,
        offset: Count = 0,
        data: str = "",
        final: bool = False,
        mode: Mode = 0o600,
        extract: bool = False,
    ) -> dict[str, Any]:
        check_command_id(upload_id, "upload_id")
        parts_of(path)
        if size > self._config.max_upload_bytes:
            raise invalid_param("size", f"must not be more than {self._config.max_upload_bytes}")
        if not _is_sha256(sha256):
            raise invalid_param("sha256", "must be 64 hexadecimal digits")
        try:
            piece = base64.b64decode(data, validate=True)
        except binascii.Error:
            raise invalid_param("data", "must be base64") from None
        if offset + len(piece) > size:
            raise invalid_param("data", "goes beyond the size")
        wish = Wish(root, path, size, sha256, mode, extract)
        async with self._lock:
            with storing():
                return await asyncio.to_thread(self._put, upload_id, wish, offset, piece, final)

    def sweep(self) -> None:
        """Remove abandoned uploads, and what lies in the staging root or among the artifacts for a week."""
        now = time.time()
        for root in self._roots.values():
            for left in _entries(root / UPLOADS):
                if now - _changed_at(left) > self._config.upload_age_s and not left.with_suffix(".part").exists():
                    left.unlink(missing_ok=True)
        for part in self._unfinished():
            if now - _changed_at(part) > self._config.upload_age_s:
                _forget(part)
        staged = [left for left in _entries(self._roots["agent-staging"]) if left.name != UPLOADS]
        artifacts = [left for left in _entries(self._roots["files"] / ARTIFACTS) if _is_sha256(left.name)]
        for left in staged + artifacts:
            if now - _changed_at(left) > STAGING_AGE_S:
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)

    def _put(self, upload_id: str, wish: Wish, offset: int, piece: bytes, final: bool) -> dict[str, Any]:
        part = self._roots[wish.root] / UPLOADS / f"{upload_id}.part"
        if not part.exists():
            if self._is_there(wish):
                return {"received": wish.size, "done": True}
            if offset:
                raise _wrong_offset(0)
            self._begin(part, wish)
        elif msgspec.json.decode(_wish_file(part).read_bytes()) != asdict(wish):
            raise RpcError(-32011, "this upload_id belongs to another file", "UPLOAD_CONFLICT")
        received = self._append(part, offset, piece)
        if not final:
            return {"received": received, "done": False}
        if received < wish.size:
            raise _wrong_offset(received)
        self._finish(part, wish)
        return {"received": received, "done": True}

    def _begin(self, part: Path, wish: Wish) -> None:
        self.sweep()
        unfinished = sorted(self._unfinished(), key=_changed_at)
        if len(unfinished) >= self._config.max_uploads:
            if time.time() - _changed_at(unfinished[0]) < IDLE_S:
                raise RpcError(-32012, "too many uploads are unfinished", "TOO_MANY_UPLOADS", retryable=True)
            _forget(unfinished[0])
        with opened(self._roots[wish.root], [UPLOADS]) as folder:
            disk = os.fstatvfs(folder)
        if (free := disk.f_bavail * disk.f_frsize) < wish.size:
            message = f"the disk of the host has {free} bytes free, {wish.size} are needed"
            raise RpcError(-32013, message, "DISK_FULL", retryable=True, received=0)
        write_private(_wish_file(part), msgspec.json.encode(asdict(wish)))
        part.touch(mode=0o600)

    def _append(self, part: Path, offset: int, piece: bytes) -> int:
        """Add what is new of a piece; how many bytes there are. A piece that came before changes nothing."""
        fd = os.open(part, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            received = os.fstat(fd).st_size
            if offset > received:
                raise _wrong_offset(received)
            rest = piece[received - offset :]
            try:
                layout.write_all(fd, rest)
            except OSError as error:
                raise disk_error(error, received=os.fstat(fd).st_size) from None
            os.utime(fd)
            return received + len(rest)
        finally:
            os.close(fd)

    def _finish(self, part: Path, wish: Wish) -> None:
        with part.open("rb") as file:
            digest = _digest(file)
        if digest != wish.sha256:
            _forget(part)
            message = "what came is not what was announced by size and sha256; it was dropped"
            raise RpcError(-32014, message, "DIGEST_MISMATCH")
        names = parts_of(wish.path)
        if wish.extract:
            with opened(self._roots[wish.root], names):
                pass
            self._extract(part, wish, self._roots[wish.root].joinpath(*names))
            _forget(part)
            return
        part.chmod(wish.mode)
        layout.fsync_path(str(part))
        with opened(self._roots[wish.root], names[:-1]) as folder:
            try:
                os.rename(part, names[-1], dst_dir_fd=folder)
            except (IsADirectoryError, NotADirectoryError):
                raise invalid_param("path", "is a folder") from None
            os.fsync(folder)
        _forget(part)

    def _extract(self, part: Path, wish: Wish, home: Path) -> None:
        release = tool.release_folder(home, wish.sha256)
        release.parent.mkdir(mode=0o700, exist_ok=True)
        for left in release.parent.glob(f"{tool.UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        fresh = release.with_name(tool.UNFINISHED + release.name)
        fresh.mkdir(mode=0o700)
        try:
            unpack(part, fresh, self._bounds)
            tool.seal(fresh, wish.sha256)
        except ArchiveRefused as refused:
            _forget(part)
            raise RpcError(-32015, str(refused), "ARCHIVE_REFUSED") from None
        else:
            shutil.rmtree(release, ignore_errors=True)  # of that name, but not with that digest
            fresh.rename(release)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        tool.switch(home, release)
        tool.drop_old(home, tool.in_use(self._commands))

    def _is_there(self, wish: Wish) -> bool:
        """The file has been put already; an unpacked archive becomes the current one again."""
        names = parts_of(wish.path)
        root = self._roots[wish.root]
        if wish.extract:
            with opened(root, names):
                pass
            home = root.joinpath(*names)
            release = tool.release_folder(home, wish.sha256)
            if tool.digest_of(release) != wish.sha256:
                return False
            tool.switch(home, release)
            return True
        with opened(root, names[:-1]) as folder:
            return _is_file_of(wish, names[-1], folder)

    def _unfinished(self) -> list[Path]:
        return [part for root in self._roots.values() for part in _entries(root / UPLOADS) if part.suffix == ".part"]


def _is_sha256(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def _is_file_of(wish: Wish, name: str, folder: int) -> bool:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return False
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size != wish.size:
            return False
        with os.fdopen(fd, "rb", closefd=False) as file:
            if _digest(file) != wish.sha256:
                return False
        os.fchmod(fd, wish.mode)
        os.utime(fd)  # it is wanted now: not to be swept
        return True
    finally:
        os.close(fd)


def _wish_file(part: Path) -> Path:
    return part.with_suffix(".json")


def _forget(part: Path) -> None:
    for path in (part, _wish_file(part)):
        path.unlink(missing_ok=True)


def _wrong_offset(received: int) -> RpcError:
    return RpcError(-32010, f"the upload goes on at {received}", "UPLOAD_OFFSET", received=received)


def _changed_at(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.lstat().st_mtime
    return time.time()


def _entries(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from folder.iterdir()


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
