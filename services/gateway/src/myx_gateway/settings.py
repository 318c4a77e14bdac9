"""Settings of the gateway."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from myx_kit.settings import HostPort, Settings


class GatewaySettings(Settings):
    """Variables `MYX_GATEWAY_*`.

    There is no database yet: the one API token comes from a file, and everything else belongs to the services behind,
    so that any number of replicas can stand side by side. Users, sessions and the audit trail will bring the schema.
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
    # File of mode 600 with the admin's bearer token, 16 characters or more.
    admin_token_file: Path
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
    max_streams: int = Field(default=1000, ge=1, le=100_000)
    # Seconds in which a client may take nothing of what waits for it before its stream is closed; below the 120 s after
    # which the kernel drops the connection without a word.
    stream_stall_s: float = Field(default=60, gt=0, le=100)
    # Seconds without output after which a stream says that it is alive.
    stream_ping_s: float = Field(default=15, gt=0, le=300)
    # Seconds for which a stream's source may be away (an executor restarts) before the client is told.
    stream_heal_s: float = Field(default=30, ge=0, le=600)
