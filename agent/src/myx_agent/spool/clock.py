"""Times as the protocol writes them."""

import time


def rfc3339(unix_s: float) -> str | None:
    """UTC with microseconds; None of 0, which stands for not known."""
    if not unix_s:
        return None
    micros = round(unix_s * 1_000_000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(micros // 1_000_000))
    return f"{whole}.{micros % 1_000_000:06d}Z"
