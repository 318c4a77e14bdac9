"""Control groups of one host: below the caller's own, one in each hierarchy that the machine has."""

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from myx_testkit.wait import until_sync

TOP = Path("/sys/fs/cgroup")
V1 = ("systemd", "unified", "memory", "cpu", "cpuacct", "pids")
FOR_CONTAINERS = ("blkio", "freezer", "devices", "cpuset")
GONE_WITHIN_S = 10.0


def paths(name: str, *, containers: bool = False) -> list[Path]:
    """Where the groups called `name` are (to be)."""
    if (TOP / "cgroup.controllers").exists():
        return [TOP / _own("").lstrip("/") / name]
    wanted = V1 + (FOR_CONTAINERS if containers else ())
    return [TOP / part / _own(part).lstrip("/") / name for part in wanted if (TOP / part).is_dir()]


def _own(hierarchy: str) -> str:
    """The caller's group in this hierarchy."""
    key = {"systemd": "name=systemd", "unified": ""}.get(hierarchy, hierarchy)
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if key in controllers.split(","):
            return path
    return "/"


def create(groups: Iterable[Path]) -> None:
    """Make the groups, ready to be entered."""
    for group in groups:
        group.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (group / name).exists() and (group.parent / name).exists():
                (group / name).write_text((group.parent / name).read_text())


def freeze(groups: Iterable[Path], *, on: bool) -> None:
    """Stop all processes in their tracks, or let them go on."""
    group = next(group for group in groups if (group / "cgroup.freeze").exists())
    (group / "cgroup.freeze").write_text("1" if on else "0")
    until_sync(
        lambda: f"frozen {int(on)}" in (group / "cgroup.events").read_text(), what="the host is frozen or thawed"
    )


def members(groups: Iterable[Path]) -> set[int]:
    """The ids of all processes in these groups and below."""
    found: set[int] = set()
    for group in groups:
        for file in group.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found.update(int(line) for line in file.read_text().split())
    return found - {0}


def kill(groups: Iterable[Path]) -> None:
    """SIGKILL of everything in these groups, until nothing is left."""
    groups = list(groups)
    for group in groups:
        with contextlib.suppress(OSError):
            (group / "cgroup.freeze").write_text("0")

    def is_empty() -> bool:
        left = members(groups)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    until_sync(is_empty, GONE_WITHIN_S, interval_s=0.02, what=f"no process is left in {groups}")


def remove(groups: Iterable[Path]) -> None:
    """Remove the (empty) groups and all below."""
    for group in groups:
        for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            group.rmdir()
