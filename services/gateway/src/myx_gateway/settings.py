"""Settings of the gateway."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from myx_kit.settings import DatabaseSettings, HostPort, NatsSettings

_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?")


def _networks(text: str) -> str:
    try:
        parse_networks(text)
    except ValueError:
        raise ValueError("must be networks like 10.0.0.0/8, with commas between them") from None
    return text


def parse_networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """The networks in "10.0.0.0/8, ::1"; ValueError when one is none."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _names(text: str) -> str:
    if not all(_NAME.fullmatch(name) for name in parse_names(text)):
        raise ValueError("must be names like myx.example.com, without ports and with commas between them")
    return text


def parse_names(text: str) -> tuple[str, ...]:
    """The names in "myx, myx.example.com", in lower case."""
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())


def _origin(text: str) -> str:
    url = urlsplit(text)
    if text and (url.scheme not in {"http", "https"} or not url.hostname or url.path not in {"", "/"} or url.query):
        raise ValueError("must be https://host or http://host, perhaps with a port, and no path")
    return text.rstrip("/").lower()


class GatewaySettings(DatabaseSettings, NatsSettings):
    """Variables `MYX_GATEWAY_*`.

    Users, sessions, API tokens and the audit trail are in the schema `gateway`; all else belongs to the services
    behind. Any number of replicas can stand side by side.
    """

    model_config = SettingsConfigDict(env_prefix="MYX_GATEWAY_")

    # host:port of the public HTTP door; port 0 takes a free one.
    listen: HostPort = "127.0.0.1:8470"
    # Number of an inherited listening socket, used instead of `listen`: its holder keeps the port across restarts.
    listen_fd: int | None = Field(default=None, ge=3)
    # host:port at which other services ask what somebody may do (gRPC, mutual TLS); port 0 takes a free one.
    rpc_listen: HostPort = "127.0.0.1:0"
    # Folder with ca.crt, gateway.crt and gateway.key, for the calls to the other services and from them.
    tls_dir: Path
    # host:port of the services' gRPC.
    registry_target: str = Field(min_length=1)
    heartbeat_target: str = Field(min_length=1)
    executor_target: str = Field(min_length=1)
    # File of mode 600 with the bearer token of the installation, 16 characters or more: it may do everything, and works
    # while the database is away.
    admin_token_file: Path
    # File of mode 600 with the password of the user `admin`, who is made with it when there is no user at all.
    first_admin_password_file: Path | None = None
    # Where people reach this door, for example https://myx.example.com. With https, cookies are sent over TLS only; and
    # only pages from there may use a session. Empty: the address that a request names.
    public_url: Annotated[str, AfterValidator(_origin)] = ""
    # Without `public_url` and TLS at the door: the names, with commas between them, under which browsers may come
    # besides `localhost` and addresses like 10.0.0.5. Programs with a token may come under any.
    host_names: Annotated[str, AfterValidator(_names)] = ""
    # Networks of the proxies in front, with commas between them; only what these say in X-Forwarded-For is believed.
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = ""
    # PEM files of a certificate chain and its key (mode 600), to speak TLS at the door; read again when they change.
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    # Seconds after which a browser session ends that nothing was asked with, and that it lasts at most.
    session_idle_s: float = Field(default=12 * 3600, ge=1, le=365 * 86_400)
    session_max_s: float = Field(default=7 * 86_400, ge=1, le=365 * 86_400)
    # Seconds that open requests and streams get to end after SIGTERM.
    drain_s: float = Field(default=6, gt=0, le=300)
    # Largest request body in bytes; standard input of a command travels inside as base64.
    body_limit_bytes: int = Field(default=4 << 20, ge=1024, le=14 << 20)
    # Largest project and largest artifact in bytes; they pass through without being held.
    project_limit_bytes: int = Field(default=20 << 20, ge=1024, le=1 << 30)
    artifact_limit_bytes: int = Field(default=512 << 20, ge=1024, le=8 << 30)
    # Seconds to send a request's body; of a project or an artifact, seconds in which nothing of it arrives.
    body_timeout_s: float = Field(default=30, gt=0, le=600)
    # Open log streams, downloads and uploads of this process; one costs a socket, a gRPC stream and up to about 1 MB
    # when slow.
    max_streams: int = Field(default=2000, ge=1, le=100_000)
    # Of these, those of one user, or of the token of the installation: nobody takes all of them from the others.
    max_streams_per_principal: int = Field(default=200, ge=1, le=100_000)
    # Seconds in which a client may take nothing of what waits for it before its stream is closed; below the 120 s after
    # which the kernel drops the connection without a word.
    stream_stall_s: float = Field(default=60, gt=0, le=100)
    # Seconds without output after which a stream says that it is alive.
    stream_ping_s: float = Field(default=15, gt=0, le=300)
    # Seconds after which a stream asks again whether its client still has the right to it; with the 5 s that a
    # revocation may take, 15 by default.
    stream_recheck_s: float = Field(default=9, gt=0, le=300)
    # Seconds for which a stream's source may be away (an executor restarts) before the client is told.
    stream_heal_s: float = Field(default=30, ge=0, le=600)
    # Seconds after which a gateway that says nothing counts as dead; what it was about is then `unknown` in the audit
    # trail.
    audit_lease_s: float = Field(default=20, ge=2, le=300)
    # Days for which audit entries are kept; 0: for ever. What is dropped is sealed first (docs/audit.md).
    audit_keep_days: float = Field(default=0, ge=0, le=36_500)
    # Events of the fleet that are kept here for clients that come back; one costs about 1 KB.
    events_kept: int = Field(default=10_000, ge=100, le=1_000_000)

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("TLS_CERT_FILE and TLS_KEY_FILE go together")
        return self

    @property
    def secure(self) -> bool:
        """Whether people reach this door over TLS."""
        return self.tls_cert_file is not None or self.public_url.startswith("https://")
