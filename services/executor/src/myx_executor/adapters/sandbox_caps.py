"""Capabilities of root, given up for good. Standard library only."""

import ctypes
import os

_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_SET_SECUREBITS = 24, 47, 28
_AMBIENT_CLEAR_ALL = 4
_VERSION_3 = 0x20080522
# Root gets none back when it starts a program, and nobody changes that.
_NOROOT_LOCKED = 0b11
_SETPCAP = 8


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def drop() -> None:
    """Leaves none in any set, whoever this process is. OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if _held() & 1 << _SETPCAP:
        libc.prctl(_PR_SET_SECUREBITS, _NOROOT_LOCKED, 0, 0, 0)
        for capability in range(64):
            if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                break
    libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    if libc.capset(ctypes.byref(header), data) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    if _held():
        raise OSError(1, "capabilities are left")


def _held() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = _Header(_VERSION_3, os.getpid()), (_Data * 2)()
    if libc.capget(ctypes.byref(header), data) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    return int(data[0].permitted) | int(data[1].permitted) << 32
