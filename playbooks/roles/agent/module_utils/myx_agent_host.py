"""What the agent's modules share: paths, processes, files that are whole or not there, and a client of the agent."""

from __future__ import annotations

import base64
import contextlib
import errno
import glob
import hashlib
import hmac
import http.client
import json
import os
import platform
import secrets
import socket
import ssl
import subprocess
import time
from typing import Any

HOME = "/opt/myx-agent"
RELEASES = HOME + "/releases"
CURRENT = HOME + "/current"
GUARD = HOME + "/bin/upgrade-guard"
RESTART_NEEDED = HOME + "/restart-needed"
CONFIG = "/etc/myx-agent/config.json"
CERTIFICATE = "/etc/myx-agent/ssl/agent.crt"
UPGRADES = "/var/lib/myx-agent/upgrade"
SPOOL = "/var/lib/myx-agent/spool"
UNIT = "myx-agent.service"


class Failure(Exception):
    """One sentence for the operator."""


def run(
    argv: list[str], timeout_s: float = 120, env: dict[str, str] | None = None, *, check: bool = True
) -> tuple[int, str]:
    """(exit code, output of both kinds). Failure: it cannot be started or does not end; with `check` when it fails."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
    name = " ".join(argv[:3])
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            timeout=timeout_s,
            check=False,
        )
    except OSError as error:
        why = f"it is not made for {platform.machine()}" if error.errno == errno.ENOEXEC else error.strerror
        raise Failure(f"{argv[0]} cannot be run: {why}") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{name} did not end within {timeout_s:.0f} s") from None
    text = done.stdout.decode("utf-8", "replace").strip()
    if check and done.returncode:
        raise Failure(f"{name} failed: {tail(text) or f'exit code {done.returncode}'}")
    return done.returncode, text


def tail(text: str, lines: int = 6, limit: int = 900) -> str:
    """The end of an output, where programs say what went wrong."""
    return " | ".join(line.strip() for line in text.splitlines()[-lines:] if line.strip())[-limit:]


def write_file(path: str, content: bytes, mode: int) -> None:
    """The whole file, durable, or the old one."""
    temporary = f"{path}.myx-new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        os.fchmod(fd, mode)
        os.fchown(fd, 0, 0)
        file.flush()
        os.fsync(fd)
    os.replace(temporary, path)
    sync_folder(os.path.dirname(path))


def sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_file(path: str) -> bytes | None:
    """Bytes, or None when there is no such file."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def read_release(name: str) -> dict[str, str] | None:
    """RELEASE.json of a release that was completed; None of any other."""
    try:
        with open(f"{RELEASES}/{name}/RELEASE.json") as file:
            document = json.load(file)
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and document.get("version") else None


def current_release() -> str:
    """Name of the release that `current` points to; empty when there is none."""
    try:
        return os.path.basename(os.readlink(CURRENT))
    except OSError:
        return ""


def restore_labels(*paths: str) -> None:
    """SELinux labels, where the host has them."""
    if os.path.exists("/sys/fs/selinux/enforce"):
        with contextlib.suppress(Failure):
            run(["restorecon", "-R", *paths], check=False)


def unit_state() -> dict[str, Any]:
    """ActiveState, SubState, MainPID (int), NRestarts (int), UnitFileState of the agent's unit."""
    names = ["ActiveState", "SubState", "MainPID", "NRestarts", "UnitFileState", "LoadState"]
    _code, text = run(["systemctl", "show", UNIT, "--property=" + ",".join(names)], check=False)
    state: dict[str, Any] = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    for name in ("MainPID", "NRestarts"):
        value = state.get(name, "")
        state[name] = int(value) if value.isdigit() else 0
    return state


def process_release(pid: int) -> str:
    """The release whose interpreter a process runs; empty when it is none of ours."""
    first = (read_file(f"/proc/{pid}/cmdline") or b"").split(b"\0")[0].decode("utf-8", "replace")
    prefix = RELEASES + "/"
    return first[len(prefix) :].split("/")[0] if first.startswith(prefix) else ""


def last_words(since: int | None = None) -> str:
    """What the agent wrote last, for the reason of a failure."""
    argv = ["journalctl", "--no-pager", "--output=cat", "--lines=12", "_SYSTEMD_UNIT=" + UNIT, "_TRANSPORT=stdout"]
    if since is not None:
        argv.append(f"--since=@{since}")
    with contextlib.suppress(Failure):
        code, text = run(argv, timeout_s=20, check=False)
        lines = [line for line in text.splitlines() if not line.startswith("--")]
        if not code:
            return tail("\n".join(lines), lines=4, limit=500)
    return ""


def running_commands() -> list[str]:
    """Ids of commands that run under the agent, from its spool."""
    found = []
    boot = (read_file("/proc/sys/kernel/random/boot_id") or b"").decode().strip()
    for folder in glob.glob(SPOOL + "/commands/*"):
        fields = (read_file(folder + "/pid") or b"").decode("utf-8", "replace").split()
        if os.path.exists(folder + "/result.json") or len(fields) < 5 or fields[4] != boot:
            continue
        stat = (read_file(f"/proc/{fields[0]}/stat") or b"").decode("utf-8", "replace").rpartition(")")[2].split()
        if len(stat) > 19 and stat[0] not in "ZX" and stat[19] == fields[1]:
            found.append(os.path.basename(folder))
    return sorted(found)


class Agent:
    """A client of the agent on this host: pinned certificate, token, signature. Raises Failure."""

    def __init__(self, config: dict[str, Any], certificate_pem: str, timeout_s: float = 10) -> None:
        self._config = config
        self._pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate_pem)).digest()
        self._timeout_s = timeout_s
        self._path = f"/{config['rpc_path']}/rpc"

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        try:
            status, answer = self._post(body)
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"port {self._config['rpc_port']}: {str(error) or type(error).__name__}") from None
        if status != 200:
            raise Failure(f"it answers {method} with HTTP {status}")
        try:
            document = json.loads(answer)
        except ValueError:
            raise Failure(f"its answer to {method} is no JSON")
        if "error" in document:
            raise Failure(f"{method}: {document['error'].get('message', 'refused')}")
        return document.get("result") or {}

    def _post(self, body: bytes) -> tuple[int, bytes]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the pin is compared before a byte is sent
        address = self._config.get("bind_address") or ""
        address = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
        plain = socket.create_connection((address, self._config["rpc_port"]), self._timeout_s)
        with contextlib.closing(plain), context.wrap_socket(plain) as tls:
            shown = tls.getpeercert(binary_form=True) or b""
            if not hmac.compare_digest(hashlib.sha256(shown).digest(), self._pin):
                raise Failure(f"the certificate that it shows is not the one in {CERTIFICATE}")
            connection = http.client.HTTPConnection(address, timeout=self._timeout_s)
            connection.sock = tls
            connection.request("POST", self._path, body, self._headers(body))
            response = connection.getresponse()
            return response.status, response.read()

    def _headers(self, body: bytes) -> dict[str, str]:
        stamp, nonce = str(int(time.time())), secrets.token_hex(16)
        text = "\n".join(["POST", self._path, stamp, nonce, hashlib.sha256(body).hexdigest()])
        mac = hmac.new(self._config["secret_key"].encode(), text.encode(), hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/json",
            "X-Agent-Token": self._config["agent_token"],
            "X-Agent-Signature": f"v1;t={stamp};n={nonce};s={mac}",
        }


def decode(text: str | None) -> str:
    return base64.b64decode(text or "").decode("utf-8", "replace")
