"""Overlays and small file systems."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from myx_testkit.hosts.run import run


def mount_overlay(lower: Sequence[Path], upper: Path, work: Path, at: Path) -> None:
    """One tree of read-only folders (the first hides the next) below a writable one."""
    for folder in (upper, work, at):
        folder.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={work}"
    run(["mount", "-t", "overlay", "overlay", "-o", options, at])


def mount_small(size_mb: int, at: Path) -> None:
    """A file system in memory that is full at `size_mb`."""
    at.mkdir(parents=True, exist_ok=True)
    run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=755", "tmpfs", at])


def unmount(at: Path) -> None:
    """Unmount whatever is mounted there; fine when nothing is."""
    while is_mounted(at):
        if run(["umount", at], check=False).returncode:
            run(["umount", "--lazy", at])


def is_mounted(at: Path) -> bool:
    """Whether something is mounted exactly there."""
    return str(at) in (line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())


@contextmanager
def chroot_ready(root: Path) -> Iterator[None]:
    """A tree in which programs find /proc, /dev and the machine's certificates and name servers, meanwhile."""
    (root / "etc/resolv.conf").write_text(Path("/etc/resolv.conf").read_text())
    places = {"/proc": root / "proc", "/dev": root / "dev", "/etc/ssl/certs": root / "etc/ssl/certs"}
    for source, place in places.items():
        run(["mount", "--bind", source, place])
    try:
        yield
    finally:
        for place in places.values():
            unmount(place)
