"""How often and how soon something is tried again."""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A first try and up to `max_retries` more; the seed's rule (1, 2, 4 s, no jitter) is the default.

    `jitter` is the share of each delay that is drawn at random: 0.5 makes 1 s anything from 0.5 to 1 s.
    """

    max_retries: int = 3
    base_delay_s: float = 1.0
    factor: float = 2.0
    max_delay_s: float = 60.0
    jitter: float = 0.0

    def delays(self) -> Iterator[float]:
        """The waits in seconds before each retry, `max_retries` of them."""
        delay_s = self.base_delay_s
        for _ in range(self.max_retries):
            bounded = min(delay_s, self.max_delay_s)
            yield bounded * (1 - self.jitter * random.random())  # noqa: S311 - spreads load, guards nothing
            delay_s = min(delay_s * self.factor, self.max_delay_s)
