"""A filter of system calls that closes what Landlock leaves open. Standard library only.

Sockets of any kind, io_uring, keys, namespaces; what changes a file without opening it for writing (mode, owner,
times, attributes, truncate), for Landlock looks at none of it and a play has the user of the executor; limits and
priorities of other processes. Signals are not among them: a filter cannot tell whose process a number is. Landlock
keeps them in from its version 6 on (Linux 6.12); before that a play can signal the processes of its user.
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
# The same on both machines: how a file is opened, and O_TRUNC.
_ACCESS, _TRUNCATE = 3, 0o1000
_IOCTL_TYPE, _IOCTL_TERMINAL = 0xFF00, ord("T") << 8


@dataclass(frozen=True)
class _Machine:
    audit: int
    clone: int
    socketpair: int
    ioctl: int
    # Number and which argument has the flags.
    opens: tuple[tuple[int, int], ...]
    denied: tuple[int, ...]
    # Allowed for the process itself only: the first argument is a process id, 0 the caller.
    own: tuple[int, ...]
    unpermitted: tuple[int, ...]
    ignored: tuple[int, ...]
    unsupported: tuple[int, ...]


_CLONE3, _OPENAT2 = 435, 437
# The same numbers everywhere: io_uring (3), pidfd_getfd, the new mount calls (6), landlock is not among them.
_SAME = (425, 426, 427, 438, 428, 429, 430, 431, 432, 433, 442)
_FCHMODAT2 = 452
# setxattrat removexattrat file_setattr
_SAME_UNSUPPORTED = (463, 466, 469)
_MACHINES = {
    # denied: socket connect ptrace process_vm_readv/writev keyctl add_key request_key bpf perf_event_open userfaultfd
    #   unshare setns mount umount2 pivot_root chroot open_by_handle_at kcmp bind listen
    # own: prlimit64 sched_setaffinity sched_setscheduler sched_setparam sched_setattr
    # unpermitted: truncate chown fchown lchown fchownat setpriority ioprio_set
    # ignored: chmod fchmod fchmodat utime utimes futimesat utimensat
    # unsupported: setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
    "x86_64": _Machine(
        audit=0xC000003E,
        clone=56,
        socketpair=53,
        ioctl=16,
        opens=((2, 1), (257, 2)),
        denied=(41, 42, 101, 310, 311, 250, 248, 249, 321, 298, 323, 272, 308, 165, 166, 155, 161, 304, 312, 49, 50),
        own=(302, 203, 144, 142, 314),
        unpermitted=(76, 92, 93, 94, 260, 141, 251),
        ignored=(90, 91, 268, 132, 235, 261, 280),
        unsupported=(188, 189, 190, 197, 198, 199),
    ),
    # Has neither chmod, chown, lchown, utime, utimes nor futimesat.
    "aarch64": _Machine(
        audit=0xC00000B7,
        clone=220,
        socketpair=199,
        ioctl=29,
        opens=((56, 2),),
        denied=(198, 203, 117, 270, 271, 219, 217, 218, 280, 241, 282, 97, 268, 40, 39, 41, 51, 265, 272, 200, 201),
        own=(261, 122, 119, 118, 274),
        unpermitted=(45, 55, 54, 140, 30),
        ignored=(52, 53, 88),
        unsupported=(5, 6, 7, 14, 15, 16),
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
    answers = dict.fromkeys((*machine.denied, *_SAME), errno.EACCES)
    answers |= dict.fromkeys(machine.unpermitted, errno.EPERM)
    # Success that changes nothing: libraries set modes and times of files that they have just made, which the umask
    # and the clock have done already.
    answers |= dict.fromkeys((*machine.ignored, _FCHMODAT2), 0)
    # What a file system without attributes says; who copies files goes on then.
    answers |= dict.fromkeys((*machine.unsupported, *_SAME_UNSUPPORTED), errno.EOPNOTSUPP)
    # Programs go on with clone and openat, whose flags can be looked at.
    answers |= dict.fromkeys((_CLONE3, _OPENAT2), errno.ENOSYS)
    for number, answer in answers.items():
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | answer)]
    for number in machine.own:
        lines += [
            (_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _argument(0)),
            (_EQUAL, 1, 0, 0),
            (_RETURN, 0, 0, _ERRNO | errno.EPERM),
            (_RETURN, 0, 0, _ALLOW),
        ]
    for number, flags in machine.opens:
        lines += [
            # Opened for reading and emptied, or for neither and emptied: Landlock knows of it from version 3 on.
            (_EQUAL, 0, 7, number),
            (_LOAD, 0, 0, _argument(flags)),
            (_AND, 0, 0, _ACCESS | _TRUNCATE),
            (_EQUAL, 2, 0, _TRUNCATE),
            (_AND, 0, 0, _ACCESS),
            (_EQUAL, 0, 1, _ACCESS),
            (_RETURN, 0, 0, deny),
            (_RETURN, 0, 0, _ALLOW),
        ]
    lines += [
        # Those of terminals and of any descriptor: file systems have some that change a file opened for reading.
        (_EQUAL, 0, 5, machine.ioctl),
        (_LOAD, 0, 0, _argument(1)),
        (_AND, 0, 0, _IOCTL_TYPE),
        (_EQUAL, 1, 0, _IOCTL_TERMINAL),
        (_RETURN, 0, 0, _ERRNO | errno.ENOTTY),
        (_RETURN, 0, 0, _ALLOW),
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
