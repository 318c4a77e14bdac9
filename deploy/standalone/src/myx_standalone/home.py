"""MYX_HOME: the one folder of all state, owned by one user, used by one supervisor at a time."""

import contextlib
import fcntl
import json
import os
import pwd
import secrets
import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from myx_kit.files import read_private, write_private
from myx_kit.secretbox import SecretBox
from myx_kit.tls import ensure_tls
from myx_standalone.errors import StandaloneError
from myx_standalone.files import private_folder, secret_in

NAMES = ("registry", "heartbeat", "executor", "gateway", "standalone", "nats")
INTERNAL_PORTS = ("postgres", "nats", "registry", "heartbeat", "executor")
PORT_TRIES = 200
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Home:
    """Where each file of a standalone MyX is. `path` is absolute and free of links."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.tls = self.path / "tls"
        self.secrets = self.path / "secrets"
        self.logs = self.path / "logs"
        self.agent = self.path / "agent"
        self.postgres = self.path / "postgres"
        self.nats = self.path / "nats"
        self.admin_token_file = self.secrets / "admin.token"
        self.agent_config = self.agent / "config.json"
        self.server_id_file = self.agent / "server.id"
        self.standalone_file = self.path / "standalone.json"
        self.ports_file = self.path / "ports.json"

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
        if self.path.exists():
            self._refuse_of_another()
        if not self.path.exists() and not os.access(_existing(self.path), os.W_OK | os.X_OK):
            raise StandaloneError(f"{self.path} cannot be made here (not writable): name another folder with MYX_HOME")
        for folder in (self.path, self.tls, self.secrets, self.logs, self.agent, self.postgres, self.nats):
            private_folder(folder)
        probe = self.path / f".writable.{os.getpid()}"
        try:
            probe.touch(0o600)
            probe.unlink()
        except OSError as error:
            raise StandaloneError(
                f"{self.path} is not writable ({error.strerror}): name another folder with MYX_HOME"
            ) from error

    def _refuse_of_another(self) -> None:
        owner = self.path.stat().st_uid
        if not self.path.is_dir():
            raise StandaloneError(f"{self.path} is not a folder: name another one with MYX_HOME")
        if owner != os.geteuid():
            raise StandaloneError(
                f"{self.path} belongs to {_user_name(owner)}, and this is {_user_name(os.geteuid())}: "
                "run MyX as that user, or name another folder with MYX_HOME"
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process alone; the kernel lets go of it however the process ends."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = lock.read().strip() or "unknown"
                where = f"MyX runs on {self.path} already (process {holder})"
                raise StandaloneError(f"{where}: stop that one, or name another folder with MYX_HOME") from None
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            yield

    def make_secrets(self) -> None:
        """Certificates, master keys and the admin's token, as far as they are missing or about to expire."""
        ensure_tls(self.tls, NAMES)
        for service in ("registry", "executor"):
            SecretBox.create_file(self.master_key_file(service))
        secret_in(self.admin_token_file)

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
            if not isinstance(port, int) or port in ports.values() or not _is_free(port):
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


def _existing(path: Path) -> Path:
    return next(folder for folder in path.parents if folder.exists())


def _user_name(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user {uid}"


def _is_free(port: int) -> bool:
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
        if port not in taken and _is_free(port):
            return port
    raise StandaloneError("no free port was found on 127.0.0.1")
