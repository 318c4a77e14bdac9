"""Going from one generation to the next: act, prove, and put back what was there when the proof fails.

`attempt.json` is written before anything is touched and removed when the new state is proved or the old one is back.
A run that finds one (the former run was killed, the host lost power) puts the old state back first.
"""

from __future__ import annotations

import errno
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from app_host import MARK, Account, HostError, listeners, remove_tree, sync, unit_of, write
from app_place import Generation, Place, now, read_json, write_json
from app_request import HIDDEN, Probing
from app_variables import reachable
from check_service import Health, Probe, run_probe

PUT_BACK_TIMEOUT_S = 20


class Cancelled(BaseException):
    """Somebody asked the deployment to end."""


class Service(Protocol):
    """What the switch must know of the program that it switches."""

    title: str

    def reload(self, place: Place, account: Account, running: Generation, wanted: Generation) -> None:
        """The running process takes the wanted configuration; raises `HostError` when it keeps the old one."""

    def owns(self, place: Place, pid: int) -> bool:
        """Whether the process is one of this service."""

    def forget(self, place: Place, generations: list[Generation]) -> None:
        """Drop what only these generations needed outside of the folder."""


@dataclass(frozen=True)
class Switch:
    """One switch that is to be made."""

    new: Generation
    previous: Generation | None
    how: str
    fresh_generation: bool
    fresh_release: str
    first: bool
    account: Account
    probing: Probing
    hide_config: bool


def cancel_by_signal() -> None:
    """A request to end becomes `Cancelled`; a lost connection changes nothing: what was begun is brought to its end."""

    def cancel(_number: int, _frame: FrameType | None) -> None:
        uninterruptible()
        raise Cancelled

    signal.signal(signal.SIGTERM, cancel)
    signal.signal(signal.SIGINT, cancel)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def uninterruptible() -> None:
    """From here on no polite signal ends this process."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def listen_targets(generation: Generation) -> list[tuple[str, int]]:
    """Where the generation's configuration listens."""
    return [(str(host), int(port)) for host, port in generation.record.get("listen", [])]


def probe_of(place: Place, generation: Generation, probing: Probing) -> Probe:
    """The probe of that generation; without named ports those of its configuration."""
    ports = probing.ports
    if ports is None:
        ports = tuple((reachable(host), port) for host, port in listen_targets(generation))
    return Probe(place.unit, tuple(dict.fromkeys(ports)), probing.urls, probing.stay_s, probing.timeout_s)


def must_be_free(service: Service, place: Place, targets: list[tuple[str, int]]) -> None:
    """Raises when another program holds one of the ports."""
    for host, port in dict.fromkeys(targets):
        if not _is_taken(host, port):
            continue
        holders = listeners(port)
        if holders and not any(service.owns(place, pid) for pid in holders):
            pid, name = next(iter(holders.items()))
            unit = unit_of(pid)
            by = f"{name} (process {pid}{f', {unit}' if unit else ''})"
            raise HostError(f"port {port} is held by {by}: stop it or use another port. Nothing was changed")


def _is_taken(host: str, port: int) -> bool:
    wildcard = host in {"", "0.0.0.0", "::"}  # noqa: S104 -- compared
    for family, where in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")) if wildcard else _resolved(host):  # noqa: S104
        try:
            with socket.socket(family, socket.SOCK_STREAM) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                trial.bind((where, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
    return False


def _resolved(host: str) -> list[tuple[int, str]]:
    try:
        return [
            (family, str(where[0])) for family, _, _, _, where in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
        ]
    except (OSError, UnicodeError):
        return []


def must_not_be_foreign(place: Place, takeover: bool, prefix: str) -> None:
    """Raises when a unit of that name is there that MyX did not make, unless it is to be taken over."""
    if place.unit_file.exists():
        found = str(place.unit_file) if MARK not in place.unit_file.read_text(errors="replace") else ""
    else:
        found = place.host.unit_property(place.unit, "FragmentPath")
        found = "" if found == str(place.unit_file) else found
    if found and not takeover:
        raise HostError(
            f"there is a unit {place.unit} that MyX did not make ({found}): choose another {prefix}name, or set "
            f"{prefix}takeover to replace it (it is put back if the new one does not work)"
        )


def make(service: Service, place: Place, switch: Switch) -> None:
    """The new generation is in force and proved; otherwise the old state is back and `HostError` says why."""
    began = time.time()
    attempt = _begin(place, switch)
    try:
        _act(service, place, switch)
        _prove(service, place, switch)
        uninterruptible()  # what is proved stays, and is told
    except (Exception, Cancelled) as error:  # whatever it is: what was not proved does not stay
        uninterruptible()
        failed = time.time()
        message = f"{_words_of(error)}\n{put_back(service, place, attempt)}"
        said = HIDDEN if switch.hide_config else place.host.journal(place.unit, began, failed)
        raise HostError(f"{message}\nWhat {place.unit} said:\n{said}" if said else message) from error
    _attempt_is_over(place)


def _attempt_is_over(place: Place) -> None:
    place.attempt.unlink(missing_ok=True)
    sync(place.base)


def _words_of(error: BaseException) -> str:
    if isinstance(error, Cancelled):
        return "the deployment was cancelled"
    return str(error) if isinstance(error, (HostError, OSError)) else f"{type(error).__name__}: {error}"


def _begin(place: Place, switch: Switch) -> dict[str, Any]:
    host = place.host
    attempt = {
        "new": switch.new.path.name,
        "previous": switch.previous.path.name if switch.previous else None,
        "fresh_generation": switch.fresh_generation,
        "fresh_release": switch.fresh_release,
        "how": switch.how,
        "first": switch.first,
        "unit_before": place.unit_file.read_text(errors="replace") if place.unit_file.is_file() else None,
        "was_active": host.is_active(place.unit),
        "was_enabled": host.is_enabled(place.unit),
        "started_at": now(),
    }
    write_json(place.attempt, attempt, 0o600)
    return attempt


def _act(service: Service, place: Place, switch: Switch) -> None:
    host = place.host
    _set_unit(place, switch.new.unit())
    place.put_in_force(switch.new)
    if switch.how == "reload" and switch.previous is not None:
        try:
            service.reload(place, switch.account, switch.previous, switch.new)
        except HostError as error:
            if switch.hide_config:
                raise HostError(f"{service.title} does not take the new configuration: {HIDDEN}") from error
            raise
    else:
        host.systemctl("reset-failed", place.unit)
        done = host.systemctl("restart", place.unit)
        if not done.ok:
            raise HostError(f"{service.title} does not start")
    if not host.is_enabled(place.unit):
        done = host.systemctl("enable", place.unit)
        if not done.ok:
            raise HostError(f"{place.unit} cannot be enabled: {done.tail()}")


def _prove(service: Service, place: Place, switch: Switch) -> None:
    health = run_probe(probe_of(place, switch.new, switch.probing))
    if not health.healthy:
        raise HostError(f"{service.title} does not pass its probe: {'; '.join(health.problems)}")


def _set_unit(place: Place, text: str | None) -> None:
    """The unit file is as given (None: not there), and systemd knows."""
    before = place.unit_file.read_text(errors="replace") if place.unit_file.is_file() else None
    if before == text:
        return
    if text is None:
        place.unit_file.unlink()
    else:
        place.unit_file.parent.mkdir(parents=True, exist_ok=True)
        write(place.unit_file, text.encode())
    place.host.systemctl("daemon-reload")


def put_back(service: Service, place: Place, attempt: dict[str, Any]) -> str:
    """The state from before the attempt is back; the answer is a sentence for the operator. Safe to repeat."""
    previous = place.generation(attempt["previous"]) if attempt["previous"] else None
    new = place.generation(attempt["new"])
    reloaded = attempt["how"] == "reload" and previous is not None and place.host.is_active(place.unit)
    if not attempt["was_active"]:
        place.host.systemctl("stop", place.unit)
    if not attempt["was_enabled"]:
        place.host.systemctl("disable", place.unit)
    _set_unit(place, attempt["unit_before"])
    place.put_in_force(previous)
    words = _resume(service, place, attempt, previous, new if reloaded else None)
    if new is not None and attempt["fresh_generation"]:
        remove_tree(new.path)
        service.forget(place, [new])
    if attempt["fresh_release"]:
        remove_tree(place.releases / attempt["fresh_release"])
    _attempt_is_over(place)
    if attempt["first"]:
        erase_first(place)
    return words


def _resume(
    service: Service, place: Place, attempt: dict[str, Any], previous: Generation | None, reloaded: Generation | None
) -> str:
    """Start again what ran before, and say whether it serves."""
    before = previous.words() if previous else f"{place.unit} as it was"
    if not attempt["was_active"]:
        place.host.systemctl("reset-failed", place.unit)
        return f"Put back: {before}; it did not run before either." if previous else "Nothing of it was left behind."
    if reloaded is None or previous is None or not _reload_back(service, place, reloaded, previous):
        place.host.systemctl("reset-failed", place.unit)
        place.host.systemctl("restart", place.unit)
    health = _health_of_old(place, previous)
    if health.healthy:
        return f"The old one was put back and serves: {before}."
    return f"The old one was put back but DOES NOT SERVE ({'; '.join(health.problems)}): {before}."


def _reload_back(service: Service, place: Place, running: Generation, wanted: Generation) -> bool:
    account = place.host.account(place.name)
    if account is None:
        return False
    try:
        service.reload(place, account, running, wanted)
    except HostError:
        with suppress(HostError):
            service.reload(place, account, wanted, wanted)
            return True
        return False
    return True


def _health_of_old(place: Place, previous: Generation | None) -> Health:
    targets = [(reachable(host), port) for host, port in listen_targets(previous)] if previous else []
    return run_probe(Probe(place.unit, tuple(dict.fromkeys(targets)), (), 1, PUT_BACK_TIMEOUT_S))


def recover(service: Service, place: Place) -> str:
    """What was done about an attempt that never came to its end; empty when there was none."""
    attempt = read_json(place.attempt)
    if not attempt:
        place.attempt.unlink(missing_ok=True)
        return ""
    uninterruptible()
    words = put_back(service, place, attempt)
    cancel_by_signal()
    return f"A deployment begun at {attempt['started_at']} was cut off. {words}"


def erase_first(place: Place) -> None:
    """Nothing is left of a first deployment; what was there before it stays."""
    erase(place, place.new_data_folders(), bool(place.facts.get("account_made")), place.left)


def erase(place: Place, data: list[Path], account: bool, left: dict[str, Any] | None) -> None:
    """Nothing of the service is left but its data other than `data`, without `account` their owner, and a note `left`.

    Safe to repeat: the marker is the last to go.
    """
    host, facts = place.host, place.facts
    if place.unit_file.is_file() and MARK in place.unit_file.read_text(errors="replace"):
        host.systemctl("disable", "--now", place.unit)
        _set_unit(place, facts.get("unit_before"))
        host.systemctl("reset-failed", place.unit)
    place.clear()
    for folder in data:
        remove_tree(folder)
    if account:
        host.remove_account(place.name)
    if left is None:
        remove_tree(place.base)
    else:
        write_json(place.marker, {"kind": place.kind, "left": left})
