"""Failures of the disk, as answers."""

import contextlib
import errno
from collections.abc import Iterator
from typing import Any

from myx_agent.jsonrpc import RpcError

_FULL = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG])


@contextlib.contextmanager
def storing() -> Iterator[None]:
    """Turns an OSError into a retryable -32013, `DISK_FULL` where that is the reason."""
    try:
        yield
    except OSError as error:
        raise disk_error(error) from None


def disk_error(error: OSError, **data: Any) -> RpcError:
    if error.errno in _FULL:
        return RpcError(-32013, "the disk of the host is full", "DISK_FULL", retryable=True, **data)
    return RpcError(-32013, f"the host cannot store it: {error.strerror}", "STORAGE_FAILED", retryable=True, **data)
