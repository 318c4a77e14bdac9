"""What is on a host, to be compared before and after."""

from collections.abc import Callable
from dataclasses import dataclass

NOT_LOOKED_AT = (
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/tmp",
    "/var/tmp",
    "/var/log",
    "/var/cache",
    "/var/lib/systemd/timers",
    "/var/lib/systemd/timesync",
    "/var/lib/systemd/random-seed",
    "/var/lib/containers",
    "/var/lib/private",
)
FILES = (
    "find / -xdev "
    + " ".join(f"-path {path} -prune -o" for path in NOT_LOOKED_AT)
    + r" \( -type d -printf '%p\t%y %m %U:%G\n' \) -o -printf '%p\t%y %m %U:%G %s %T@ %l\n'"
)
UNITS = (
    "systemctl list-unit-files --no-legend --no-pager --plain; systemctl list-units --state=failed --no-legend --plain"
)
ACCOUNT_FILES = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")


@dataclass(frozen=True)
class Inventory:
    """Files (path: kind, mode, owner; of those with a content also size, time and target), units, accounts."""

    files: dict[str, str]
    units: frozenset[str]
    accounts: frozenset[str]

    def differences(self, later: "Inventory") -> list[str]:
        """A line for everything that is new, gone or changed in the later one; empty when they are equal."""
        paths = sorted(self.files.keys() | later.files.keys())
        lines = [
            f"{path}: {self.files.get(path, 'not there')} -> {later.files.get(path, 'not there')}"
            for path in paths
            if self.files.get(path) != later.files.get(path)
        ]
        for kind, before, after in (("unit", self.units, later.units), ("account", self.accounts, later.accounts)):
            lines += [f"{kind} gone: {line}" for line in sorted(before - after)]
            lines += [f"{kind} new: {line}" for line in sorted(after - before)]
        return lines


def take(execute: Callable[[str], str]) -> Inventory:
    """The inventory of the host on which `execute` runs a shell line."""
    files = dict(line.split("\t", 1) for line in execute(FILES).splitlines())
    accounts = execute(f"grep -H . {' '.join(ACCOUNT_FILES)}").splitlines()
    return Inventory(files, frozenset(execute(UNITS).splitlines()), frozenset(accounts))
