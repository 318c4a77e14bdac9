"""The configuration file: four keys that must be there, and optional ones with their defaults (DESIGN.md section 2)."""

import re
import stat
from pathlib import Path
from typing import Any

import msgspec

DEFAULT_PATH = Path("/etc/myx-agent/config.json")
MIB = 1 << 20
GIB = 1 << 30


class ConfigError(Exception):
    """One line for the operator; it names the key and never shows a value."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The agent's configuration. Byte and second counts are whole or fractional numbers in the unit of the name."""

    agent_token: str
    """Secret of every request (header X-Agent-Token). At least 16 characters."""
    secret_key: str
    """Key of request signatures. At least 16 characters."""
    rpc_port: int
    """TCP port, 1 to 65535."""
    rpc_path: str
    """First part of every URL, 12 to 64 of [A-Za-z0-9]."""

    bind_address: str = ""
    """Address to listen on; empty: all, IPv4 and IPv6."""
    certificate_path: str = "/etc/myx-agent/ssl/agent.crt"
    """PEM certificate (chain). Made, self-signed, when neither it nor the key exists."""
    key_path: str = "/etc/myx-agent/ssl/agent.key"
    """PEM private key."""
    spool_dir: str = "/var/lib/myx-agent/spool"
    """Folder of running and recent commands; made with mode 700."""
    max_body_bytes: int = 8 * MIB
    """A larger request is answered 413."""
    max_batch: int = 100
    """A JSON-RPC batch with more calls is an invalid request."""
    require_signature: bool = False
    """Refuse requests without X-Agent-Signature."""
    signature_tolerance_s: float = 300
    """How far a signature's time may be off."""
    refusal_delay_s: float = 3
    """The longest that the refusal of an address that keeps failing is held back; 0: not at all."""
    command_log_bytes: int = GIB
    """Output kept of one command; the rest is dropped and said to be."""
    total_log_bytes: int = 4 * GIB
    """Output kept of all commands together; the oldest finished ones give way."""
    min_free_bytes: int = 256 * MIB
    """No output is kept when the disk has less left."""
    max_finished: int = 5000
    """Finished commands that are kept until released."""
    max_age_s: float = 7 * 86400
    """How long a finished command is kept until released."""
    max_running: int = 1000
    """Commands that may run at a time."""
    use_cgroups: bool = True
    """Give each command a cgroup where that is possible."""
    log_level: str = "info"
    """debug, info, warning or error."""


_POSITIVE = (
    "max_body_bytes",
    "max_batch",
    "signature_tolerance_s",
    "command_log_bytes",
    "total_log_bytes",
    "max_finished",
    "max_age_s",
    "max_running",
)
_REQUIRED = ("agent_token", "secret_key", "rpc_port", "rpc_path")


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError."""
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path}: others can read or change it (mode {mode & 0o777:o}); it must be 600")
    return parse(text, str(path))


def parse(text: bytes, source: str) -> Config:
    """Check a configuration document. Raises ConfigError."""
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigError(f"{source}: not valid JSON") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{source}: not a JSON object")
    for key in _REQUIRED:
        if key not in document:
            raise ConfigError(f"{source}: {key} is missing")
        if document[key] in ("", None):
            raise ConfigError(f"{source}: {key} is empty")
    try:
        config = msgspec.convert(document, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_name_key(str(error), document)}") from None
    _check(config, source)
    return config


def _check(config: Config, source: str) -> None:
    def need(ok: bool, key: str, rule: str) -> None:
        if not ok:
            raise ConfigError(f"{source}: {key} {rule}")

    for key in ("agent_token", "secret_key"):
        value = getattr(config, key)
        need(
            len(value) >= 16 and value.isascii() and value.isprintable() and " " not in value,
            key,
            "is malformed: it takes at least 16 printable ASCII characters without blanks",
        )
    need(1 <= config.rpc_port <= 65535, "rpc_port", "must be 1 to 65535")
    need(
        re.fullmatch(r"[A-Za-z0-9]{12,64}", config.rpc_path) is not None,
        "rpc_path",
        "must be 12 to 64 letters and digits",
    )
    for key in ("certificate_path", "key_path", "spool_dir"):
        need(getattr(config, key).startswith("/"), key, "must be an absolute path")
    for key in _POSITIVE:
        need(getattr(config, key) > 0, key, "must be positive")
    for key in ("min_free_bytes", "refusal_delay_s"):
        need(getattr(config, key) >= 0, key, "must not be negative")
    need(
        config.log_level in {"debug", "info", "warning", "error"}, "log_level", "must be debug, info, warning or error"
    )


def _name_key(message: str, document: dict[str, Any]) -> str:
    """Say which key is wrong; msgspec says it as a path, or names an unknown one."""
    match = re.search(r"\$\.(\w+)", message)
    if match and match[1] in document:
        expected = re.match(r"Expected `([^`]+)`", message)
        return f"{match[1]} must be of type {expected[1]}" if expected else f"{match[1]} is malformed"
    match = re.search(r"unknown field `(\w+)`", message)
    return f"{match[1]} is not a known key" if match else "malformed"
