"""The agent's bundle for tests: built once for each state of its sources, kept beside the test hosts."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from myx_testkit.hosts.locks import locked
from myx_testkit.hosts.roots import store

CHECKOUT = Path(__file__).resolve().parents[4]
SOURCES = ("agent", "deploy/agent", "constraints.txt")
IGNORED = {"__pycache__", ".pytest_cache", ".mypy_cache", "build", "dist"}
BUILD_WITHIN_S = 600.0
KEPT = 6


def agent_bundle() -> Path:
    """The folder of the bundle of this checkout's agent. The first build of all needs the package index."""
    return _built("agent", [CHECKOUT / name for name in SOURCES], [])


def variant(name: str, agent_source: Path, version: str) -> Path:
    """The folder of a bundle with another agent, everything else as in this checkout's."""
    options = ["--agent-source", str(agent_source), "--version", version, "--reuse", str(agent_bundle())]
    return _built(f"{name}-{version}", [agent_source, *(CHECKOUT / source for source in SOURCES)], options)


def _built(name: str, sources: Sequence[Path], options: Sequence[str]) -> Path:
    bundles = store() / "bundles"
    folder = bundles / f"{name}-{_digest(sources)}"
    with locked(bundles / f"{name}.lock"):
        if not (folder / "manifest.json").exists():
            earlier = _earlier(bundles, name)
            reuse = [] if "--reuse" in options or not earlier else ["--reuse", str(earlier[-1])]
            argv = [sys.executable, "-m", "myx_agent_bundle", "build", "--out", str(folder), *options, *reuse]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=BUILD_WITHIN_S, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            for old in earlier[: -(KEPT - 1)]:
                shutil.rmtree(old, ignore_errors=True)
        os.utime(folder)
    return folder


def _earlier(bundles: Path, name: str) -> list[Path]:
    """Finished bundles of this name, the one used last at the end."""
    manifests = bundles.glob(f"{name}-*/manifest.json")
    return sorted((path.parent for path in manifests), key=lambda folder: folder.stat().st_mtime)


def _digest(sources: Sequence[Path]) -> str:
    """Changes with the content of these files and folders."""
    digest = hashlib.sha256()
    for source in sources:
        for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
            inside = file.relative_to(source.parent)
            if file.is_file() and not IGNORED & set(inside.parts) and not inside.name.endswith(".pyc"):
                digest.update(f"{inside}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]
