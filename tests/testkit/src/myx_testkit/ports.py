"""Free ports."""

import os
import random
import socket
from contextlib import suppress

# Below Linux's ephemeral ports (32768 on): no connection that somebody opens meanwhile takes one of these.
_RANGE = range(10_240, 32_700)
_TRIES = 100
_given: set[int] = set()


def free_port() -> int:
    """A loopback TCP port that nobody listens on now; none that was given before, here or by another test process."""
    ports = _ports_of_this_process()
    for _ in range(_TRIES):
        port = random.choice(ports)
        with suppress(OSError), socket.socket() as candidate:
            candidate.bind(("127.0.0.1", port))
            if port not in _given or len(_given) > len(ports) // 2:
                _given.add(port)
                return port
    raise AssertionError(f"no free port in {_TRIES} tries")


def _ports_of_this_process() -> range:
    """Whoever is given a port binds it later: each of the processes that test side by side has ports of its own."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    step = max(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), number + 1)
    return _RANGE[number::step]
