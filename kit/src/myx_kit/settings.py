"""Settings from the environment: one frozen class per service, a clear line for each variable that is wrong."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from myx_kit import logging
from myx_kit.files import read_private


def _host_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 1 << 16):
        raise ValueError("must be host:port")
    return text


def _host_port_or_empty(text: str) -> str:
    return _host_port(text) if text else text


HostPort = Annotated[str, AfterValidator(_host_port)]
OptionalHostPort = Annotated[str, AfterValidator(_host_port_or_empty)]


class Settings(BaseSettings):
    """What every service has. A service subclasses the mixins it needs and sets
    `model_config = SettingsConfigDict(env_prefix="MYX_<NAME>_")`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    # host:port of /metrics, /livez and /readyz (plain HTTP, for probes and Prometheus); empty: none.
    http_listen: OptionalHostPort = ""
    # http(s)://host:port of an OpenTelemetry collector (OTLP over HTTP) that gets our spans; empty: none are recorded.
    otlp_endpoint: str = Field(default="", pattern=r"^(https?://[^\s@?#]+)?$")
    # Share of the traces that begin here which are recorded; those that begin elsewhere say it themselves.
    otlp_share: float = Field(default=1.0, ge=0, le=1)

    @classmethod
    def load(cls, part_of: "type[Settings] | None" = None) -> Self:
        """The settings of this process; one line on stderr for each bad or unknown variable, then exit code 2.

        `part_of`: all settings of the service, where this class has those of one verb; the others are no strangers.
        """
        prefix = cls.model_config.get("env_prefix", "")
        known = {f"{prefix}{name}".upper() for name in (part_of or cls).model_fields}
        lines = [f"{name}: no such setting" for name in sorted(os.environ) if _is_stray(name, prefix, known)]
        settings: Self | None = None
        try:
            settings = cls()
        except ValidationError as error:
            for problem in error.errors(include_input=False, include_url=False):
                name = "_".join(str(part) for part in problem["loc"])
                lines.append(f"{prefix}{name}".upper() + f": {_sentence(problem['msg'])}")
        if settings is None or lines:
            sys.stderr.write("".join(f"{line}\n" for line in lines))
            raise SystemExit(2)
        return settings

    @classmethod
    def begin(cls, name: str, part_of: "type[Settings] | None" = None) -> Self:
        """`load`, and the log of this process, which is called `name`, as the settings say."""
        settings = cls.load(part_of)
        logging.configure(name, settings.log_level, settings.log_format)
        return settings


# The names in certificates of our own programs.
SERVICE_NAMES = frozenset({"registry", "heartbeat", "executor", "gateway", "standalone"})
_CLIENT = re.compile(r"[a-z][a-z0-9.-]{0,62}=(read|run)")


def _clients(text: str) -> str:
    for entry in text.split():
        if not _CLIENT.fullmatch(entry):
            raise ValueError("must be name=read or name=run, with spaces between them")
        if entry.partition("=")[0] in SERVICE_NAMES:
            raise ValueError("names a service of MyX")
    return text


class RpcServerSettings(Settings):
    """A service that serves gRPC."""

    # host:port of the gRPC server; port 0 takes a free one.
    listen: HostPort = "127.0.0.1:0"
    # Folder with ca.crt, <name>.crt and <name>.key of this service.
    tls_dir: Path
    # Seconds that open calls get to end after SIGTERM; below Kubernetes' grace period of 30 s with room for the rest.
    drain_s: float = Field(default=8, gt=0, le=300)
    # Other teams' programs that may call, by the name in their certificate, and how far each: "reports=read ci=run".
    # They see and reach every server: there are no labels here (docs/grpc.md).
    rpc_clients: Annotated[str, AfterValidator(_clients)] = ""

    def clients(self) -> dict[str, str]:
        """Name to "read" or "run"."""
        return dict(entry.split("=") for entry in self.rpc_clients.split())


class DatabaseSettings(Settings):
    """A service with its own PostgreSQL schema."""

    # A file of mode 600 that holds a postgresql:// URL: an address in the environment would show up in process lists.
    database_url_file: Path
    # Connections this process may hold; PostgreSQL's default limit is 100 for all.
    pool_size: int = Field(default=8, ge=1, le=100)

    def database_url(self) -> str:
        """The URL in `database_url_file`; FailedPrecondition when the file is missing or others can read it."""
        return read_private(self.database_url_file)


class MasterKeySettings(Settings):
    """What is needed to change the master key file of a service that seals what is secret."""

    # JSON file of mode 600 (SecretBox.from_file).
    master_key_file: Path


class NatsSettings(Settings):
    """A service that speaks NATS; it proves itself with the certificate in `tls_dir`."""

    nats_url: str = Field(default="tls://127.0.0.1:4222", pattern=r"^tls://\S+$")


def _is_stray(name: str, prefix: str, known: set[str]) -> bool:
    return bool(prefix) and name.upper().startswith(prefix.upper()) and name.upper() not in known


def _sentence(message: str) -> str:
    return "is required" if message == "Field required" else message.removeprefix("Value error, ").lower()
