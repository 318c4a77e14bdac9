"""What travels to a host out of the agent's bundle."""

import hashlib
import io
import json
import os
import tarfile
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myx_kit.errors import FailedPrecondition

# Of both kinds for two architectures and some versions of Python, before and after an update.
_KEPT_PACKS = 16
_OWN_WHEEL = "myx_agent-"
_ANY = "any"


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
    """The folder that `make agent-bundle` builds; packs are kept in `cache_dir`. Blocking calls: use a thread."""

    def __init__(self, folder: Path | None, cache_dir: Path) -> None:
        self._folder = folder
        self._packs = cache_dir / "packs"
        self._lock = threading.Lock()
        # Only packs that this process made or looked through are sent.
        self._known: dict[Path, Pack] = {}

    def info(self) -> BundleInfo:
        """FailedPrecondition `NO_AGENT_BUNDLE` when it is not there, `AGENT_BUNDLE_INVALID` when it cannot be read."""
        return _info(self._manifest())

    def pack(self, kind: str, arch: str, python: str, *, index: bool = False) -> Pack:
        """The tar for `kind` (agent, ansible), x86_64 or aarch64, `3.11`…; `index`: third-party wheels stay here.

        The same bytes for the same bundle. FailedPrecondition `AGENT_BUNDLE_UNSUITABLE` (nothing for that host),
        `AGENT_BUNDLE_INVALID` (a digest is wrong).
        """
        manifest = self._manifest()
        info = _info(manifest)
        files = _chosen(manifest["files"], kind, arch, python, index=index)
        key = hashlib.sha256(f"{info.digest} {kind} {arch} {python} {index}".encode()).hexdigest()
        path = self._packs / f"{kind}-{arch}-{python}-{key[:24]}.tar"
        with self._lock:
            pack = self._known.get(path)
            if pack is None or not path.is_file() or path.stat().st_size != pack.size:
                release = {"version": info.version, "digest": info.digest, "arch": arch, "python": python}
                pack = self._made(path, files, release)
                self._known[path] = pack
            os.utime(path)
            self._forget_old()
        return pack

    def _manifest(self) -> dict[str, Any]:
        if self._folder is None or not (self._folder / "manifest.json").is_file():
            raise FailedPrecondition(
                "NO_AGENT_BUNDLE",
                "there is no agent bundle: `make agent-bundle` builds one (MYX_EXECUTOR_AGENT_BUNDLE_DIR says where)",
            )
        try:
            manifest: dict[str, Any] = json.loads((self._folder / "manifest.json").read_bytes())
            lines = sorted(f"{file['path']}\0{file['sha256']}\n" for file in manifest["files"])
            digest = hashlib.sha256("".join(lines).encode()).hexdigest()
            if digest != manifest["digest"] or not isinstance(manifest["version"], str):
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError):
            raise _invalid("its manifest cannot be read or is not that of its files") from None
        return manifest

    def _made(self, path: Path, files: Mapping[str, Mapping[str, Any]], release: Mapping[str, str]) -> Pack:
        self._packs.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".pack-", dir=self._packs)
        try:
            with os.fdopen(descriptor, "w+b") as out:
                self._write(out, files, release)
                out.seek(0)
                digest = hashlib.file_digest(out, "sha256").hexdigest()
                size = out.seek(0, os.SEEK_END)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return Pack(path, digest, size)

    def _write(self, out: Any, files: Mapping[str, Mapping[str, Any]], release: Mapping[str, str]) -> None:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            _add(tar, "RELEASE.json", json.dumps(dict(release), sort_keys=True).encode() + b"\n", 0o644)
            for name in sorted(files):
                _add(tar, name, self._content(files[name]), 0o755 if files[name]["kind"] == "uv" else 0o644)

    def _content(self, file: Mapping[str, Any]) -> bytes:
        try:
            content = (self._folder or Path()).joinpath(file["path"]).read_bytes()
        except OSError:
            raise _invalid(f"{file['path']} is not there") from None
        if hashlib.sha256(content).hexdigest() != file["sha256"]:
            raise _invalid(f"{file['path']} was changed")
        return content

    def _forget_old(self) -> None:
        packs = sorted(self._packs.glob("*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in packs[_KEPT_PACKS:]:
            path.unlink(missing_ok=True)
            self._known.pop(path, None)


def _info(manifest: Mapping[str, Any]) -> BundleInfo:
    return BundleInfo(manifest["version"], manifest["digest"], str(manifest.get("agent_requires_python", "")))


def _chosen(
    files: Sequence[Mapping[str, Any]], kind: str, arch: str, python: str, *, index: bool
) -> dict[str, Mapping[str, Any]]:
    """Name in the tar → file of the bundle."""
    chosen: dict[str, Mapping[str, Any]] = {}
    for file in files:
        fits = file["set"] in {kind, _ANY} and file["arch"] in {arch, _ANY}
        if not fits or not {python, _ANY} & set(file["python"]):
            continue
        name = Path(file["path"]).name
        match file["kind"]:
            case "uv":
                chosen["uv"] = file
            case "requirements":
                chosen["requirements.txt"] = file
            case "wheel" if not index or name.startswith(_OWN_WHEEL):
                chosen[f"wheels/{name}"] = file
            case _:
                continue
    if not {"uv", "requirements.txt"} <= set(chosen):
        raise FailedPrecondition(
            "AGENT_BUNDLE_UNSUITABLE",
            f"the agent bundle holds nothing for Python {python or '(unknown)'} on {arch or '(unknown)'}",
        )
    return chosen


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))


def _invalid(what: str) -> FailedPrecondition:
    return FailedPrecondition(
        "AGENT_BUNDLE_INVALID", f"the agent bundle cannot be used: {what}; build it anew with `make agent-bundle`"
    )
