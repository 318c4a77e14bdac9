"""Landlock by system call: which files a process and its children may still touch. Standard library only."""

import ctypes
import errno
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_FIFO = 1 << 10
MAKE_SYM = 1 << 12
REFER = 1 << 13
TRUNCATE = 1 << 14

# All that the first version knows, device, socket and so on included: what is not granted is denied.
_HANDLED_1 = (1 << 13) - 1
_HANDLED_SINCE = {2: REFER, 3: TRUNCATE, 5: 1 << 15}
_NET_TCP = 0b11
_SCOPES = 0b11
_FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | 1 << 15

READ = READ_FILE | READ_DIR | EXECUTE
WRITE = READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE
WRITE |= MAKE_DIR | MAKE_REG | MAKE_FIFO | MAKE_SYM | REFER


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """The kernel's Landlock version; 0 when it has none."""
    found = _syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    return max(found, 0)


def no_new_privileges() -> None:
    """No program that is started from now on gains anything by set-user-ID or file capabilities."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")


def restrict(rights: Mapping[str, int]) -> None:
    """For good: of all files only `rights` (path → rights beneath it). OSError.

    From version 4 no TCP either, from version 6 no signals to the outside. Modes, owners, times and attributes are
    none of Landlock's business, nor is truncate before version 3. Paths that are not there are left out. Needs
    no_new_privileges.
    """
    version = abi()
    if version < 1:
        raise OSError(errno.ENOSYS, "this kernel has no Landlock")
    handled = _HANDLED_1
    for since, right in _HANDLED_SINCE.items():
        handled |= right if version >= since else 0
    ruleset = _Ruleset(handled, _NET_TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    fd = _checked(_syscall(_CREATE_RULESET, ctypes.byref(ruleset), size, 0), "landlock_create_ruleset")
    try:
        for path, wanted in rights.items():
            _allow(fd, path, wanted & handled)
        _checked(_syscall(_RESTRICT_SELF, fd, 0), "landlock_restrict_self")
    finally:
        os.close(fd)


def existing(paths: Iterable[str], rights: int) -> dict[str, int]:
    """Those of the paths that are there, with these rights."""
    return {path: rights for path in paths if path and Path(path).exists()}


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            rights &= _FILE_RIGHTS
        rule = _PathBeneath(rights, parent)
        _checked(_syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0), f"landlock_add_rule {path}")
    finally:
        os.close(parent)


def _syscall(*arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return int(libc.syscall(*arguments))


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
