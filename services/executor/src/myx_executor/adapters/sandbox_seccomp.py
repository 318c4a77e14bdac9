"""A filter of system calls that closes what Landlock leaves open: sockets of any kind, io_uring, keys, namespaces.

Standard library only.
"""

import ctypes
import errno
import platform
import struct
from dataclasses import dataclass

_PR_SET_SECCOMP = 22
_MODE_FILTER = 2
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL = 0x80000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER_AT, _ARCH_AT = 0, 4
_NAMESPACES = 0x7E020000
_SOCK_STREAM = 1
_X32 = 0x40000000


@dataclass(frozen=True)
class _Machine:
    audit: int
    clone: int
    socketpair: int
    denied: tuple[int, ...]


_CLONE3 = 435
# The same numbers everywhere: io_uring (3), pidfd_getfd, the new mount calls (6), landlock is not among them.
_SAME = (425, 426, 427, 438, 428, 429, 430, 431, 432, 433, 442)
_MACHINES = {
    # socket connect ptrace process_vm_readv/writev keyctl add_key request_key bpf perf_event_open userfaultfd unshare
    # setns mount umount2 pivot_root chroot open_by_handle_at kcmp bind listen
    "x86_64": _Machine(
        0xC000003E,
        56,
        53,
        (41, 42, 101, 310, 311, 250, 248, 249, 321, 298, 323, 272, 308, 165, 166, 155, 161, 304, 312, 49, 50),
    ),
    "aarch64": _Machine(
        0xC00000B7,
        220,
        199,
        (198, 203, 117, 270, 271, 219, 217, 218, 280, 241, 282, 97, 268, 40, 39, 41, 51, 265, 272, 200, 201),
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def available() -> bool:
    """Whether this machine's system calls are known."""
    return platform.machine() in _MACHINES


def restrict() -> None:
    """For good, for this process and its children. Needs no_new_privs. OSError."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise OSError(errno.ENOSYS, f"no filter of system calls for {platform.machine()}")
    code = _code(machine)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p).value)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def _code(machine: _Machine) -> bytes:
    deny = _ERRNO | errno.EACCES
    lines = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, deny),
    ]
    for number in (*machine.denied, *_SAME):
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, deny)]
    # The C library goes on with clone, whose flags can be looked at.
    lines += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    lines += [
        (_EQUAL, 0, 4, machine.clone),
        (_LOAD, 0, 0, _argument(0)),
        (_ANY_BIT, 0, 1, _NAMESPACES),
        (_RETURN, 0, 0, deny),
        (_RETURN, 0, 0, _ALLOW),
        # Pairs of streams only: another kind could be sent to any address.
        (_EQUAL, 0, 4, machine.socketpair),
        (_LOAD, 0, 0, _argument(1)),
        (_AND, 0, 0, 0xF),
        (_EQUAL, 1, 0, _SOCK_STREAM),
        (_RETURN, 0, 0, deny),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def _argument(index: int) -> int:
    return 16 + 8 * index
