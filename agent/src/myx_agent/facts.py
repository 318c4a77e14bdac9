"""What the agent tells of its host: small files of /proc and /etc, read when asked."""

import os
import platform
import socket
import time
from pathlib import Path
from typing import Any

_LOCAL_FILESYSTEMS = frozenset(
    [
        "ext2",
        "ext3",
        "ext4",
        "xfs",
        "btrfs",
        "zfs",
        "f2fs",
        "jfs",
        "bcachefs",
        "vfat",
        "exfat",
        "ntfs3",
        "overlay",
        "tmpfs",
    ]
)
_SKIPPED_MOUNTS = ("/proc", "/sys", "/dev", "/run", "/snap", "/var/lib/docker/", "/var/lib/containers/")
_MAX_DISKS = 64


def collect() -> dict[str, Any]:
    """hostname, os, arch, kernel, python, cpus, load, memory, swap, disks, machine_id, boot_id, time. In bytes."""
    memory = _memory()
    uname = os.uname()
    return {
        "hostname": socket.gethostname(),
        "os": _os_release(),
        "arch": uname.machine,
        "kernel": uname.release,
        "python": platform.python_version(),
        "cpus": os.cpu_count() or 1,
        "load": list(os.getloadavg()),
        "memory": {"total": memory.get("MemTotal", 0), "available": memory.get("MemAvailable", 0)},
        "swap": {"total": memory.get("SwapTotal", 0), "free": memory.get("SwapFree", 0)},
        "disks": _disks(),
        "host_uptime": _host_uptime_s(),
        "machine_id": _read("/etc/machine-id") or _read("/var/lib/dbus/machine-id"),
        "boot_id": _read("/proc/sys/kernel/random/boot_id"),
        "time": time.time(),
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _os_release() -> dict[str, str]:
    """id, version_id and pretty_name of the distribution."""
    values = {}
    for line in (_read("/etc/os-release") or _read("/usr/lib/os-release")).splitlines():
        key, _equals, value = line.partition("=")
        values[key] = value.strip("\"'")
    return {
        "id": values.get("ID", "linux"),
        "version_id": values.get("VERSION_ID", ""),
        "pretty_name": values.get("PRETTY_NAME", "Linux"),
    }


def _memory() -> dict[str, int]:
    values = {}
    for line in _read("/proc/meminfo").splitlines():
        key, _colon, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            values[key] = int(words[0]) * 1024
    return values


def _host_uptime_s() -> float:
    words = _read("/proc/uptime").split()
    return float(words[0]) if words else 0.0


def _disks() -> list[dict[str, Any]]:
    """One entry per device: mount, filesystem, total, free. Network mounts that hang are not asked."""
    found: dict[str, dict[str, Any]] = {}
    for line in _read("/proc/self/mounts").splitlines():
        device, mount, kind = line.split(" ")[:3]
        mount = mount.replace("\\040", " ")
        if kind not in _LOCAL_FILESYSTEMS or mount.startswith(_SKIPPED_MOUNTS):
            continue
        if device in found and kind not in {"tmpfs", "overlay"}:
            continue
        try:
            disk = os.statvfs(mount)
        except OSError:
            continue
        key = device if kind not in {"tmpfs", "overlay"} else mount
        found[key] = {
            "mount": mount,
            "filesystem": kind,
            "total": disk.f_blocks * disk.f_frsize,
            "free": disk.f_bavail * disk.f_frsize,
        }
        if len(found) >= _MAX_DISKS:
            break
    return list(found.values())
