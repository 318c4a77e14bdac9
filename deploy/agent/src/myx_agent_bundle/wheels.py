"""Wheels as files: name, needs, digest."""

import email.parser
import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from myx_agent_bundle.errors import BuildError
from myx_agent_bundle.targets import Target


@dataclass(frozen=True)
class Wheel:
    path: Path
    name: str
    version: str
    requires: tuple[Requirement, ...]

    @property
    def is_for_any_arch(self) -> bool:
        return self.path.stem.endswith("-any")

    def needs(self, target: Target, extras: frozenset[str]) -> list[Requirement]:
        """What it asks for on the target."""
        wanted = extras or {""}
        return [
            need
            for need in self.requires
            if need.marker is None or any(need.marker.evaluate(target.environment | {"extra": e}) for e in wanted)
        ]


def read(path: Path) -> Wheel:
    """Raises BuildError."""
    try:
        name, version, _build, _tags = parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            entry = next(item for item in archive.namelist() if item.endswith(".dist-info/METADATA"))
            metadata = email.parser.BytesParser().parsebytes(archive.read(entry))
    except (InvalidWheelFilename, zipfile.BadZipFile, StopIteration, OSError) as error:
        raise BuildError(f"{path.name}: not a wheel ({error})") from None
    requires = tuple(Requirement(line) for line in metadata.get_all("Requires-Dist") or ())
    return Wheel(path, canonicalize_name(name), str(version), requires)


def closure(roots: list[Requirement], wheels: dict[str, Wheel], target: Target) -> tuple[set[str], list[Requirement]]:
    """Names of all that the roots need on the target, and what of it is not among the wheels."""
    found: set[str] = set()
    missing: list[Requirement] = []
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = list(roots)
    while queue:
        need = queue.pop()
        name, extras = canonicalize_name(need.name), frozenset(need.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        wheel = wheels.get(name)
        if wheel is None or not need.specifier.contains(wheel.version, prereleases=True):
            missing.append(need)
            continue
        found.add(name)
        queue += wheel.needs(target, extras)
    return found, missing


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
