"""Free ports."""

import random
import socket
from contextlib import suppress

# Below Linux's ephemeral ports (32768 on): no connection that somebody opens meanwhile takes one of these.
_RANGE = range(10_240, 32_700)
_TRIES = 100


def free_port() -> int:
    """A loopback TCP port that nobody listens on now, hardly one that another test process is given as well."""
    for _ in range(_TRIES):
        port = random.choice(_RANGE)
        with suppress(OSError), socket.socket() as candidate:
            candidate.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no free port in {_TRIES} tries")
