"""The deployment tool and pushed projects as archives."""

import gzip
import hashlib
import io
import os
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from myx_executor.adapters.tool_project import ProjectCheck, check_project, unpack_project
from myx_kit.errors import FailedPrecondition

__all__ = ["DeploymentTool", "ProjectCheck", "ToolArchive", "check_project", "unpack_project"]

_LEFT_OUT = {"__pycache__", ".git", ".pytest_cache", ".ansible"}
_KEPT = 4


@dataclass(frozen=True, slots=True)
class ToolArchive:
    """A tar.gz; `digest` is its SHA-256."""

    path: Path
    digest: str
    size: int
    version: str
    playbooks: tuple[str, ...]


class DeploymentTool:
    """The shipped tree (`playbooks/`), packed once per content. Blocking calls: use a thread."""

    def __init__(self, folder: Path | None, cache_dir: Path) -> None:
        self._folder = folder
        self._archives = cache_dir / "tools"
        self._lock = threading.Lock()
        self._known: dict[str, ToolArchive] = {}

    def archive(self) -> ToolArchive:
        """The same bytes for the same content. FailedPrecondition `NO_DEPLOYMENT_TOOL` when the folder is not there."""
        if self._folder is None or not (self._folder / "playbooks").is_dir():
            raise FailedPrecondition("NO_DEPLOYMENT_TOOL", "the deployment tool is not there: set PLAYBOOKS_DIR")
        files = dict(_files(self._folder))
        key = hashlib.sha256()
        for name, path in files.items():
            key.update(f"{name}\0{_mode(path)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        with self._lock:
            known = self._known.get(key.hexdigest())
            if known is None or not known.path.is_file():
                known = self._packed(files)
                self._known[key.hexdigest()] = known
            os.utime(known.path)
            self._forget_old()
        return known

    def _packed(self, files: dict[str, Path]) -> ToolArchive:
        data = _tar_gz(files)
        digest = hashlib.sha256(data).hexdigest()
        self._archives.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._archives / f"{digest}.tar.gz"
        with tempfile.NamedTemporaryFile(prefix=".tool-", dir=self._archives, delete=False) as file:
            file.write(data)
        Path(file.name).replace(path)
        version = files["VERSION"].read_text().strip() if "VERSION" in files else ""
        playbooks = tuple(
            sorted(Path(name).name for name in files if Path(name).match("playbooks/*.yml") and name.count("/") == 1)
        )
        return ToolArchive(path, digest, len(data), version, playbooks)

    def _forget_old(self) -> None:
        archives = sorted(self._archives.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in archives[_KEPT:]:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Regular files by their names inside, sorted; nothing that an editor, Python or git left."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if _LEFT_OUT & set(inside.parts) or path.name.endswith((".pyc", "~", ".swp")):
            continue
        if path.is_file() and not path.is_symlink():
            yield inside.as_posix(), path


def _tar_gz(files: dict[str, Path]) -> bytes:
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", filename="", mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, path in files.items():
            content = path.read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), _mode(path)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & 0o100 else 0o644
