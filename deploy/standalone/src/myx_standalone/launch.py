"""Becomes another program that dies with its parent, as another account where asked.

Run as `python -I -S launch.py PARENT SIGNAL ACCOUNT PROGRAM [ARG…]`: SIGNAL (a number) is what the kernel sends to the
program when the process PARENT (which must be the one that started this) dies; ACCOUNT is `-` or `UID:GID`.

PostgreSQL refuses to run as root, but the checkout and the data may lie below folders that only root can enter. So the
program keeps exactly one capability of root: to reach files whatever the modes say. It is kept as an ambient
capability (capabilities(7)), and `NO_SETUID_FIXUP` makes access(2) honour it too, by which PostgreSQL finds itself.
"""

import ctypes
import os
import stat
import sys

PR_SET_PDEATHSIG = 1
PR_GET_SECUREBITS, PR_SET_SECUREBITS = 27, 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _check(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _prctl(option: int, value: int, value2: int, what: str) -> int:
    unsigned = ctypes.c_ulong
    return _check(_libc.prctl(option, unsigned(value), unsigned(value2), unsigned(0), unsigned(0)), what)


def _capabilities() -> tuple[_Header, ctypes.Array[_Sets]]:
    header, sets = _Header(CAPABILITY_VERSION_3, 0), (_Sets * 2)()
    _check(_libc.capget(ctypes.byref(header), sets), "reading the capabilities")
    return header, sets


def become(uid: int, gid: int, program: str) -> None:
    """Change to the account for good, keeping only the capability to read and search any file.

    The wider CAP_DAC_OVERRIDE is kept where the program itself is closed to others (installed under a strict umask),
    or where the smaller one is not there (containers). OSError: not permitted.
    """
    header, sets = _capabilities()
    is_open = os.stat(program).st_mode & stat.S_IXOTH  # noqa: PTH116 - pathlib costs half of this program's start
    wanted = (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE) if is_open else (CAP_DAC_OVERRIDE,)
    kept = next((bit for bit in wanted if sets[0].permitted & (1 << bit)), None)
    if kept is None:
        raise PermissionError("root lacks the capability to read all files here (CAP_DAC_OVERRIDE)")
    bits = _prctl(PR_GET_SECUREBITS, 0, 0, "reading the secure bits")
    _prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP, 0, "setting the secure bits")
    os.setgroups([gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    for word in sets:
        word.effective = word.permitted = word.inheritable = 0
    sets[0].effective = sets[0].permitted = sets[0].inheritable = 1 << kept
    _check(_libc.capset(ctypes.byref(header), sets), "dropping the capabilities")
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept, "keeping the capability to read files")


def main(argv: list[str]) -> None:
    parent, signal_number, account, *program = argv
    if account != "-":
        uid, gid = account.split(":")
        become(int(uid), int(gid), program[0])
    _prctl(PR_SET_PDEATHSIG, int(signal_number), 0, "binding to the parent")  # last: changing the account resets it
    if os.getppid() != int(parent):
        sys.exit("the parent is gone")
    os.execv(program[0], program)  # noqa: S606 - there is no shell to want


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"cannot start {sys.argv[4] if len(sys.argv) > 4 else 'the program'}: {error}")
