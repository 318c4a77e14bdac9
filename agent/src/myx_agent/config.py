"""The configuration file: four keys that must be there, and optional ones with their defaults (DESIGN.md section 2)."""

import os
import re
import stat
from pathlib import Path
from typing import Any

import msgspec

from myx_agent.spool import layout

DEFAULT_PATH = Path("/etc/myx-agent/config.json")
DEFAULT_PAIR = ("/etc/myx-agent/ssl/agent.crt", "/etc/myx-agent/ssl/agent.key")
MIB = 1 << 20
GIB = 1 << 30


class ConfigError(Exception):
    """One line for the operator; it names the key and never shows a value."""


class Previous(msgspec.Struct, frozen=True, kw_only=True):
    """What a rotation that is not finished replaced: token and key are taken too, the paths are gone back to."""

    agent_token: str
    secret_key: str
    certificate_path: str
    key_path: str


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
    certificate_path: str = DEFAULT_PAIR[0]
    """PEM certificate (chain). Made, self-signed, when neither it nor the key exists."""
    key_path: str = DEFAULT_PAIR[1]
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
    deployment_tool_dir: str = "/opt/myx-deployment-tool"
    """Root `deployment-tool` of put_file: the deployment tool `myx` and pushed projects, each with its releases."""
    staging_dir: str = "/var/lib/myx-agent/staging"
    """Root `agent-staging` of put_file; what lies there for a week is removed."""
    files_dir: str = "/var/lib/myx-agent/files"
    """Root `files` of put_file."""
    ansible_dir: str = "/opt/myx-agent/ansible"
    """Where Ansible's own virtual environment is, as `current`."""
    releases_dir: str = "/opt/myx-agent/releases"
    """The agent's releases."""
    upgrade_dir: str = "/var/lib/myx-agent/upgrade"
    """State files of upgrades."""
    upgrade_guard_path: str = ""
    """The program that confirms an upgrade; empty: `../bin/upgrade-guard` beside `releases_dir`."""
    max_uploads: int = 16
    """Unfinished uploads at a time."""
    max_upload_bytes: int = 4 * GIB
    """A larger file is refused."""
    upload_age_s: float = 86400
    """An unfinished upload that nobody went on with for so long is removed."""
    max_extracted_bytes: int = 2 * GIB
    """An archive that holds more is refused."""
    max_extracted_files: int = 50_000
    """An archive of more members is refused."""
    rotation_id: str = ""
    """The last rotation of credentials; written by the agent."""
    previous: Previous | None = None
    """The credentials before it, until the rotation is finished; written by the agent."""
    ignorable: tuple[str, ...] = ()
    """Keys that an agent which does not know them may skip: those that releases after this one brought."""
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
    "max_uploads",
    "max_upload_bytes",
    "upload_age_s",
    "max_extracted_bytes",
    "max_extracted_files",
)
_PATHS = (
    "certificate_path",
    "key_path",
    "spool_dir",
    "deployment_tool_dir",
    "staging_dir",
    "files_dir",
    "ansible_dir",
    "releases_dir",
    "upgrade_dir",
)
SECRET_RULE = "at least 16 printable ASCII characters without blanks"  # noqa: S105
_REQUIRED = ("agent_token", "secret_key", "rpc_port", "rpc_path")


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError."""
    return check(read(path), str(path))


def read(path: Path) -> dict[str, Any]:
    """The document in a configuration file, unchecked. Raises ConfigError."""
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path}: others can read or change it (mode {mode & 0o777:o}); it must be 600")
    return _decode(text, str(path))


def write(path: Path, document: dict[str, Any]) -> Config:
    """Replace a configuration file, atomically and durably, by a checked document. Raises ConfigError, OSError."""
    checked = check(document, str(path))
    text = msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
    write_private(path, text)
    return checked


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file, atomically and durably. Raises OSError."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    layout.fsync_path(str(path.parent))


def parse(text: bytes, source: str) -> Config:
    """Check a configuration text. Raises ConfigError."""
    return check(_decode(text, source), source)


def _decode(text: bytes, source: str) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigError(f"{source}: not valid JSON") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{source}: not a JSON object")
    return document


def check(document: dict[str, Any], source: str) -> Config:
    """The configuration in a document, all but `ignorable` keys known. Raises ConfigError."""
    for key in _REQUIRED:
        if key not in document:
            raise ConfigError(f"{source}: {key} is missing")
        if document[key] in ("", None):
            raise ConfigError(f"{source}: {key} is empty")
    skipped = document.get("ignorable")
    unknown = set(skipped if isinstance(skipped, list) else ()) - set(Config.__struct_fields__)
    try:
        config = msgspec.convert({key: value for key, value in document.items() if key not in unknown}, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_name_key(str(error), document)}") from None
    _check(config, source)
    return config


def _check(config: Config, source: str) -> None:
    def need(ok: bool, key: str, rule: str) -> None:
        if not ok:
            raise ConfigError(f"{source}: {key} {rule}")

    for key in ("agent_token", "secret_key"):
        need(is_secret(getattr(config, key)), key, f"is malformed: it takes {SECRET_RULE}")
        if config.previous is not None:
            need(is_secret(getattr(config.previous, key)), "previous", "is malformed")
    need(1 <= config.rpc_port <= 65535, "rpc_port", "must be 1 to 65535")
    need(
        re.fullmatch(r"[A-Za-z0-9]{12,64}", config.rpc_path) is not None,
        "rpc_path",
        "must be 12 to 64 letters and digits",
    )
    for key in _PATHS:
        need(getattr(config, key).startswith("/"), key, "must be an absolute path")
    need(config.upgrade_guard_path[:1] in {"", "/"}, "upgrade_guard_path", "must be an absolute path")
    for key in _POSITIVE:
        need(getattr(config, key) > 0, key, "must be positive")
    for key in ("min_free_bytes", "refusal_delay_s"):
        need(getattr(config, key) >= 0, key, "must not be negative")
    need(
        config.log_level in {"debug", "info", "warning", "error"}, "log_level", "must be debug, info, warning or error"
    )


def is_secret(value: str) -> bool:
    """True when `value` may be a token or a key."""
    return len(value) >= 16 and value.isascii() and value.isprintable() and " " not in value


def _name_key(message: str, document: dict[str, Any]) -> str:
    """Say which key is wrong; msgspec says it as a path, or names an unknown one."""
    match = re.search(r"\$\.(\w+)", message)
    if match and match[1] in document:
        expected = re.match(r"Expected `([^`]+)`", message)
        return f"{match[1]} must be of type {expected[1]}" if expected else f"{match[1]} is malformed"
    match = re.search(r"unknown field `(\w+)`", message)
    return f"{match[1]} is not a known key" if match else "malformed"
