"""What a play beside the executor may touch. Standard library only: the process that locks itself in imports it."""

import os
import resource
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from myx_executor.adapters import sandbox_caps, sandbox_landlock, sandbox_seccomp, sandbox_shm

_PROGRAMS = ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/libexec")
_LIBRARIES = ("/lib", "/lib64", "/usr/share", "/usr/local/bin", "/usr/local/lib", "/usr/local/lib64")
_ETC = (
    "alternatives passwd group nsswitch.conf ld.so.cache ld.so.conf ld.so.conf.d localtime timezone locale.alias "
    "locale.conf os-release debian_version redhat-release mime.types hosts host.conf"
)
_DEVICES = {
    "/dev/null": sandbox_landlock.WRITE,
    "/dev/zero": sandbox_landlock.READ,
    "/dev/full": sandbox_landlock.WRITE,
}
_DEVICES |= dict.fromkeys(("/dev/random", "/dev/urandom"), sandbox_landlock.READ)
# Semaphores of multiprocessing: made, opened by their random names and removed, but nobody's names are listed.
_SHARED_MEMORY = {
    "/dev/shm": sandbox_landlock.WRITE_FILE  # noqa: S108
    | sandbox_landlock.READ_FILE
    | sandbox_landlock.MAKE_REG
    | sandbox_landlock.REMOVE_FILE
    | sandbox_landlock.TRUNCATE
}
_PROC_FILES = ("cpuinfo", "meminfo", "stat", "loadavg", "uptime", "version", "filesystems", "sys/kernel", "sys/vm")


def available() -> bool:
    """Whether this kernel and machine can lock a process in."""
    return sandbox_landlock.abi() > 0 and sandbox_seccomp.available()


@dataclass(frozen=True)
class Limits:
    """Paths that may be read and run, and paths that may be written."""

    read: Sequence[str]
    write: Sequence[str]


def interpreter_paths() -> list[str]:
    """What this Python needs of its own folders, and no more of them: /usr/local may hold other things."""
    paths = []
    for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}:
        paths += [f"{prefix}/{name}" for name in ("bin", "lib", "lib64", "pyvenv.cfg", "share")]
    paths += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [str(Path(sys.executable).resolve().parent), str(Path(sys.executable).parent)]
    return list(dict.fromkeys(paths))


def enter(limits: Limits) -> None:
    """Locks this process and all it starts in, for good. OSError when any part of it is not to be had."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # For good: chmod does nothing in there.
    os.umask(0o077)
    sandbox_shm.make_private()
    sandbox_landlock.no_new_privileges()
    sandbox_caps.drop()
    sandbox_landlock.restrict(_rights(limits))
    sandbox_seccomp.restrict()


def _rights(limits: Limits) -> dict[str, int]:
    read = [*_PROGRAMS, *_LIBRARIES, *(f"/etc/{name}" for name in _ETC.split()), *interpreter_paths(), *limits.read]
    read += [f"/proc/{name}" for name in _PROC_FILES]
    rights = sandbox_landlock.existing(read, sandbox_landlock.READ)
    # Process ids may be listed; nothing of other processes may be opened.
    rights["/proc"] = sandbox_landlock.READ_DIR
    rights["/sys/devices/system/cpu"] = sandbox_landlock.READ
    rights |= _DEVICES | _SHARED_MEMORY
    rights |= dict.fromkeys(limits.write, sandbox_landlock.WRITE | sandbox_landlock.EXECUTE)
    return rights
