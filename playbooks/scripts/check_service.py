#!/usr/bin/env python3
"""Whether a systemd service is healthy and stays so.

One JSON document on stdin, one JSON object on stdout; exit 0 healthy, 1 not, 64 the document is wrong:

    {"unit": "caddy.service", "tcp": [80, "127.0.0.1:8443"], "http": ["http://127.0.0.1/"], "stay_s": 3,
     "timeout_s": 15}
    {"healthy": false, "problems": ["caddy.service has stopped (exit-code, status 1)"], "waited_s": 0.4}

Healthy means: the unit is active, every TCP port takes a connection, every URL answers as asked, and after `stay_s`
seconds the same process still runs and answers. An entry of `http` is a URL or {"url", "status": [200], "contains",
"address": "127.0.0.1:443", "verify"}: without `status` any answer from 200 to 399 is right, redirects are not followed,
certificates are looked at only with `verify`.
Standard library only, Python 3.9 or newer.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

CONNECT_TIMEOUT_S = 3.0
PAUSE_S = 0.2
MAX_BODY_BYTES = 1024 * 1024
OK, NOT_HEALTHY, BAD_DOCUMENT = 0, 1, 64


class BadProbe(ValueError):
    """The probe is described wrongly; the text says which part and what would be right."""


@dataclass(frozen=True)
class HttpCheck:
    """One URL and what its answer must be."""

    url: str
    status: tuple[int, ...] = ()
    contains: str = ""
    address: str = ""
    verify: bool = False


@dataclass(frozen=True)
class Probe:
    """All that must hold before a service counts as healthy."""

    unit: str
    tcp: tuple[tuple[str, int], ...] = ()
    http: tuple[HttpCheck, ...] = ()
    stay_s: float = 3.0
    timeout_s: float = 15.0


@dataclass(frozen=True)
class UnitState:
    """What systemd says of a unit."""

    active: str
    sub: str
    pid: int
    restarts: int
    result: str
    status: str


@dataclass(frozen=True)
class Health:
    """The verdict; `problems` is empty exactly when the service is healthy."""

    problems: tuple[str, ...]
    waited_s: float

    @property
    def healthy(self) -> bool:
        return not self.problems


def address(value: Any, field: str = "tcp") -> tuple[str, int]:
    """(host, port) of 80, "80", "127.0.0.1:80" or "[::1]:80"; a bare port means this machine."""
    text = str(value).strip()
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if isinstance(value, bool) or not port.isdecimal() or not 1 <= int(port) <= 65535 or not _is_host(host):
        raise BadProbe(f"{field}: {value!r} is neither a port (1-65535) nor address:port")
    return host, int(port)


def _is_host(text: str) -> bool:
    try:
        return bool(text.encode("idna")) and text.isprintable() and " " not in text
    except UnicodeError:
        return False


def _check_url(url: str, field: str) -> None:
    """Raises `BadProbe` when it cannot be asked for as it stands."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise BadProbe(f"{field}: {url!r} must be ASCII without blanks: write other characters as %XX, names as xn--…")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadProbe(f"{field}: {url!r} is not a URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not _is_host(parts.hostname or ""):
        raise BadProbe(f"{field}: {url!r} is not an http:// or https:// URL")
    if port == 0:
        raise BadProbe(f"{field}: {url!r} has port 0; ports are 1-65535")


def http_check(value: Any, field: str = "http") -> HttpCheck:
    """The check that an entry of `http` describes."""
    entry = {"url": value} if isinstance(value, str) else value
    if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
        raise BadProbe(f"{field}: each entry is a URL or a mapping with url, status, contains, address, verify")
    if unknown := sorted(set(entry) - {"url", "status", "contains", "address", "verify"}):
        raise BadProbe(f"{field}: {unknown[0]!r} is unknown; an entry has url, status, contains, address, verify")
    _check_url(entry["url"], field)
    status = entry.get("status") or []
    codes = status if isinstance(status, (list, tuple)) else [status]
    if not all(str(code).isdecimal() and 100 <= int(code) <= 599 for code in codes):
        raise BadProbe(f"{field}: status is a list of HTTP status codes")
    where = str(entry.get("address") or "")
    if where:
        address(where, f"{field}: address")
    contains, verify = str(entry.get("contains") or ""), bool(entry.get("verify", False))
    return HttpCheck(entry["url"], tuple(int(code) for code in codes), contains, where, verify)


def seconds(value: Any, field: str, low: float, high: float) -> float:
    """A number of seconds within its bounds."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not low <= number <= high:
        raise BadProbe(f"{field}: must be a number of seconds from {low:g} to {high:g}, not {value!r}")
    return number


def read_probe(document: Any) -> Probe:
    """The probe of a JSON document; raises `BadProbe`."""
    if not isinstance(document, dict) or not isinstance(document.get("unit"), str) or not document["unit"]:
        raise BadProbe("unit: the name of a systemd unit is needed")
    unit = document["unit"]
    return Probe(
        unit=unit if "." in unit else f"{unit}.service",
        tcp=tuple(address(value) for value in document.get("tcp") or []),
        http=tuple(http_check(value) for value in document.get("http") or []),
        stay_s=seconds(document.get("stay_s", 3), "stay_s", 0, 300),
        timeout_s=seconds(document.get("timeout_s", 15), "timeout_s", 0, 600),
    )


def unit_state(unit: str) -> UnitState:
    """What systemd says now; a unit that does not exist is inactive."""
    names = "ActiveState,SubState,MainPID,NRestarts,Result,ExecMainStatus"
    done = subprocess.run(
        ["systemctl", "show", unit, f"--property={names}"], capture_output=True, text=True, timeout=30, check=False
    )
    values = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    number = {name: int(values[name]) if values.get(name, "").isdigit() else 0 for name in ("MainPID", "NRestarts")}
    return UnitState(
        values.get("ActiveState", "unknown"),
        values.get("SubState", ""),
        number["MainPID"],
        number["NRestarts"],
        values.get("Result", ""),
        values.get("ExecMainStatus", ""),
    )


def tcp_problem(host: str, port: int) -> str:
    """Why nothing takes a connection there; empty when something does."""
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        return f"nothing answers on {host}:{port} ({error.strerror or error})"
    return ""


class _Elsewhere(http.client.HTTPConnection):
    """A connection to a given address that speaks for the URL's host."""

    def __init__(self, host: str, where: tuple[str, int], context: ssl.SSLContext | None) -> None:
        super().__init__(host, where[1], timeout=CONNECT_TIMEOUT_S)
        self._where, self._context = where, context

    def connect(self) -> None:
        self.sock = socket.create_connection(self._where, self.timeout)
        if self._context is not None:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)


def _context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def http_problem(check: HttpCheck) -> str:
    """Why the URL does not answer as asked; empty when it does."""
    parts = urlsplit(check.url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    where = address(check.address) if check.address else (host, parts.port or (443 if secure else 80))
    connection = _Elsewhere(host, where, _context(check.verify) if secure else None)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", path, headers={"Host": parts.netloc.rpartition("@")[2], "User-Agent": "myx-probe"})
        answer = connection.getresponse()
        body = answer.read(MAX_BODY_BYTES)
    except (OSError, http.client.HTTPException) as error:
        return f"{check.url} does not answer ({error})"
    finally:
        connection.close()
    right = answer.status in check.status if check.status else 200 <= answer.status < 400
    if not right:
        wanted = " or ".join(map(str, check.status)) or "200-399"
        return f"{check.url} answers {answer.status}, not {wanted}"
    if check.contains and check.contains.encode() not in body:
        return f"{check.url} does not contain {check.contains!r}"
    return ""


def unit_problem(unit: str, state: UnitState) -> str:
    """What is wrong with the unit; empty when it runs."""
    if state.active == "active" and state.sub in {"running", "exited"}:
        return ""
    return f"{unit} is {state.active} ({state.sub}; {state.result or 'no result'}, status {state.status or '?'})"


def answers(probe: Probe) -> list[str]:
    """What does not answer now."""
    found = [tcp_problem(host, port) for host, port in probe.tcp] + [http_problem(check) for check in probe.http]
    return [problem for problem in found if problem]


def _broken(probe: Probe, first: UnitState, now: UnitState) -> str:
    """A fault that waiting does not cure."""
    if now.active == "failed" or (now.active == "inactive" and first.active == "active"):
        return f"{probe.unit} has stopped ({now.result or 'no result'}, status {now.status or '?'})"
    if now.restarts > first.restarts or now.sub == "auto-restart":
        return f"{probe.unit} ends by itself and is started again ({now.result}, status {now.status})"
    return ""


def run_probe(
    probe: Probe,
    state: Callable[[str], UnitState] = unit_state,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Health:
    """The verdict after at most `timeout_s` until it answers and `stay_s` more; a crash ends the wait at once."""
    begin, good_since = clock(), None
    first = state(probe.unit)
    good_pid = 0
    while True:
        now = state(probe.unit)
        if broken := _broken(probe, first, now):
            return Health((broken,), clock() - begin)
        problems = [problem] if (problem := unit_problem(probe.unit, now)) else answers(probe)
        if problems or (good_since is not None and now.pid != good_pid):
            if good_since is not None:
                return Health(tuple(problems or [f"{probe.unit} was started again meanwhile"]), clock() - begin)
            if clock() - begin >= probe.timeout_s:
                return Health(tuple(problems), clock() - begin)
        elif good_since is None:
            good_since, good_pid = clock(), now.pid
        if good_since is not None and not problems and clock() - good_since >= probe.stay_s:
            return Health((), clock() - begin)
        sleep(PAUSE_S)


def main(document: Any) -> int:
    """Print the verdict; the exit code says it too."""
    try:
        probe = read_probe(document)
    except BadProbe as error:
        sys.stdout.write(json.dumps({"healthy": False, "problems": [str(error)], "waited_s": 0}) + "\n")
        return BAD_DOCUMENT
    health = run_probe(probe)
    answer = {"healthy": health.healthy, "problems": list(health.problems), "waited_s": round(health.waited_s, 2)}
    sys.stdout.write(json.dumps(answer) + "\n")
    return OK if health.healthy else NOT_HEALTHY


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))
