"""What travels to a host out of the agent's bundle."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """What manifest.json says; `release` is `<version>-<first 12 hex of digest>`."""

    version: str
    digest: str
    requires_python: str

    @property
    def release(self) -> str:
        """Name of the release's folder on hosts."""
        return f"{self.version}-{self.digest[:12]}"


@dataclass(frozen=True, slots=True)
class Pack:
    """A tar that is sent to a host."""

    path: Path
    sha256: str
    size: int


class AgentBundle:
    """The folder that `make agent-bundle` builds; packs are kept in `cache_dir`, bounded. Blocking calls: use a thread."""

    def __init__(self, folder: Path | None, cache_dir: Path) -> None:
        self._folder = folder
        self._cache_dir = cache_dir

    def info(self) -> BundleInfo:
        """FailedPrecondition `NO_AGENT_BUNDLE` when it is not there, `AGENT_BUNDLE_INVALID` when it cannot be read."""
        raise NotImplementedError

    def pack(self, kind: str, arch: str, python: str, *, index: bool = False) -> Pack:
        """The tar for `kind` (agent, ansible), x86_64 or aarch64, `3.11`…; `index`: third-party wheels stay here.

        FailedPrecondition `AGENT_BUNDLE_UNSUITABLE` (nothing for that host), `AGENT_BUNDLE_INVALID` (a digest is wrong).
        """
        raise NotImplementedError
