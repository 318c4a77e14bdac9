"""A /dev/shm of the play's own, where the kernel lets us: what others keep there has names, and names can be guessed.

Standard library only.
"""

import ctypes
import os

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_PRIVATE_ALL = 1 << 18 | 1 << 14
_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
_PLACE = b"/dev/shm"


def make_private() -> bool:
    """Whether it was done; where it cannot be, nothing has changed. Takes root's rights, or a namespace of its own."""
    if not _possible():
        return False
    _make()
    return True


def _possible() -> bool:
    """A process that tries it first: there is no way back from half of it."""
    child = os.fork()
    if child == 0:
        try:
            _make()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _make() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_NEWNS if user == 0 else _NEWNS | _NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if user != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123
                file.write(text)
    # Nothing that is mounted in here is seen outside.
    if libc.mount(b"none", b"/", None, _PRIVATE_ALL, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    if libc.mount(b"tmpfs", _PLACE, b"tmpfs", _NOSUID_NODEV_NOEXEC, b"size=64m,mode=1777") != 0:
        raise OSError(ctypes.get_errno(), "mount")
