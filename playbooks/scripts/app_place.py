"""What lies on a host for one deployed service: releases, generations, and which generation runs.

/opt/NAME/myx.json                        whose folder this is; alone it tells whose data a removed service left
/opt/NAME/releases/<version>-<sha12>/     the program and RELEASE.json
/opt/NAME/generations/<number>-<digest>/  one deployed state: `bin` (link to a release), the configuration, `env`,
                                          `unit`, variables.json (root only), GENERATION.json
/opt/NAME/current -> generations/...      the one that runs: program and configuration switch together
/opt/NAME/attempt.json                    exists exactly while a switch is not yet proved good
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from app_host import Host, HostError, existing_parent, point, remove_tree, sync, write


def now() -> str:
    """The time as records carry it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: UP017 -- Python 3.9 has no datetime.UTC


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty when there is none that can be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, content: dict[str, Any], mode: int = 0o644) -> None:
    write(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode(), mode)


@dataclass(frozen=True)
class Generation:
    """One deployed state of the service."""

    path: Path
    record: dict[str, Any]

    @property
    def number(self) -> int:
        return int(self.path.name.split("-")[0])

    @property
    def config(self) -> Path:
        return self.path / str(self.record["config"])

    def variables(self) -> dict[str, Any]:
        """The variables that it was made of, secrets among them."""
        return read_json(self.path / "variables.json")

    def secrets(self) -> set[str]:
        """What must not be shown of it."""
        variables = self.variables()
        mappings = [variables.get(name) for name in ("config_values", "environment")]
        return {str(value) for mapping in mappings if isinstance(mapping, dict) for value in mapping.values()}

    def unit(self) -> str:
        return (self.path / "unit").read_text()

    def is_intact(self) -> bool:
        """Nobody has changed its files since."""
        try:
            return all(digest((self.path / name).read_bytes()) == value for name, value in self.record["files"].items())
        except OSError:
            return False

    def words(self) -> str:
        """How a person recognises it."""
        return f"{self.record['title']} {self.record['version']}, deployed {self.record['deployed_at']}"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.chmod(0o755)


@dataclass(frozen=True)
class Place:
    """The folder, unit and user of one deployed service."""

    host: Host
    name: str
    kind: str

    @property
    def base(self) -> Path:
        return self.host.path(f"/opt/{self.name}")

    @property
    def releases(self) -> Path:
        return self.base / "releases"

    @property
    def generations(self) -> Path:
        return self.base / "generations"

    @property
    def current_link(self) -> Path:
        return self.base / "current"

    @property
    def attempt(self) -> Path:
        return self.base / "attempt.json"

    @property
    def marker(self) -> Path:
        return self.base / "myx.json"

    @property
    def unit(self) -> str:
        return f"{self.name}.service"

    @property
    def unit_file(self) -> Path:
        return self.host.unit_file(self.unit)

    @property
    def home(self) -> Path:
        return self.host.path(f"/var/lib/{self.name}")

    @property
    def logs(self) -> Path:
        return self.host.path(f"/var/log/{self.name}")

    @property
    def data_folders(self) -> list[Path]:
        """What the service itself writes."""
        return [self.home, self.logs]

    def new_data_folders(self) -> list[Path]:
        """Those that were not there before the first deployment."""
        before = self.facts.get("data_before", [str(folder) for folder in self.data_folders])
        return [folder for folder in self.data_folders if str(folder) not in before]

    @property
    def lock_file(self) -> Path:
        # A dot, as no service's name has one: the folder is no service's RuntimeDirectory. /run/lock is everybody's.
        return self.host.path(f"/run/myx.deploy/{self.name}.lock")

    def exists(self) -> bool:
        """A service is deployed here, or was in part; that a removed one left data is not enough."""
        # A release before this one writes no "created_at" where a removed service has left its note.
        return "created_at" in self.facts or (self.marker.exists() and self.generations.is_dir())

    def must_be_ours(self, prefix: str) -> None:
        """Raises when the folder belongs to something else."""
        kind = self.facts.get("kind")
        if kind is not None and kind != self.kind and self.exists():
            raise HostError(f"/opt/{self.name} holds a deployment of {kind}; choose another {prefix}name")
        if kind is None and self.base.exists() and any(self._strangers()):
            raise HostError(
                f"/opt/{self.name} is there already and is not MyX's; move it away or choose another {prefix}name"
            )

    def _strangers(self) -> Iterator[Path]:
        """All but a marker that was being written when its run was killed."""
        return (entry for entry in self.base.iterdir() if not entry.name.startswith(f".{self.marker.name}."))

    def create(self) -> None:
        """Make the folders where they are missing, the marker first: without it they are nobody's."""
        _make_folder(self.base)
        if not self.exists():
            facts = {
                "kind": self.kind,
                "created_at": now(),
                "account_made": False,
                "data_before": [str(folder) for folder in self.data_folders if folder.exists()],
                "left": self.left,
            }
            write_json(self.marker, facts)
            sync(self.base.parent)
        for folder in (self.releases, self.generations):
            _make_folder(folder)

    @property
    def left(self) -> dict[str, Any] | None:
        """{"account"}: whether MyX made the user of the data that a removed service left; None: it left none."""
        found = self.facts.get("left")
        return found if isinstance(found, dict) else None

    def clear(self) -> None:
        """Remove all but the marker: as long as that is there, what was cut off can be done again."""
        for entry in list(self.base.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                remove_tree(entry)
            elif entry != self.marker:
                entry.unlink()
        sync(self.base)

    def note(self, **facts: Any) -> None:
        write_json(self.marker, {**self.facts, **facts})

    @property
    def facts(self) -> dict[str, Any]:
        """What was noted when the folder was made."""
        return read_json(self.marker)

    def generation(self, name: str) -> Generation | None:
        path = self.generations / name
        record = read_json(path / "GENERATION.json")
        return Generation(path, record) if record else None

    def current(self) -> Generation | None:
        """The generation that is in force."""
        try:
            return self.generation(self.current_link.readlink().name)
        except OSError:
            return None

    def all(self) -> list[Generation]:
        """Newest first."""
        if not self.generations.is_dir():
            return []
        found = (self.generation(entry.name) for entry in self.generations.iterdir() if entry.name[:1] != ".")
        return sorted((g for g in found if g is not None), key=lambda g: g.number, reverse=True)

    def before(self, current: Generation) -> Generation | None:
        """The newest that is older than this one."""
        return next((g for g in self.all() if g.number < current.number), None)

    def next_name(self, content: str) -> str:
        newest = max((g.number for g in self.all()), default=0)
        return f"{newest + 1:04d}-{content[:12]}"

    def put_in_force(self, generation: Generation | None) -> None:
        if generation is None:
            with suppress(FileNotFoundError):
                self.current_link.unlink()
        else:
            point(self.current_link, f"generations/{generation.path.name}")

    def prune(self, keep: int) -> list[Generation]:
        """Drop generations beyond the newest `keep` (never the current one) and releases that none uses; what went."""
        current = self.current()
        kept = [g for g in self.all() if current is not None and g.path == current.path]
        kept += [g for g in self.all() if g not in kept][: max(0, keep - len(kept))]
        gone = [g for g in self.all() if g not in kept]
        for generation in gone:
            remove_tree(generation.path)
        used = {g.record["release"] for g in kept}
        for entry in self.releases.iterdir() if self.releases.is_dir() else ():
            if entry.name not in used:
                remove_tree(entry)
        return gone

    @contextmanager
    def workspace(self, check: bool) -> Iterator[Path]:
        """A private folder, gone afterwards: beside the releases, or outside of them in check mode."""
        if not check:
            for left in self.base.glob(".stage-*"):
                remove_tree(left)
        parent = existing_parent(self.base) if check else self.base
        folder = Path(tempfile.mkdtemp(prefix=f".{self.name}-check-" if check else ".stage-", dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
