"""From pins and the agent's source to a bundle."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from myx_agent_bundle import agent_wheel, download, manifest, wheels
from myx_agent_bundle.agent_wheel import AgentSource
from myx_agent_bundle.manifest import Entry
from myx_agent_bundle.pins import Pins
from myx_agent_bundle.targets import ALL, ARCHES, PYTHONS, Target

ANSIBLE = (Requirement("ansible-core"), Requirement("ansible-runner"))
_FORMAT = "1"
_AT_ONCE = 4


@dataclass(frozen=True)
class Plan:
    """What to build and from what. `reuse`: a bundle whose third-party files may be taken when they are the same."""

    out: Path
    source: AgentSource
    version: str
    pins: Pins
    reuse: Path | None = None

    @property
    def inputs(self) -> dict[str, str]:
        """Digests of all that decides what is in the bundle: equal inputs, equal bundle."""
        third = [_FORMAT, "uv=={}".format(self.pins.version("uv")), *map(str, self.source.requires)]
        third += [line for target in ALL for line in (repr(target), *self.pins.lines(target))]
        agent = [self.version]
        agent += [f"{path.relative_to(self.source.folder)} {wheels.digest(path)}" for path in self.source.files()]
        return {"third_party": _sha256(third), "agent": _sha256(agent)}


def build(plan: Plan) -> tuple[dict[str, Any], bool]:
    """The manifest of what stands in `plan.out` now, and whether it was built anew. Raises BuildError."""
    inputs = plan.inputs
    plan.out.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(plan.out):
        there = manifest.read(plan.out)
        if there is not None and there.get("inputs") == inputs:
            return there, False
        with tempfile.TemporaryDirectory(prefix=f".{plan.out.name}-", dir=plan.out.parent) as temporary:
            root = Path(temporary) / "bundle"
            (root / "wheels").mkdir(parents=True)
            (root / "requirements").mkdir()
            old = _reusable(plan, inputs)
            entries = _take(root, *old) if old else _download(plan, root, Path(temporary))
            entries = _add_agent(plan, root, entries)
            document = manifest.write(root, plan.version, plan.source.requires_python, entries, inputs)
            root.chmod(0o755)
            _replace(plan.out, root)
    return document, True


def _reusable(plan: Plan, inputs: dict[str, str]) -> tuple[Path, dict[str, Any]] | None:
    for folder in (plan.reuse, plan.out):
        document = manifest.read(folder) if folder is not None else None
        if folder is not None and document and document.get("inputs", {}).get("third_party") == inputs["third_party"]:
            return folder, document
    return None


def _take(root: Path, folder: Path, document: dict[str, Any]) -> list[Entry]:
    """Everything of another bundle but the agent itself; files are shared where the disk allows it."""
    entries = []
    for raw in document["files"]:
        item = Entry(**(raw | {"python": tuple(raw["python"])}))
        if Path(item.path).name.startswith("myx_agent-"):
            continue
        place = root / item.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if item.kind == "requirements":
            lines = (folder / item.path).read_text().splitlines(keepends=True)
            place.write_text("".join(line for line in lines if not line.startswith("myx-agent==")))
        else:
            try:
                os.link(folder / item.path, place)
            except OSError:
                shutil.copy2(folder / item.path, place)
        entries.append(item)
    return entries


def _download(plan: Plan, root: Path, temporary: Path) -> list[Entry]:
    """Every target's wheels and requirement files, and uv."""
    roots = [*plan.source.requires, *ANSIBLE]

    def fetch(target: Target) -> dict[str, wheels.Wheel]:
        return download.fetch(roots, target, plan.pins, temporary / "fetched" / f"{target.python}-{target.arch}")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for arch in ARCHES:
            place = root / "uv" / arch / "uv"
            download.fetch_uv(plan.pins.version("uv"), arch, temporary / "uv" / arch, place)
        found = dict(zip(ALL, pool.map(fetch, ALL), strict=True))
    entries = [manifest.entry(root, f"uv/{arch}/uv", "uv", arch=arch, python=("any",), of="any") for arch in ARCHES]
    sets = {"agent": list(plan.source.requires), "ansible": list(ANSIBLE)}
    uses: dict[str, list[tuple[str, Target]]] = {}
    for name, wanted in sets.items():
        for target, there in found.items():
            for needed in sorted(wheels.closure(wanted, there, target)[0]):
                wheel = there[needed]
                uses.setdefault(wheel.path.name, []).append((name, target))
                if not (root / "wheels" / wheel.path.name).exists():
                    shutil.copyfile(wheel.path, root / "wheels" / wheel.path.name)
        for python in PYTHONS:
            chosen = [there[n] for t, there in found.items() if t.python == python
                      for n in wheels.closure(wanted, there, t)[0]]  # fmt: skip
            path = f"requirements/{name}-{python}.txt"
            (root / path).write_text(_requirements(chosen))
            entries.append(manifest.entry(root, path, "requirements", arch="any", python=(python,), of=name))
    return entries + [_wheel_entry(root, name, used) for name, used in uses.items()]


def _wheel_entry(root: Path, name: str, uses: list[tuple[str, Target]]) -> Entry:
    kinds = {kind for kind, _target in uses}
    arches = {target.arch for _kind, target in uses}
    pythons = tuple(python for python in PYTHONS if any(target.python == python for _kind, target in uses))
    arch = arches.pop() if len(arches) == 1 and not name.endswith("-any.whl") else "any"
    of = kinds.pop() if len(kinds) == 1 else "any"
    return manifest.entry(root, f"wheels/{name}", "wheel", arch=arch, python=pythons, of=of)


def _requirements(chosen: list[wheels.Wheel]) -> str:
    """One line per distribution, with the digests of the wheels of both architectures."""
    lines: dict[str, set[str]] = {}
    for wheel in chosen:
        lines.setdefault(f"{wheel.name}=={wheel.version}", set()).add(wheels.digest(wheel.path))
    return "".join(_line(pin, digests) for pin, digests in sorted(lines.items()))


def _line(pin: str, digests: set[str]) -> str:
    return f"{pin} {' '.join(f'--hash=sha256:{digest}' for digest in sorted(digests))}\n"


def _add_agent(plan: Plan, root: Path, entries: list[Entry]) -> list[Entry]:
    wheel = agent_wheel.build(plan.source, plan.version, root / "wheels")
    line = _line(f"myx-agent=={plan.version}", {wheels.digest(wheel)})
    done = [item for item in entries if not (item.kind == "requirements" and item.set == "agent")]
    for python in PYTHONS:
        path = f"requirements/agent-{python}.txt"
        lines = [*(root / path).read_text().splitlines(keepends=True), line]
        (root / path).write_text("".join(sorted(lines)))
        done.append(manifest.entry(root, path, "requirements", arch="any", python=(python,), of="agent"))
    path = f"wheels/{wheel.name}"
    return [*done, manifest.entry(root, path, "wheel", arch="any", python=PYTHONS, of="agent")]


def _replace(out: Path, new: Path) -> None:
    """Two renames: who reads meanwhile finds the old bundle or the new one, or for a moment none."""
    old = new.parent / "old"
    if out.exists():
        out.rename(old)
    new.rename(out)


@contextlib.contextmanager
def _exclusive(out: Path) -> Iterator[None]:
    fd = os.open(out.parent / f".{out.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _sha256(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
