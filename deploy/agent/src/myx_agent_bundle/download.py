"""Wheels of other people, by pip, for a host that is not this one."""

import subprocess
import sys
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

from myx_agent_bundle import wheels
from myx_agent_bundle.errors import BuildError
from myx_agent_bundle.pins import Pins
from myx_agent_bundle.targets import Target

_PASSES = 4
_TIMEOUT_S = 900


def fetch(roots: list[Requirement], target: Target, pins: Pins, folder: Path) -> dict[str, wheels.Wheel]:
    """All that the roots need on the target, one wheel per name.

    pip reads markers for the Python that it runs on, so what a marker hides from it is asked for by name.
    Raises BuildError.
    """
    folder.mkdir(parents=True)
    constraints = folder.with_name(f"{folder.name}.txt")
    constraints.write_text("".join(f"{line}\n" for line in pins.lines(target)))
    asked = [_without_marker(root) for root in roots]
    for _ in range(_PASSES):
        _pip_download([*_options(target), "-c", str(constraints), *map(str, asked)], folder)
        found = {wheel.name: wheel for wheel in map(wheels.read, folder.glob("*.whl"))}
        _names, missing = wheels.closure(roots, found, target)
        if not missing:
            return found
        asked += [_without_marker(need) for need in missing]
    raise BuildError(f"Python {target.python} on {target.arch}: cannot be had: {', '.join(map(str, missing))}")


def fetch_uv(version: str, arch: str, folder: Path, place: Path) -> None:
    """The uv program out of its wheel. Raises BuildError."""
    folder.mkdir(parents=True)
    target = Target("3.11", arch)
    _pip_download([*_options(target), "--no-deps", f"uv=={version}"], folder)
    path = next(folder.glob("uv-*.whl"))
    with zipfile.ZipFile(path) as archive:
        entry = next((name for name in archive.namelist() if name.endswith(".data/scripts/uv")), None)
        if entry is None:
            raise BuildError(f"{path.name} holds no uv")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(archive.read(entry))
    place.chmod(0o755)


def _options(target: Target) -> list[str]:
    platforms = [part for platform in target.platforms for part in ("--platform", platform)]
    return ["--implementation", "cp", "--python-version", target.python, *platforms]


def _pip_download(arguments: list[str], folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(
        [*command, "--only-binary=:all:", "--dest", str(folder), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise BuildError(f"pip download for {folder.name}: {'; '.join(said[:3]) or 'failed'}")


def _without_marker(need: Requirement) -> Requirement:
    bare = Requirement(str(need))
    bare.marker = None
    return bare
