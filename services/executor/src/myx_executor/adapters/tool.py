"""The deployment tool and pushed projects as archives."""

from dataclasses import dataclass
from pathlib import Path


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
        self._cache_dir = cache_dir

    def archive(self) -> ToolArchive:
        """The same bytes for the same content. FailedPrecondition `NO_DEPLOYMENT_TOOL` when the folder is not there."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ProjectCheck:
    """What a pushed archive holds."""

    digest: str
    size: int
    files: int
    playbooks: tuple[str, ...]


def check_project(archive: Path) -> ProjectCheck:
    """Reads a pushed tar.gz through.

    InvalidArgument `PROJECT_TOO_LARGE`, `PROJECT_INVALID`, `PROJECT_UNSAFE`, `PROJECT_EMPTY`.
    """
    raise NotImplementedError


def unpack_project(archive: Path, folder: Path) -> None:
    """Unpacks an archive that check_project accepts into a new folder; never outside of it."""
    raise NotImplementedError
