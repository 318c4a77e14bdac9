"""A fork whose child is born in a cgroup: moving it there afterwards costs some 10 ms (the kernel waits for RCU)."""

import ctypes
import os
import signal
import struct

_SYS_CLONE3 = 435  # the same number on every architecture
_CLONE_INTO_CGROUP = 0x200000000

# PyDLL keeps the interpreter's lock through the call, as os.fork does.
_libc = ctypes.PyDLL(None, use_errno=True)


def fork_into(cgroup_fd: int) -> int:
    """As os.fork(), in the v2 cgroup whose folder is open at `cgroup_fd`. For a process with one thread.

    Raises OSError where the kernel (before 5.7), its filters or the hierarchy (v1) do not allow it.
    """
    # struct clone_args of linux/sched.h: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls,
    # set_tid, set_tid_size, cgroup
    arguments = struct.pack("=11Q", _CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, cgroup_fd)
    buffer = ctypes.create_string_buffer(arguments, len(arguments))
    pid: int = _libc.syscall(_SYS_CLONE3, buffer, len(arguments))
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid
