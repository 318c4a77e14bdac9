"""Exact versions for a target, out of constraints.txt."""

from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from myx_agent_bundle.errors import BuildError
from myx_agent_bundle.targets import Target


class Pins:
    """The lines of a constraints file, markers and all. pip would read those for the Python that it runs on itself."""

    def __init__(self, text: str) -> None:
        try:
            self._all = [Requirement(line) for raw in text.splitlines() if (line := raw.partition("#")[0].strip())]
        except InvalidRequirement as error:
            raise BuildError(f"constraints: {error}") from None

    @classmethod
    def read(cls, path: Path) -> "Pins":
        """Raises BuildError."""
        try:
            return cls(path.read_text())
        except OSError as error:
            raise BuildError(f"{path}: {error.strerror}") from None

    def lines(self, target: Target) -> list[str]:
        """`name==version` of everything that counts for the target, sorted."""
        return sorted(
            f"{canonicalize_name(pin.name)}{pin.specifier}"
            for pin in self._all
            if pin.marker is None or pin.marker.evaluate(target.environment)
        )

    def version(self, name: str) -> str:
        """The exact version of one that has no marker. Raises BuildError."""
        for pin in self._all:
            exact = [part.version for part in pin.specifier if part.operator == "=="]
            if canonicalize_name(pin.name) == canonicalize_name(name) and exact:
                return exact[0]
        raise BuildError(f"{name} is not pinned in the constraints")
