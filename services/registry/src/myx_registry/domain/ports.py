"""Ports that an agent may be given."""

import random
from collections.abc import Collection
from typing import Final

# The seed's 8000-65535 without Linux's ephemeral ports (32768-60999): an outgoing connection could hold one of those.
RANGES: Final = (range(8000, 32768), range(61000, 65536))

# What commonly listens there on servers: alternative HTTP(S), proxies, databases, brokers, caches, monitoring, cluster
# components, games, and the ports of MyX itself.
WELL_KNOWN: Final = frozenset(
    {8000, 8001, 8006, 8008, 8009, 8010, 8020, 8042, 8053, 8080, 8081, 8082, 8083, 8084, 8085, 8086, 8087, 8088, 8089}
    | {8090, 8091, 8092, 8096, 8118, 8123, 8125, 8126, 8140, 8161, 8172, 8181, 8200, 8222, 8291, 8300, 8301, 8302}
    | {8332, 8333, 8384, 8388, 8443, 8444, 8470, 8472, 8500, 8501, 8529, 8530, 8600, 8765, 8834, 8843, 8880, 8883, 8888}
    | {8983, 9000, 9001, 9002, 9003, 9010, 9042, 9050, 9051, 9060, 9080, 9090, 9091, 9092, 9093, 9094, 9095, 9100, 9104}
    | {9113, 9115, 9116, 9117, 9121, 9150, 9160, 9187, 9200, 9256, 9300, 9392, 9411, 9418, 9443, 9600, 9876, 9898, 9987}
    | {9993, 9999, 10000, 10050, 10051, 10086, 10443, 10808, 10809, 11210, 11211, 11300, 11371, 11434, 12345, 13306}
    | {14268, 15000, 15001, 15432, 15672, 15692, 16379, 16443, 16686, 17500, 18080, 18443, 19132, 19999, 20000, 20880}
    | {21025, 22000, 24007, 24224, 25565, 25672, 25826, 26257, 26379, 27015, 27017, 27018, 27019, 28015, 28017, 30303}
    | {31337, 32400, 61208, 61613, 61614, 61616, 64738}
    | set(range(10248, 10260))
)


def is_allowed(port: int) -> bool:
    """Whether an agent may be given this port."""
    return any(port in ports for ports in RANGES) and port not in WELL_KNOWN


ALLOWED: Final = tuple(port for ports in RANGES for port in ports if is_allowed(port))


def candidates(count: int, taken: Collection[int] = ()) -> list[int]:
    """Up to `count` different allowed ports that are not taken, in random order; empty when none is free."""
    free = ALLOWED if not taken else [port for port in ALLOWED if port not in taken]
    return random.SystemRandom().sample(free, min(count, len(free)))
