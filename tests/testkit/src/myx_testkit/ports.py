"""Free ports."""

import socket


def free_port() -> int:
    """A loopback TCP port that nobody listens on now."""
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
    return port
