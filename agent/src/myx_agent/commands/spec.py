"""From the parameters of execute_command to what the supervisor executes, and the digest that tells repeats apart."""

import base64
import binascii
import hashlib
import json
import os
import pwd
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myx_agent.jsonrpc import RpcError, invalid_param
from myx_agent.spool import layout

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INHERITED = ("PATH", "LANG", "TZ", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_MAX_TIMEOUT_S = 10 * 365 * 86400


@dataclass(frozen=True, slots=True)
class Wish:
    """The parameters of execute_command as they came."""

    command: str
    args: list[str]
    command_id: str
    timeout: float | None
    no_output_timeout: float | None
    env: dict[str, str]
    secret_env: dict[str, str]
    cwd: str | None
    user: str | None
    stdin: str | None


def build(wish: Wish) -> tuple[dict[str, Any], bytes | None]:
    """The supervisor's specification and the bytes of stdin. Raises RpcError (-32602) naming the field."""
    _check(wish)
    stdin = _decode_stdin(wish.stdin)
    user, home = _user(wish.user)
    digest = _digest(wish, stdin)
    env = _base_environment(home) | wish.env | wish.secret_env | {layout.COMMAND_ID_TAG: wish.command_id}
    clocks = {"timeout_s": wish.timeout or None, "no_output_timeout_s": wish.no_output_timeout or None}
    spec = {
        "command_id": wish.command_id,
        "digest": digest,
        "argv": [wish.command, *wish.args],
        "env": env,
        "secrets": list(wish.secret_env.values()),
        "cwd": wish.cwd or _home_folder(home),
        "user": user,
        **clocks,
        "meta": {
            "command_id": wish.command_id,
            "digest": digest,
            "command": wish.command,
            "created_at": time.time(),
            "secret_names": sorted(wish.secret_env),
            **clocks,
        },
    }
    return spec, stdin


def own_environment() -> dict[str, str]:
    """What a command of the agent's own user finds before its own additions."""
    return _base_environment(_user(None)[1])


def check_command_id(command_id: str, field: str = "command_id") -> None:
    if not layout.is_command_id(command_id):
        raise invalid_param(field, "must be 1 to 128 of [A-Za-z0-9._-], not starting with a dot")


def check_seconds(field: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= _MAX_TIMEOUT_S:
        raise invalid_param(field, "must be a number of seconds, not negative")


def _check(wish: Wish) -> None:
    check_command_id(wish.command_id)
    if not wish.command:
        raise invalid_param("command", "must not be empty")
    check_seconds("timeout", wish.timeout)
    check_seconds("no_output_timeout", wish.no_output_timeout)
    if wish.cwd is not None and not wish.cwd.startswith("/"):
        raise invalid_param("cwd", "must be an absolute path")
    for field in ("env", "secret_env"):
        for name in getattr(wish, field):
            if not name or "=" in name:
                raise invalid_param(field, "has a name that is empty or holds '='")
    texts = {
        "command": [wish.command],
        "args": wish.args,
        "env": [*wish.env, *wish.env.values()],
        "secret_env": [*wish.secret_env, *wish.secret_env.values()],
        "cwd": [wish.cwd or ""],
        "user": [wish.user or ""],
    }
    for field, values in texts.items():
        if any("\0" in value for value in values):
            raise invalid_param(field, "must not hold NUL bytes")


def _decode_stdin(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise invalid_param("stdin", "must be base64") from None


def _user(name: str | None) -> tuple[dict[str, Any] | None, pwd.struct_passwd | None]:
    """The identity to take on (None: our own) and the passwd entry of who will run."""
    try:
        own = pwd.getpwuid(os.geteuid())
    except KeyError:
        own = None
    if name is None:
        return None, own
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise invalid_param("user", "is not a user of this host") from None
    if entry.pw_uid == os.geteuid():
        return None, entry
    if os.geteuid() != 0:
        raise RpcError(-32602, "Invalid params: user: the agent does not run as root", "INVALID_PARAMS", field="user")
    groups = os.getgrouplist(name, entry.pw_gid)
    return {"uid": entry.pw_uid, "gid": entry.pw_gid, "groups": groups}, entry


def _home_folder(entry: pwd.struct_passwd | None) -> str | None:
    return entry.pw_dir if entry is not None and Path(entry.pw_dir).is_dir() else None


def _base_environment(entry: pwd.struct_passwd | None) -> dict[str, str]:
    """What a login over SSH would have, no more: nothing of the agent's own environment leaks."""
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    env.update({name: value for name, value in os.environ.items() if name.startswith("LC_")})
    env.setdefault("PATH", DEFAULT_PATH)
    if entry is not None:
        env |= {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
        env["SHELL"] = entry.pw_shell or "/bin/sh"
    return env


def _digest(wish: Wish, stdin: bytes | None) -> str:
    """SHA-256 over all that was asked for; secrets and stdin are in it and nowhere else."""
    document = [
        wish.command,
        wish.args,
        wish.timeout or None,
        wish.no_output_timeout or None,
        sorted(wish.env.items()),
        sorted(wish.secret_env.items()),
        wish.cwd,
        wish.user,
        None if stdin is None else hashlib.sha256(stdin).hexdigest(),
    ]
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()
