"""MYX_HOME: the one folder of all state, owned by one user, used by one supervisor at a time."""

import contextlib
import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import IO

from myx_kit.files import read_private, write_private
from myx_kit.secretbox import SecretBox
from myx_kit.tls import ensure_tls
from myx_standalone import place
from myx_standalone.errors import StandaloneError
from myx_standalone.files import private_folder, secret_in

NAMES = ("registry", "heartbeat", "executor", "gateway", "standalone", "nats")
INTERNAL_PORTS = ("postgres", "nats", "registry", "heartbeat", "executor", "access", "nats_health")
PORT_TRIES = 200
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Home:
    """Where each file of a standalone MyX is. `path` is absolute and free of links."""

    def __init__(self, path: Path) -> None:
        self.path = place.resolved(path)
        self.tls = self.path / "tls"
        self.secrets = self.path / "secrets"
        self.logs = self.path / "logs"
        self.agent = self.path / "agent"
        self.postgres = self.path / "postgres"
        self.nats = self.path / "nats"
        self.work = self.path / "work"
        self.pythons = self.path / "pythons"
        self.admin_token_file = self.secrets / "admin.token"
        self.admin_password_file = self.path / "admin-password"
        self.agent_config = self.agent / "config.json"
        self.server_id_file = self.agent / "server.id"
        self.standalone_file = self.path / "standalone.json"
        self.ports_file = self.path / "ports.json"
        self.lock_file = self.path / "lock"

    def master_key_file(self, service: str) -> Path:
        """The keys that seal a service's secrets in its tables."""
        return self.secrets / f"{service}.keys"

    def database_url_file(self, service: str) -> Path:
        """How a service logs in to PostgreSQL."""
        return self.secrets / f"{service}.database-url"

    def database_password(self, service: str) -> str:
        """The password of a service's role, made at first use."""
        return secret_in(self.secrets / f"{service}.database-password")

    def prepare(self) -> None:
        """Make or repair the folders (mode 700). StandaloneError: not ours, or not writable."""
        place.claim(self.path)
        folders = (self.tls, self.secrets, self.logs, self.agent, self.postgres, self.nats, self.work, self.pythons)
        for folder in folders:
            private_folder(folder)

    def refuse_if_in_use(self) -> None:
        """StandaloneError: another process runs on this folder. Changes nothing."""
        with contextlib.suppress(OSError), self.lock_file.open() as lock:
            _lock(lock, self.path)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process alone; the kernel lets go of it however the process ends."""
        with place.sentences(self.path):
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+") as lock:
            _lock(lock, self.path)
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            yield

    def make_secrets(self) -> None:
        """Certificates, master keys, token and first password of the admin, as far as missing or about to expire."""
        ensure_tls(self.tls, NAMES)
        for service in ("registry", "executor"):
            SecretBox.create_file(self.master_key_file(service))
        secret_in(self.admin_token_file)
        secret_in(self.admin_password_file)

    @property
    def token(self) -> str:
        """The admin's API token."""
        return read_private(self.admin_token_file)

    def pick_ports(self) -> dict[str, int]:
        """Loopback ports of the internal servers: the ones of last time where they are still free.

        They lie outside the range from which the kernel takes ports for outgoing connections, so that a server that is
        restarted finds its port free.
        """
        try:
            kept = json.loads(self.ports_file.read_text())
        except (OSError, ValueError):
            kept = {}
        ports: dict[str, int] = {}
        for name in INTERNAL_PORTS:
            port = kept.get(name) if isinstance(kept, dict) else None
            if not isinstance(port, int) or port in ports.values() or not is_free(port):
                port = _free_port(set(ports.values()))
            ports[name] = port
        if ports != kept:
            write_private(self.ports_file, json.dumps(ports) + "\n")
        return ports

    def announce(self, url: str) -> None:
        """Say where MyX answers, for the `myx` command; only this user can read it."""
        facts = {"url": url, "token": self.token, "version": version("myx-standalone"), "pid": os.getpid()}
        write_private(self.standalone_file, json.dumps(facts) + "\n")

    def withdraw(self) -> None:
        """Take back what `announce` said."""
        self.standalone_file.unlink(missing_ok=True)


def _lock(lock: IO[str], path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = lock.read().strip() or "unknown"
        where = f"MyX runs on {path} already (process {holder})"
        raise StandaloneError(f"{where}: stop that one, or {place.ANOTHER}") from None


def is_free(port: int) -> bool:
    """Whether a server of this machine could listen there on loopback now."""
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection in TIME_WAIT is no listener
        try:
            candidate.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
        return True


def _free_port(taken: set[int]) -> int:
    try:
        lowest_ephemeral = int(EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        lowest_ephemeral = 32768
    low, high = (10240, lowest_ephemeral) if lowest_ephemeral > 12000 else (10240, 65536)
    for _ in range(PORT_TRIES):
        port = low + secrets.randbelow(high - low)
        if port not in taken and is_free(port):
            return port
    raise StandaloneError("no free port was found on 127.0.0.1")
