"""The host as deployments see it: programs run with limits, systemd, the service's user, files written atomically."""

from __future__ import annotations

import fcntl
import grp
import json
import math
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NOBODY = 65534
MARK = "# Managed by MyX: changes are lost with the next deployment."
STEADY_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
}
OUTPUT_LINES = 20


class HostError(RuntimeError):
    """Something on the host cannot be done; the text says what and why."""


def words(output: str) -> str:
    """The last lines for a person: no colours; of JSON log lines those above `warn`, as text."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", output)
    lines = [line for line in plain.splitlines() if line.strip()]
    told = [text for line in lines if (text := _told(line))]
    return "\n".join((told or lines)[-OUTPUT_LINES:])


def _told(line: str) -> str:
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict) or "level" not in entry:
        return line
    if str(entry["level"]).lower() in {"debug", "info", "warn", "warning"}:
        return ""
    return ": ".join(str(entry[key]) for key in ("msg", "error") if entry.get(key))


@dataclass(frozen=True)
class Done:
    """How a program ended; `output` is what it wrote on both streams."""

    code: int
    output: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    def tail(self) -> str:
        """Its last lines, without colours; of JSON log lines only what went wrong."""
        return words(self.output)


@dataclass(frozen=True)
class Account:
    """Whom a service runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Host:
    """The machine, seen from `root` (not / only in tests)."""

    root: Path = field(default_factory=lambda: Path(os.environ.get("MYX_DEPLOY_ROOT", "/")))

    def path(self, absolute: str) -> Path:
        return self.root / absolute.lstrip("/")

    @property
    def is_root(self) -> bool:
        return os.geteuid() == 0 and self.root == Path("/")

    def run(
        self,
        argv: Sequence[str],
        account: Account | None = None,
        env: dict[str, str] | None = None,
        timeout_s: float = 60,
    ) -> Done:
        """Run to the end; a program that cannot be started or takes too long has failed, it does not raise."""
        path = os.environ["PATH"] if not self.is_root and "PATH" in os.environ else STEADY_ENV["PATH"]
        identity: dict[str, Any] = (
            {"user": account.uid, "group": account.gid, "extra_groups": []} if account and self.is_root else {}
        )
        try:
            done = subprocess.run(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**STEADY_ENV, "PATH": path, **(env or {})},
                cwd="/",
                timeout=timeout_s,
                check=False,
                **identity,
            )
        except subprocess.TimeoutExpired as error:
            written = error.stdout or b""
            return Done(124, written.decode(errors="replace") + f"\nno end after {timeout_s:g} s")
        except OSError as error:
            return Done(126, f"{argv[0]} cannot be run: {error.strerror or error}")
        return Done(done.returncode, done.stdout.decode(errors="replace"))

    def systemctl(self, *arguments: str, timeout_s: float = 90) -> Done:
        return self.run(["systemctl", *arguments], timeout_s=timeout_s)

    def must_have_systemd(self) -> None:
        if self.root == Path("/") and not Path("/run/systemd/system").is_dir():
            raise HostError("this host does not run systemd; the deployment needs it to keep the service running")

    def unit_file(self, unit: str) -> Path:
        return self.path(f"/etc/systemd/system/{unit}")

    def unit_property(self, unit: str, name: str) -> str:
        return self.systemctl("show", unit, f"--property={name}", "--value").output.strip()

    def is_active(self, unit: str) -> bool:
        return self.unit_property(unit, "ActiveState") in {"active", "reloading", "activating"}

    def is_enabled(self, unit: str) -> bool:
        return self.systemctl("is-enabled", "--quiet", unit).ok

    def journal(self, unit: str, since: float, until: float) -> str:
        """What the unit wrote between these times (its last lines); empty where there is no journal."""
        span = [f"--since=@{int(since)}", f"--until=@{math.ceil(until)}"]
        argv = ["journalctl", "--no-pager", "--quiet", "-o", "cat", "-n", "60", *span, "-u", unit]
        done = self.run(argv, timeout_s=10)
        return done.tail() if done.ok else ""

    def account(self, name: str) -> Account | None:
        """The user of that name, or None; root is refused."""
        if not self.is_root:
            return Account(os.geteuid(), os.getegid())
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        if entry.pw_uid == 0:
            raise HostError(f"the user {name} is root; choose another name")
        return Account(entry.pw_uid, entry.pw_gid)

    def add_account(self, name: str, home: str) -> Account:
        """A new system user of that name without a login."""
        shell = next((s for s in ("/usr/sbin/nologin", "/sbin/nologin") if Path(s).exists()), "/bin/false")
        with suppress(KeyError):
            grp.getgrnam(name)
            raise HostError(f"there is a group {name} but no user {name} on this host; choose another name")
        argv = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", home, "--shell", shell, name]
        done = self.run(argv)
        account = self.account(name)
        if not done.ok or account is None:
            raise HostError(f"the user {name} cannot be made: {done.tail()}")
        return account

    def remove_account(self, name: str) -> None:
        if self.is_root:
            self.run(["userdel", name])

    def give(self, path: Path, gid: int, mode: int, uid: int = 0) -> None:
        """The file or folder belongs to root (or `uid`) and the group."""
        path.chmod(mode)
        if self.is_root:
            os.chown(path, uid, gid, follow_symlinks=False)


@contextmanager
def lock(path: Path, what: str) -> Iterator[None]:
    """Hold the only right to deploy here; a second one is refused at once. No other user can hold it."""
    _make_private(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise HostError(f"another deployment of {what} is running on this host") from error
    try:
        yield
    finally:
        os.close(descriptor)


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise HostError(f"{folder} must be a folder that only root can enter: remove it. Nothing was changed")


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """The whole file or nothing, durably; a link in its place is replaced, never followed."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    sync(path.parent)


def point(link: Path, target: str) -> None:
    """The symlink points at `target` from one moment to the next."""
    new = link.with_name(f".{link.name}.new")
    with suppress(FileNotFoundError):
        new.unlink()
    new.symlink_to(target)
    new.replace(link)
    sync(link.parent)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """The folder and all files below it are on the disk, whatever becomes of the power; links are not followed."""
    for path, _, names in os.walk(folder):
        for entry in (Path(path, name) for name in names):
            if not entry.is_symlink():
                sync(entry)
        sync(Path(path))


def existing_parent(path: Path) -> Path:
    """The nearest folder above that exists."""
    return next(parent for parent in path.parents if parent.is_dir())


def remove_tree(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def listeners(port: int) -> dict[int, str]:
    """{process id: its name} of everything that listens on that TCP port."""
    inodes = {inode for name in ("tcp", "tcp6") for inode in _listening(Path("/proc/net") / name, port)}
    found: dict[int, str] = {}
    if not inodes:
        return found
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _holds(folder, inodes):
            with suppress(OSError):
                found[int(folder.name)] = (folder / "comm").read_text().strip()
    return found


def _listening(table: Path, port: int) -> list[str]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [row[9] for row in rows if len(row) > 9 and row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port]


def _holds(process: Path, inodes: set[str]) -> bool:
    try:
        return any(str(entry.readlink())[8:-1] in inodes for entry in (process / "fd").iterdir())
    except OSError:
        return False


def unit_of(pid: int) -> str:
    """The systemd unit that a process belongs to, or empty."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return ""
    parts = [part for line in lines for part in line.split("/")]
    return next((part for part in reversed(parts) if part.endswith((".service", ".scope"))), "")
