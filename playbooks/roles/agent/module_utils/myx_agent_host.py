"""What the agent's modules share: paths, processes, files that are whole or not there, and a client of the agent."""

import base64
import contextlib
import glob
import hashlib
import hmac
import http.client
import json
import os
import secrets
import socket
import ssl
import subprocess
import time

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


def run(argv, timeout_s=120, env=None, check=True, cwd=None):
    """(exit code, output of both kinds). Failure when it cannot be started or does not end; with `check` when it fails."""
    environment = dict(os.environ, LC_ALL="C.UTF-8")
    environment.update(env or {})
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            timeout=timeout_s,
            cwd=cwd,
            check=False,
        )
    except OSError as error:
        raise Failure("{} cannot be run: {}".format(argv[0], error.strerror))
    except subprocess.TimeoutExpired:
        raise Failure("%s did not end within %d s" % (" ".join(argv[:3]), timeout_s))
    text = done.stdout.decode("utf-8", "replace").strip()
    if check and done.returncode:
        raise Failure("{} failed: {}".format(" ".join(argv[:3]), tail(text) or "exit code %d" % done.returncode))
    return done.returncode, text


def tail(text, lines=6, limit=900):
    """The end of an output, where programs say what went wrong."""
    return " | ".join(line.strip() for line in text.splitlines()[-lines:] if line.strip())[-limit:]


def write_file(path, content, mode):
    """The whole file, durable, or the old one."""
    temporary = "{}.myx-new".format(path)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        os.fchmod(fd, mode)
        os.fchown(fd, 0, 0)
        file.flush()
        os.fsync(fd)
    os.replace(temporary, path)
    sync_folder(os.path.dirname(path))


def sync_folder(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_file(path):
    """Bytes, or None when there is no such file."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def read_release(name):
    """RELEASE.json of a release that was completed; None of any other."""
    try:
        with open("{}/{}/RELEASE.json".format(RELEASES, name)) as file:
            document = json.load(file)
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and document.get("version") else None


def current_release():
    """Name of the release that `current` points to; empty when there is none."""
    try:
        return os.path.basename(os.readlink(CURRENT))
    except OSError:
        return ""


def restore_labels(*paths):
    """SELinux labels, where the host has them."""
    if os.path.exists("/sys/fs/selinux/enforce"):
        with contextlib.suppress(Failure):
            run(["restorecon", "-R", *paths], check=False)


def unit_state():
    """ActiveState, SubState, MainPID (int), NRestarts (int), UnitFileState of the agent's unit."""
    names = ["ActiveState", "SubState", "MainPID", "NRestarts", "UnitFileState", "LoadState"]
    _code, text = run(["systemctl", "show", UNIT, "--property=" + ",".join(names)], check=False)
    state = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    for name in ("MainPID", "NRestarts"):
        value = state.get(name, "")
        state[name] = int(value) if value.isdigit() else 0
    return state


def process_release(pid):
    """The release whose interpreter a process runs; empty when it is none of ours."""
    first = (read_file("/proc/%d/cmdline" % pid) or b"").split(b"\0")[0].decode("utf-8", "replace")
    prefix = RELEASES + "/"
    return first[len(prefix) :].split("/")[0] if first.startswith(prefix) else ""


def last_words(since=None):
    """What the agent wrote last, for the reason of a failure."""
    argv = ["journalctl", "--no-pager", "--output=cat", "--lines=12", "--unit=" + UNIT]
    if since is not None:
        argv.append("--since=@%d" % since)
    with contextlib.suppress(Failure):
        code, text = run(argv, timeout_s=20, check=False)
        lines = [line for line in text.splitlines() if not line.startswith(("--", "Start", "Stop", UNIT, "Hint"))]
        if not code:
            return tail("\n".join(lines), lines=4, limit=500)
    return ""


def running_commands():
    """Ids of commands that run under the agent, from its spool."""
    found = []
    boot = (read_file("/proc/sys/kernel/random/boot_id") or b"").decode().strip()
    for folder in glob.glob(SPOOL + "/commands/*"):
        fields = (read_file(folder + "/pid") or b"").decode("utf-8", "replace").split()
        if os.path.exists(folder + "/result.json") or len(fields) < 5 or fields[4] != boot:
            continue
        stat = (
            (read_file("/proc/{}/stat".format(fields[0])) or b"").decode("utf-8", "replace").rpartition(")")[2].split()
        )
        if len(stat) > 19 and stat[0] not in "ZX" and stat[19] == fields[1]:
            found.append(os.path.basename(folder))
    return sorted(found)


class Agent:
    """A client of the agent on this host: pinned certificate, token, signature. Raises Failure."""

    def __init__(self, config, certificate_pem, timeout_s=10):
        self._config = config
        self._pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate_pem)).digest()
        self._timeout_s = timeout_s
        self._path = "/{}/rpc".format(config["rpc_path"])

    def call(self, method, **params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        try:
            status, answer = self._post(body)
        except (OSError, http.client.HTTPException) as error:
            raise Failure("port %d: %s" % (self._config["rpc_port"], str(error) or type(error).__name__))
        if status != 200:
            raise Failure("it answers %s with HTTP %d" % (method, status))
        try:
            document = json.loads(answer)
        except ValueError:
            raise Failure("its answer to {} is no JSON".format(method))
        if "error" in document:
            raise Failure("{}: {}".format(method, document["error"].get("message", "refused")))
        return document.get("result") or {}

    def _post(self, body):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the pin is compared before a byte is sent
        address = self._config.get("bind_address") or ""
        address = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
        plain = socket.create_connection((address, self._config["rpc_port"]), self._timeout_s)
        with contextlib.closing(plain), context.wrap_socket(plain) as tls:
            shown = tls.getpeercert(binary_form=True) or b""
            if not hmac.compare_digest(hashlib.sha256(shown).digest(), self._pin):
                raise Failure("the certificate that it shows is not the one in {}".format(CERTIFICATE))
            connection = http.client.HTTPConnection(address, timeout=self._timeout_s)
            connection.sock = tls
            connection.request("POST", self._path, body, self._headers(body))
            response = connection.getresponse()
            return response.status, response.read()

    def _headers(self, body):
        stamp, nonce = str(int(time.time())), secrets.token_hex(16)
        text = "\n".join(["POST", self._path, stamp, nonce, hashlib.sha256(body).hexdigest()])
        mac = hmac.new(self._config["secret_key"].encode(), text.encode(), hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/json",
            "X-Agent-Token": self._config["agent_token"],
            "X-Agent-Signature": "v1;t={};n={};s={}".format(stamp, nonce, mac),
        }


def decode(text):
    return base64.b64decode(text or "").decode("utf-8", "replace")
