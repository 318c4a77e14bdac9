"""Which account runs what, and how a program is started so that it never outlives its parent."""

import os
import pwd
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from myx_standalone.errors import StandaloneError

LAUNCHER = Path(__file__).with_name("launch.py")
UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """An account of this machine that holds no rights."""

    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """The account for programs that refuse to run as root; None when we are not root and need no other."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise StandaloneError(
        f"PostgreSQL cannot run as root, and this machine has none of the accounts {', '.join(UNPRIVILEGED)}"
    )


def bound_to_parent(program: list[str], when_parent_dies: signal.Signals, account: Account | None = None) -> list[str]:
    """The command line that runs `program` (first item: an absolute path) as `account` and ends it when we die."""
    as_whom = "-" if account is None else f"{account.uid}:{account.gid}"
    start = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(when_parent_dies)), as_whom]
    return [*start, *program]
