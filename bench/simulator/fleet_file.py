"""Who the simulated agents are: a file that the simulator's processes and the registry's seeding share."""

import secrets
import socket
from itertools import islice
from pathlib import Path

import msgspec

from myx_kit.tls import make_agent_certificate

FIRST_PORT, LAST_PORT = 10_000, 32_767


class Identity(msgspec.Struct, frozen=True):
    """One simulated agent."""

    name: str
    address: str
    rpc_port: int
    rpc_path: str
    agent_token: str
    secret_key: str
    labels: dict[str, str]


class FleetFile(msgspec.Struct, frozen=True):
    """All of them. They share key material, made once; `wrong_*` is what they show when told to show another one."""

    certificate_pem: str
    private_key_pem: str
    certificate_sha256: str
    wrong_certificate_pem: str
    wrong_private_key_pem: str
    agents: list[Identity]

    def write(self, path: Path) -> None:
        """Store it (600)."""
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode(self))

    @classmethod
    def read(cls, path: Path) -> "FleetFile":
        """What `write` stored."""
        return msgspec.json.decode(path.read_bytes(), type=cls)


def make_fleet(count: int, first_port: int = FIRST_PORT) -> FleetFile:
    """`count` agents with an address (of 127.0.0.0/8), a port, a path and secrets each, and labels to select by."""
    certificate, key, digest = make_agent_certificate("localhost")
    wrong_certificate, wrong_key, _ = make_agent_certificate("localhost")
    ports = list(islice(filter(_is_free, range(first_port, LAST_PORT + 1)), count))
    if len(ports) < count:
        raise ValueError(f"there are {len(ports)} free ports only from {first_port} on")
    # Two fleets at a time do not meet.
    network = 1 + secrets.randbelow(240)
    agents = [
        Identity(
            name=f"sim-{number:05}",
            address=f"127.{network}.{number // 250}.{1 + number % 250}",
            rpc_port=ports[number],
            rpc_path=secrets.token_hex(12),
            agent_token=secrets.token_urlsafe(32),
            secret_key=secrets.token_urlsafe(32),
            labels={
                "env": ("prod", "staging", "test")[number % 3],
                "role": ("web", "api", "db", "cache")[number % 4],
                "rack": f"r{number // 40:03}",
            },
        )
        for number in range(count)
    ]
    return FleetFile(certificate, key, digest, wrong_certificate, wrong_key, agents)


def _is_free(port: int) -> bool:
    """Whether nobody else on this machine has the port, be it on all addresses."""
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
