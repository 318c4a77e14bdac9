"""One cgroup per command where the kernel and our rights allow it (v2, or a v1 hierarchy); silently none elsewhere."""

import contextlib
import os
import signal

from myx_agent.supervisor.clone import fork_into
from myx_agent.supervisor.processes import read_process

NAME_PREFIX = "myx-"
_V1_CHOICES = ("pids", "freezer", "systemd")
# A member that is gone when it is looked at may have left another one behind.
_LOOKS = 5


class CgroupRoot:
    """A folder of cgroups that we may make and fill. `unified`: v2, where one write kills all."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.kills_at_once = False

    def probe(self) -> bool:
        """True when a cgroup can be made, entered by a process and removed."""
        try:
            os.makedirs(self._path, mode=0o755, exist_ok=True)  # noqa: PTH103
        except OSError:
            return False
        probe = Cgroup(f"{self._path}/probe", kills_at_once=False)
        pid = 0
        try:
            probe.make()
            pid = probe.fork()
            if pid == 0:
                os.read(os.pipe()[0], 1)
                os._exit(0)
            self.kills_at_once = os.path.exists(f"{self._path}/probe/cgroup.kill")  # noqa: PTH110
            return pid in probe.pids()
        except OSError:
            return False
        finally:
            if pid:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
            probe.remove()

    def of(self, command_id: str) -> "Cgroup":
        return Cgroup(f"{self._path}/{command_id}", kills_at_once=self.kills_at_once)

    def remove_unused(self) -> None:
        """Remove this root and its siblings where nothing is in them (killed supervisors leave theirs)."""
        parent = os.path.dirname(self._path)  # noqa: PTH120
        with contextlib.suppress(OSError), os.scandir(parent) as entries:
            for entry in entries:
                if entry.name.startswith(NAME_PREFIX):
                    with contextlib.suppress(OSError):
                        os.rmdir(entry.path)  # noqa: PTH106

    def leftovers(self) -> list[str]:
        """Names of the cgroups that are there."""
        with contextlib.suppress(OSError), os.scandir(self._path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return []


class Cgroup:
    def __init__(self, path: str, *, kills_at_once: bool) -> None:
        self._path = path
        self._kills_at_once = kills_at_once

    def make(self) -> None:
        """Its parent may be gone: an unused one is swept by whoever starts next."""
        os.makedirs(self._path, mode=0o755, exist_ok=True)  # noqa: PTH103

    def exists(self) -> bool:
        return os.path.isdir(self._path)  # noqa: PTH112

    def fork(self) -> int:
        """As os.fork(), with the child as a member. Raises OSError, and leaves no child, when it cannot be one."""
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):
                return fork_into(folder)
        finally:
            os.close(folder)
        pid = os.fork()
        if pid != 0:
            try:
                self._enter(pid)
            except OSError:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise
        return pid

    def _enter(self, pid: int) -> None:
        fd = os.open(f"{self._path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, str(pid).encode())
        finally:
            os.close(fd)

    def pids(self) -> set[int]:
        """Members, also those of cgroups that a member made below."""
        found: set[int] = set()
        for folder, _folders, _files in os.walk(self._path):
            with contextlib.suppress(OSError), open(f"{folder}/cgroup.procs") as file:  # noqa: PTH123
                found.update(int(line) for line in file)
        found.discard(0)
        return found

    def is_empty(self) -> bool:
        """True when no process is in it, or only ones that have ended; never while they fork faster than we look."""
        populated = self._is_populated()
        if populated is not None:
            return not populated
        for _ in range(_LOOKS):
            members = [read_process(pid) for pid in self.pids()]
            if any(process is not None and process.alive for process in members):
                return False
            if None not in members:  # v1 lists those that have ended too
                return True
        return False

    def _is_populated(self) -> bool | None:
        """The kernel's own word (v2); None where it has none."""
        try:
            with open(f"{self._path}/cgroup.events", "rb") as file:  # noqa: PTH123
                return b"populated 1" in file.read()
        except OSError:
            return None

    def kill(self) -> bool:
        """Kill all members in one step; False where the kernel cannot."""
        if not self._kills_at_once:
            return False
        try:
            fd = os.open(f"{self._path}/cgroup.kill", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            os.write(fd, b"1")
        finally:
            os.close(fd)
        return True

    def remove(self) -> bool:
        """Remove it and what is below; False while a process is in it."""
        try:
            for folder, _folders, _files in os.walk(self._path, topdown=False):
                os.rmdir(folder)  # noqa: PTH106
        except OSError:
            return False
        return True


def find_root(name: str) -> CgroupRoot | None:
    """A place for the cgroups of spool `name` below our own cgroup; None when there is none that works."""
    own: dict[str, str] = {}
    with contextlib.suppress(OSError), open("/proc/self/cgroup") as file:  # noqa: PTH123
        for line in file:
            _number, controllers, path = line.rstrip("\n").split(":", 2)
            own[controllers] = path
    for mount, key in _mounts():
        if key in own:
            root = CgroupRoot(f"{mount}{own[key].rstrip('/')}/{NAME_PREFIX}{name}")
            root.remove_unused()
            if root.probe():
                return root
    return None


def _mounts() -> list[tuple[str, str]]:
    """(mount point, controllers as /proc/self/cgroup writes them), best first."""
    unified: list[tuple[str, str]] = []
    legacy: list[tuple[str, str]] = []
    with contextlib.suppress(OSError), open("/proc/self/mounts") as file:  # noqa: PTH123
        for line in file:
            _device, mount, kind, options = line.split(" ")[:4]
            if kind == "cgroup2":
                unified.append((mount, ""))
            elif kind == "cgroup":
                legacy += [
                    (mount, f"name={choice}" if choice == "systemd" else choice)
                    for choice in _V1_CHOICES
                    if choice in options.replace("name=", "").split(",")
                ]
    return unified + legacy
