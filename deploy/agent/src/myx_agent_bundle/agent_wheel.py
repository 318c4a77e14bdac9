"""The agent's own wheel, with another version when one is asked for."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from myx_agent_bundle.errors import BuildError

_SOURCE_DATE_EPOCH = "1580601600"
_TIMEOUT_S = 300


@dataclass(frozen=True)
class AgentSource:
    """The folder of the distribution myx-agent."""

    folder: Path
    version: str
    requires: tuple[Requirement, ...]
    requires_python: str

    @classmethod
    def read(cls, folder: Path) -> "AgentSource":
        """Raises BuildError."""
        try:
            project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
            requires = tuple(map(Requirement, project.get("dependencies", [])))
            return cls(folder, project["version"], requires, project["requires-python"])
        except (OSError, KeyError, ValueError) as error:
            raise BuildError(f"{folder}: not the source of the agent ({error})") from None

    def files(self) -> list[Path]:
        """What the wheel is made of, sorted."""
        found = [self.folder / "pyproject.toml", *(self.folder / "src").rglob("*")]
        return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def build(source: AgentSource, version: str, place: Path) -> Path:
    """Build the wheel into `place`; the same source and version give the same bytes. Raises BuildError."""
    with tempfile.TemporaryDirectory(prefix="myx-agent-wheel-") as temporary:
        copy = Path(temporary) / "agent"
        for path in source.files():
            target = copy / path.relative_to(source.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        if version != source.version:
            _set_version(copy, version)
        done = subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)],
            cwd=copy,
            env=os.environ | {"SOURCE_DATE_EPOCH": _SOURCE_DATE_EPOCH},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    if done.returncode:
        raise BuildError(f"the agent's wheel cannot be built: {(done.stderr.strip() or 'no reason given')[-500:]}")
    return next(place.glob("myx_agent-*.whl"))


def check_version(version: str) -> str:
    """The version in its normal form. Raises BuildError."""
    try:
        return str(Version(version))
    except InvalidVersion:
        raise BuildError(f"{version} is not a version") from None


def _set_version(copy: Path, version: str) -> None:
    for name, pattern in (
        ("pyproject.toml", r'^version = ".*"$'),
        ("src/myx_agent/__init__.py", r'^__version__ = ".*"$'),
    ):
        path = copy / name
        left = pattern[1:].partition(" =")[0]
        text, count = re.subn(pattern, f'{left} = "{version}"', path.read_text(), count=1, flags=re.MULTILINE)
        if not count:
            raise BuildError(f"{name} says no version")
        path.write_text(text)
